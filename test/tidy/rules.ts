/**
 * The house rules as code: which layer may import which, what nobody may call, how long a file may be. The tests beside
 * apply them to the tree and to planted violations.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import ts from 'typescript-6'

export const root = resolve(import.meta.dirname, '../..')

/** Layers from the ground up: a file imports from its own layer and from those before it. */
export const layers = [
  ['base'],
  ['io'],
  ['encoding'],
  ['storage'],
  ['cluster'],
  ['replication'],
  ['transaction'],
  ['jobs'],
  ['model'],
  ['sql'],
  ['security'],
  ['wire'],
  ['node'],
  ['cli', 'client', 'testing'],
]

/** Layers that see less than their place would allow. */
const narrower: Record<string, readonly string[]> = { security: ['base', 'io', 'encoding'] }
/** Layers that see more, and why: docs/decisions/imports.md. */
const wider: Record<string, readonly string[]> = { cli: ['client'], testing: ['client'] }

/** Which packages each layer may use; node:* modules are packages too. */
export const packages: Record<string, readonly string[]> = {
  base: [],
  encoding: ['node:buffer'],
  io: ['node:*', 'pino'],
  storage: ['node:zlib', 'lz4-napi', 'node:crypto', 'node:buffer', 'node:path', 'node:module'],
  cluster: ['node:zlib'],
  replication: ['@noble/hashes'],
  transaction: [],
  sql: ['libpg-query', '@pgsql/types', 'temporal-polyfill', 'node:crypto', 'node:module', 'node:zlib', 'node:buffer'],
  security: ['node:crypto', 'node:tls', '@peculiar/x509'],
  // ajv compiles JSON Schemas of event stores.
  model: ['ajv', 'ajv-formats'],
  wire: ['node:crypto', 'node:stream', 'fastify', '@fastify/compress', '@fastify/cors', '@fastify/websocket', 'ws'],
  node: ['fastify', 'pino', 'prom-client', 'zod', 'node:path'],
  client: ['node:crypto', 'node:path', 'node:url', 'react'],
  cli: ['commander', '@clack/prompts', 'listr2', 'zod', 'node:*'],
  testing: ['node:path', 'node:crypto', 'node:stream', 'node:zlib'],
}

/** Only io/node and io/browser reach the outside; the command line is a process of its own. */
const outside = ['src/io/node/', 'src/io/browser/', 'src/cli/']

export const banned: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  { pattern: /\bnew Date\b|\bDate\.(now|parse|UTC)\b|(?<![\w.'"])Date\(/, what: 'Date' },
  { pattern: /\bTemporal\.Now\b/, what: 'Temporal.Now' },
  { pattern: /(?<![\w.])performance\.(now|mark|measure)\b/, what: 'performance' },
  { pattern: /\bprocess\.(hrtime|memoryUsage)\b/, what: 'process.hrtime, process.memoryUsage' },
  { pattern: /\bMath\.random\b/, what: 'Math.random' },
  { pattern: /(?<![\w.#])(setTimeout|setInterval|setImmediate)\(/, what: 'timers' },
  { pattern: /(?<![\w.#])queueMicrotask\(/, what: 'queueMicrotask (base has microtask)' },
  { pattern: /\bAbortSignal\.timeout\b/, what: 'AbortSignal.timeout' },
  { pattern: /(?<![\w.#])fetch\(/, what: 'fetch' },
  { pattern: /\brandomBytes\s*\}|\brandomUUID\b|\bgetRandomValues\b|crypto\.random/, what: 'crypto random' },
  {
    pattern: /from 'node:(fs|net|tls|timers|worker_threads|fs\/promises|timers\/promises)'/,
    what: 'node:fs, node:net, node:tls, timers, workers',
  },
  { pattern: /\.localeCompare\(/, what: 'localeCompare' },
  { pattern: /\bnew (WeakRef|FinalizationRegistry)\b/, what: 'WeakRef, FinalizationRegistry' },
]

export const maxLines = 800

export function sources(folder = 'src'): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((f) => f.endsWith('.ts'))
    .map((f) => join(folder, f))
    .sort()
}

/** Tests may import and call anything; so may what only they use. */
export function isTest(path: string): boolean {
  return /\.(test|conformance|fixture|harness)\.ts$/.test(path)
}

export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

/** Source text with comments and strings blanked, so that words in them are no calls. Import paths stay. */
export function code(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (m) => m.replace(/[^\n]/g, ' '))
    .replace(/(^|[^:'"`])\/\/[^\n]*/g, (m, before: string) => before + ' '.repeat(m.length - before.length))
}

export function layerOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1]
}

export interface Violation {
  readonly file: string
  readonly line: number
  readonly what: string
}

/** Every import, export-from and dynamic import, type-only ones included, by the compiler's own scanner. */
export function importsOf(text: string): { path: string; line: number }[] {
  return ts
    .preProcessFile(text, true, true)
    .importedFiles.map((f) => ({ path: f.fileName, line: text.slice(0, f.pos).split('\n').length }))
}

/** Violations of the import direction and of the package lists in one file. */
export function checkImports(file: string, text: string): Violation[] {
  const own = layerOf(file)
  if (own === undefined) return []
  const out: Violation[] = []
  const place = layers.findIndex((l) => l.includes(own))
  if (place < 0) return [{ file, line: 1, what: `src/${own} is no layer` }]
  for (const { path, line } of importsOf(text)) {
    if (!path.startsWith('.')) {
      if (!allowed(own, path)) out.push({ file, line, what: `${own} may not use the package ${path}` })
      continue
    }
    const target = relative(root, resolve(root, dirname(file), path))
    const other = layerOf(target)
    if (other === undefined || other === own) continue
    const there = layers.findIndex((l) => l.includes(other))
    const seen =
      narrower[own] === undefined
        ? there < place || (wider[own]?.includes(other) ?? false)
        : narrower[own].includes(other)
    if (!seen) out.push({ file, line, what: `${own} may not import from ${other}` })
  }
  return out
}

function allowed(layer: string, name: string): boolean {
  const list = packages[layer] ?? []
  const bare = name.startsWith('@')
    ? name.split('/').slice(0, 2).join('/')
    : name.startsWith('node:')
      ? name
      : name.split('/')[0]
  return list.some((p) => p === bare || (p === 'node:*' && bare.startsWith('node:')))
}

export function checkCalls(file: string, text: string): Violation[] {
  if (outside.some((o) => file.startsWith(o))) return []
  const out: Violation[] = []
  code(text)
    .split('\n')
    .forEach((line, i) => {
      for (const b of banned)
        if (b.pattern.test(line))
          out.push({ file, line: i + 1, what: `${b.what} is banned outside of io/node and io/browser` })
    })
  return out
}

const names = /(^|[-/])(utils?|helpers?|common|manager|impl|v2|misc)([-./]|$)/

export function checkFile(file: string, text: string): Violation[] {
  const out: Violation[] = []
  const lines = text.split('\n').length
  if (lines > maxLines) out.push({ file, line: lines, what: `${lines} lines: more than ${maxLines}` })
  if (names.test(file)) out.push({ file, line: 1, what: 'a name that says nothing' })
  if (!/^[a-z0-9/.-]+$/.test(file)) out.push({ file, line: 1, what: 'names are kebab-case' })
  return out
}

export function show(violations: readonly Violation[]): string {
  return violations.map((v) => `${v.file}:${v.line}  ${v.what}`).join('\n')
}
