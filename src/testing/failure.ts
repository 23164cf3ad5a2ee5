/**
 * What a failed simulation tells: the error as it was thrown, so that runners show its diff and its place, and with it
 * the seed, a command that replays it, and what the nodes logged last.
 *
 * Not here: catching it (sim-test.ts).
 */
import { relative } from 'node:path'
import type { SimLogEntry } from './sim-cluster.ts'

/** Log entries that are shown. */
const shownEntries = 30

interface Place {
  readonly file: string | undefined
  readonly name: string | undefined
  readonly runner: 'vitest' | 'jest' | 'node'
}

/** The same error with the seed and the command in its message; the log goes to the console. */
export function told(error: unknown, seed: string, context: unknown, log: readonly SimLogEntry[]): unknown {
  const failure = error instanceof Error || isErrorLike(error) ? error : new Error(String(error), { cause: error })
  const lines = `\n\nseed ${seed}, replay: ${replayCommand(seed, placeOf(context))}\n`
  addToMessage(failure, lines)
  const shown = log.filter((entry) => entry.level !== 'debug').slice(-shownEntries)
  if (shown.length > 0) console.error(`seed ${seed}, the last of the log:\n${shown.map(formatEntry).join('\n')}`)
  return failure
}

/** Errors of another realm (jest runs tests in one of their own). */
function isErrorLike(error: unknown): error is Error {
  return typeof error === 'object' && error !== null && typeof (error as Error).message === 'string'
}

/** Runners print the stack, which repeats the message as it was when the error was made. */
function addToMessage(error: Error, lines: string): void {
  const { message, stack } = error
  try {
    error.message = message + lines
    if (typeof stack !== 'string') return
    const at = stack.indexOf(message)
    error.stack =
      at < 0
        ? `${error.message}\n${stack}`
        : stack.slice(0, at + message.length) + lines + stack.slice(at + message.length)
  } catch {
    // A frozen error is shown as it is; the console has the seed.
    console.error(lines.trim())
  }
}

export function replayCommand(seed: string, { file, name, runner }: Place): string {
  const quoted = /^[\w.-]+$/.test(seed) ? seed : `'${seed}'`
  const filter = name === undefined ? '' : shellQuoted(escapePattern(name))
  const command =
    runner === 'vitest'
      ? `npx vitest run ${file ?? ''} ${filter && `-t ${filter}`}`
      : runner === 'jest'
        ? `npx jest ${file ?? ''} ${filter && `-t ${filter}`}`
        : `node --test ${filter && `--test-name-pattern=${filter}`} ${file ?? ''}`
  return `LATTICE_SEED=${quoted} ${command.replace(/ +/g, ' ').trim()}`
}

function escapePattern(name: string): string {
  return name.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
}

function shellQuoted(text: string): string {
  return /^[\w.-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

/** What the runner says of the running test. */
function placeOf(context: unknown): Place {
  const { expect, __vitest_worker__: worker } = globalThis as any
  if (process.env.VITEST !== undefined) {
    const { task } = (context ?? {}) as { task?: { name?: string } }
    return { runner: 'vitest', file: shown(worker?.filepath), name: task?.name }
  }
  if (process.env.JEST_WORKER_ID !== undefined) {
    const state = expect?.getState?.()
    return { runner: 'jest', file: shown(state?.testPath), name: state?.currentTestName }
  }
  const { name, filePath } = (context ?? {}) as { name?: string; filePath?: string }
  return { runner: 'node', file: shown(filePath ?? process.argv[1]), name }
}

function shown(path: string | undefined): string | undefined {
  return path === undefined ? undefined : relative(process.cwd(), path)
}

function formatEntry({ at, node, level, event, fields }: SimLogEntry): string {
  const details = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${value instanceof Error ? value.message : String(value)}`)
  return `${at.toFixed(1).padStart(10)} ms  node ${node}  ${level.padEnd(5)} ${event} ${details.join(' ')}`.trimEnd()
}
