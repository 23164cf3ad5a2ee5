/**
 * The shell's backslash commands.
 *
 * Not here: those that look into the catalog (catalog-commands.ts).
 */
import { DbError } from '../../base/index.ts'
import { describeRelations, listingQuery } from './catalog-commands.ts'
import { Input } from './input.ts'
import type { ExtraCommand, Runner } from './runner.ts'
import type { Piece } from './splitter.ts'
import type { TableFormat } from './table.ts'

/** Name, what follows it, what it does. */
const help: readonly (readonly [name: string, argument: string, says: string])[] = [
  ['\\?', '', 'this help'],
  ['\\q', '', 'quit'],
  ['\\g', '', 'run the statement in front of it'],
  ['\\gx', '', 'the same, expanded'],
  ['\\r', '', 'forget what is typed'],
  ['\\d', '[PATTERN]', 'describe relations, or list them'],
  ['\\dt', '[PATTERN]', 'list tables'],
  ['\\di', '[PATTERN]', 'list indexes'],
  ['\\dv', '[PATTERN]', 'list views'],
  ['\\ds', '[PATTERN]', 'list sequences'],
  ['\\dn', '', 'list schemas'],
  ['\\dT', '', 'list types'],
  ['\\du', '', 'list roles'],
  ['\\l', '', 'list databases'],
  ['\\c', '[DATABASE]', 'connect to another database, or again'],
  ['\\conninfo', '', 'where the shell is connected'],
  ['\\x', '[on|off|auto]', 'expanded output'],
  ['\\format', '[table|expanded|auto|csv|json]', 'how results are shown'],
  ['\\timing', '[on|off]', 'show how long statements take'],
  ['\\verbose', '[on|off]', 'show more of errors'],
  ['\\i', 'FILE', 'run a file'],
  ['\\echo', 'TEXT', 'print a text'],
]

export const commandNames: readonly string[] = help.map(([name]) => name)
const formats: readonly string[] = ['table', 'expanded', 'auto', 'csv', 'json']
const deepestFile = 20
let fileDepth = 0

/** Runs a command. False when it failed in a way that has been shown. */
export async function runCommand(runner: Runner, piece: Piece & { kind: 'command' }, input: Input): Promise<boolean> {
  const [name, ...rest] = piece.text.replace(/;\s*$/, '').trim().split(/\s+/)
  const argument = rest.join(' ')
  const { options } = runner
  const { screen } = options
  switch (name) {
    case '\\g':
    case '\\gx':
      if (piece.before !== '') await runner.statement(piece.before, input, name === '\\gx' ? 'expanded' : undefined)
      return true
    case '\\r':
      return true
    case '\\q':
      runner.quit = true
      return true
    case '\\?':
      screen.write(helpText(options.commands))
      return true
    case '\\x':
      options.format = expanded(argument, options.format)
      screen.write(
        `Expanded display is ${options.format === 'expanded' ? 'on' : options.format === 'auto' ? 'automatic' : 'off'}.\n`,
      )
      return true
    case '\\format':
      options.format = format(argument)
      return true
    case '\\timing':
      options.timing = toggled(argument, options.timing)
      screen.write(`Timing is ${options.timing ? 'on' : 'off'}.\n`)
      return true
    case '\\verbose':
      options.verbose = toggled(argument, options.verbose)
      return true
    case '\\echo':
      screen.write(argument.replace(/^'(.*)'$/, '$1') + '\n')
      return true
    case '\\c':
    case '\\connect':
      await runner.reconnect(argument.replace(/"/g, '') || runner.session.database)
      screen.write(`You are now connected to database "${runner.session.database}" as user "${runner.session.user}".\n`)
      return true
    case '\\conninfo':
      screen.write(connection(runner))
      return true
    case '\\i':
      return runFile(runner, argument)
    default: {
      const extra = options.commands?.get(name)
      if (extra === undefined) return lookUp(runner, name, argument)
      await extra.run(argument)
      return true
    }
  }
}

function connection({ session }: Runner): string {
  const version = session.setting('server_version') ?? 'unknown'
  return `Connected to database "${session.database}" as user "${session.user}" (server ${version}).\n`
}

function toggled(argument: string, now: boolean): boolean {
  return argument === '' ? !now : /^(on|true|1)$/i.test(argument)
}

function expanded(argument: string, now: TableFormat): TableFormat {
  if (argument === 'auto') return 'auto'
  return toggled(argument, now === 'expanded') ? 'expanded' : 'table'
}

function format(argument: string): TableFormat {
  if (formats.includes(argument)) return argument as TableFormat
  throw new DbError('invalid_parameter_value', `no such format: "${argument}"`, {
    hint: `There are ${formats.join(', ')}.`,
  })
}

async function runFile(runner: Runner, path: string): Promise<boolean> {
  if (path === '') throw new DbError('invalid_parameter_value', '\\i needs the name of a file')
  if (fileDepth >= deepestFile) throw new DbError('statement_too_complex', 'files include each other too deeply')
  const text = await runner.options.readFile(path.replace(/^'(.*)'$/, '$1'))
  fileDepth++
  try {
    return await runner.runAll(Input.of(text), true)
  } finally {
    fileDepth--
  }
}

async function lookUp(runner: Runner, command: string, argument: string): Promise<boolean> {
  const name = command.replace(/\+$/, '')
  if (name === '\\d' && argument !== '') {
    runner.options.screen.write(await describeRelations(runner.session, argument, runner.style))
    return true
  }
  const query = listingQuery(name, argument)
  if (query === undefined) throw new DbError('syntax_error', `there is no command ${command}; \\? lists them`)
  for (const result of await runner.session.script(query)) runner.show(result)
  return true
}

function helpText(extra: ReadonlyMap<string, ExtraCommand> = new Map()): string {
  const all = [...help, ...[...extra].map(([name, { argument, says }]) => [name, argument, says] as const)]
  const left = all.map(([name, argument]) => (argument === '' ? name : `${name} ${argument}`))
  const width = Math.max(...left.map((text) => text.length))
  const lines = all.map(([, , says], i) => `  ${left[i].padEnd(width)}  ${says}`)
  return lines.join('\n') + '\n\nA statement ends with a semicolon and may take any number of lines.\n'
}
