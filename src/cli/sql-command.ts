/**
 * `lattice sql`: the shell, or statements from -c, a file or standard input.
 *
 * Not here: what the shell does (shell/).
 */
import { DbError } from '../base/index.ts'
import { parseConnectionString, RawSession } from '../client/index.ts'
import { readText } from '../io/index.ts'
import { nodeIo } from '../io/node/index.ts'
import { historyFile } from './history-file.ts'
import { Input } from './shell/input.ts'
import { type ExtraCommand, Runner, type Screen } from './shell/runner.ts'
import { runShell } from './shell/shell.ts'
import type { TableFormat } from './shell/table.ts'
import { processScreen } from './terminal.ts'

export const defaultUrl = 'postgres://lattice@127.0.0.1:7432/lattice'

export interface SqlOptions {
  readonly command?: readonly string[]
  readonly file?: string
  readonly format?: TableFormat
  readonly quiet?: boolean
  readonly continue?: boolean
}

/** Answers the exit status: 0 when every statement succeeded. Raises when it cannot connect. */
export async function runSql(
  url: string,
  options: SqlOptions,
  commands?: ReadonlyMap<string, ExtraCommand>,
): Promise<number> {
  const io = nodeIo({ logLevel: 'silent' })
  const screen = processScreen()
  const interactive = process.stdin.isTTY === true && options.command === undefined && options.file === undefined
  const runner = await Runner.start({
    screen,
    clock: io.clock,
    connect: connector(url, interactive),
    readFile: (path) => readText(io, path),
    format: options.format ?? (interactive ? 'auto' : 'table'),
    timing: false,
    quiet: options.quiet === true,
    verbose: false,
    commands,
  })
  try {
    if (interactive) {
      greet(runner, screen)
      await runShell(runner, { input: process.stdin, output: process.stdout }, historyFile(io))
      return 0
    }
    let good = true
    for (const input of await inputs(options, (path) => readText(io, path))) {
      if (!good && options.continue !== true) break
      good = (await runner.runAll(input, options.continue !== true)) && good
    }
    return good ? 0 : 1
  } finally {
    await runner.session.close().catch(() => {})
    await io.stop()
  }
}

/** Asks for the password once, when there is somebody to ask. */
function connector(url: string, interactive: boolean): (database?: string) => Promise<RawSession> {
  let password: string | undefined = process.env.PGPASSWORD
  return async (database) => {
    const target = database === undefined ? url : withDatabase(url, database)
    try {
      return await RawSession.open(target, password)
    } catch (error) {
      const asked = error instanceof DbError && error.code === 'invalid_password'
      if (!asked || !interactive || password !== undefined) throw error
      const prompts = await import('@clack/prompts')
      const answer = await prompts.password({ message: `Password for user ${parseConnectionString(url).user}` })
      if (typeof answer !== 'string') throw error
      password = answer
      return RawSession.open(target, password)
    }
  }
}

function withDatabase(url: string, database: string): string {
  const [, base, search = ''] = /^(\w+:\/\/[^/?]*)(?:\/[^?]*)?(\?.*)?$/.exec(url)!
  return `${base}/${encodeURIComponent(database)}${search}`
}

function greet(runner: Runner, screen: Screen): void {
  const version = runner.session.setting('server_version') ?? ''
  screen.write(`LatticeDB shell, server ${version}. \\? for help, \\q to quit.\n`)
}

async function inputs(options: SqlOptions, read: (path: string) => Promise<string>): Promise<Input[]> {
  if (options.command !== undefined) return options.command.map((text) => Input.of(text))
  if (options.file !== undefined) return [Input.of(await read(options.file))]
  const chunks = process.stdin.setEncoding('utf8')[Symbol.asyncIterator]()
  return [
    new Input(async () => {
      const { done, value } = await chunks.next()
      return done ? undefined : (value as unknown as string)
    }),
  ]
}
