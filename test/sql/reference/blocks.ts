/**
 * What the reference pages take from the code: each block is a table or a list between two marks in a page.
 *
 *   <!-- from the code: metrics -->
 *   …
 *   <!-- end -->
 *
 * Not here: comparing and writing the pages (reference.test.ts), what is written by hand around the blocks.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkConfig } from '../../../src/node/config.ts'
import { planWays } from '../../../src/sql/bind/context.ts'
import { registerSystemCatalogs } from '../../../src/sql/catalog/system/index.ts'
import { systemRelations } from '../../../src/sql/catalog/system-schema.ts'
import { Settings, settingFacts } from '../../../src/sql/session/settings.ts'
import { openApi } from '../../../src/wire/http/openapi.ts'

export const root = join(import.meta.dirname, '../../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((c) => c.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

const code = (text: string) => (text === '' ? '' : `\`${text}\``)

// ---- settings

const settings = new Settings(() => {})

function ownSettings(): string {
  const rows = [...settingFacts.values()]
    .filter((f) => f.name.startsWith('lattice.'))
    .map((f) => {
      const range = f.type === 'bool' ? 'on, off' : `${f.min} to ${f.max}${f.unit === null ? '' : ` ${f.unit}`}`
      return [code(f.name), code(settings.show(f.name)), range, f.description]
    })
  return table(['Setting', 'Default', 'Values', 'Meaning'], rows)
}

/** PostgreSQL's settings that do something here, and what they do where that is not all that they do there. */
const effective: Readonly<Record<string, string>> = {
  application_name: '',
  bytea_output: '',
  check_function_bodies: '',
  client_encoding: 'UTF8 only; SQL_ASCII is taken, and the same',
  DateStyle: 'ISO only; the order of day, month and year is obeyed',
  default_transaction_isolation: 'read uncommitted is read committed',
  default_transaction_read_only: '',
  extra_float_digits: '',
  idle_in_transaction_session_timeout: '',
  idle_session_timeout: '',
  IntervalStyle: '',
  lock_timeout: '',
  search_path: '',
  statement_timeout: '',
  TimeZone: '',
  work_mem: 'what a sort or a hash table holds before it goes to disk',
  ...Object.fromEntries(planWays.map((way) => [`enable_${way}`, 'a way that is off costs 1e10 more'])),
}

function effectiveSettings(): string {
  const rows = Object.entries(effective).map(([name, note]) => [code(name), code(settings.show(name)), note])
  return table(['Setting', 'Default', 'Here'], rows)
}

/** Names of settings that are in the tables. */
export function documentedSettings(): Set<string> {
  const own = [...settingFacts.keys()].filter((name) => name.startsWith('lattice.'))
  return new Set([...own, ...Object.keys(effective)].map((name) => name.toLowerCase()))
}

/** Keys of a node's configuration with the comment above each, as config.ts has them. */
function configuration(): string {
  const source = read('src/node/config.ts')
  const body = source.slice(source.indexOf('const schema = '), source.indexOf('export type ConfigInput'))
  const defaults = checkConfig({ data: 'DIRECTORY' }, 'the reference') as unknown as Record<string, any>
  const said = ['pg', 'http', 'locality', 'join', 'data', 'socket', 'peer', 'advertise', 'tls', 'peerTls', 'nodeId']
  const addresses: Record<string, string> = { pg: '127.0.0.1:7432', http: '127.0.0.1:7480' }
  const rows = [...body.matchAll(/(?: {2}\/\*\* (.*?) \*\/\n)?^ {2}(\w+): /gm)].map(([, comment = '', key]) => {
    const value = said.includes(key) ? (addresses[key] ?? '') : JSON.stringify(defaults[key])
    return [code(key), code(value), comment]
  })
  return table(['Key', 'Default', 'Meaning'], rows)
}

// ---- metrics, system relations

function metrics(): string {
  const source = read('src/node/node-metrics.ts') + read('src/node/cluster-metrics.ts')
  const calls = source.matchAll(/metrics\.(counter|gauges?)\(\s*'(\w+)',\s*'((?:[^'\\]|\\.)*)',\s*(?:'(\w+)',)?/g)
  const rows = [...calls].map(([, kind, name, help, label]) => [
    code(label === undefined ? name : `${name}{${label}}`),
    kind === 'counter' ? 'counter' : 'gauge',
    help,
  ])
  return table(['Metric', 'Kind', 'What'], rows)
}

function liveRelations(): string {
  registerSystemCatalogs()
  const live = [...systemRelations()].filter((r) => r.rows !== undefined && !r.stable)
  return live
    .map((r) => `- ${code(r.descriptor.name)}`)
    .sort()
    .join('\n')
}

// ---- HTTP

function pages(): string {
  const head = read('src/node/http-server.ts')
  const rows = [...head.matchAll(/^ \* {3}(GET|POST) +(\S+) {2,}(.*)$/gm)].map(([, method, path, what]) => [
    code(`${method} ${path}`),
    what,
  ])
  return table(['Request', 'Answer'], rows)
}

function eventRoutes(): string {
  const rows = Object.entries(openApi.paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, { readonly summary?: string }>).map(([method, { summary = '' }]) => [
      code(`${method.toUpperCase()} ${path}`),
      summary,
    ]),
  )
  return table(['Request', 'What'], rows)
}

// ---- command line

export function commandNames(): string[] {
  return [...read('src/cli/main.ts').matchAll(/\.command\('(\w+)'\)/g)].map((m) => m[1])
}

function commands(): string {
  return commandNames()
    .map((name) => {
      const run = spawnSync(process.execPath, [join(root, 'src/cli/main.ts'), name, '--help'], {
        encoding: 'utf8',
        env: { ...process.env, NO_COLOR: '1', COLUMNS: '120', NODE_NO_WARNINGS: '1' },
      })
      return `### ${name}\n\n\`\`\`\n${run.stdout.trimEnd()}\n\`\`\``
    })
    .join('\n\n')
}

export const blocks: Readonly<Record<string, () => string>> = {
  'own settings': ownSettings,
  'effective settings': effectiveSettings,
  configuration,
  metrics,
  'live relations': liveRelations,
  pages,
  'event routes': eventRoutes,
  commands,
}
