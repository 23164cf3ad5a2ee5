/** A real node as a process on free ports, for tests that kill, trace and starve it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

/** A node that is not ready by then is killed. */
const readyMs = 30_000

const launcher = resolve(import.meta.dirname, '../../bin/lattice')

export interface NodeProcess {
  readonly child: ChildProcess
  /** The node's own, also when a tracer is its parent. */
  readonly pid: number
  readonly host: string
  readonly pgPort: number
  readonly httpPort: number
  readonly url: string
  /** The status with which it ended; null after a signal. */
  readonly ended: Promise<number | null>
  /** What it has logged. */
  log(): string
  /** Sends a signal and waits for the end. */
  end(signal?: NodeJS.Signals): Promise<number | null>
}

export interface StartOptions {
  readonly args?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** A program that runs the node, with its arguments. */
  readonly under?: readonly string[]
  /** Where its doors are. Default 127.0.0.1. */
  readonly host?: string
  /** Use this port again instead of a free one. */
  readonly pgPort?: number
}

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Resolves when the node is ready. Raises an error with its log when it ends instead. */
export function startNode(data: string, options: StartOptions = {}): Promise<NodeProcess> {
  const { args = [], env = {}, under = [], pgPort = 0, host = '127.0.0.1' } = options
  const words = [
    ...under,
    launcher,
    'start',
    '--data',
    data,
    '--pg',
    `${host}:${pgPort}`,
    '--http',
    `${host}:0`,
    ...args,
  ]
  const child = spawn(words[0], words.slice(1), {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  })
  const ended = new Promise<number | null>((done) => child.once('close', (status) => done(status)))
  // Whoever ends the test run must not leave nodes behind.
  running.add(child)
  void ended.then(() => running.delete(child))
  return new Promise((done, fail) => {
    let log = ''
    child.stderr!.on('data', (chunk) => {
      log += chunk
      const line = log.split('\n').find((l) => l.includes('"event":"ready"') && l.endsWith('}'))
      if (line === undefined) return
      clearTimeout(late)
      const ready = JSON.parse(line)
      const pid = under.length === 0 ? child.pid! : childOf(child.pid!)
      done({
        child,
        pid,
        host,
        pgPort: ready.pgPort,
        httpPort: ready.httpPort,
        url: `postgres://lattice@${host}:${ready.pgPort}/lattice`,
        ended,
        log: () => log,
        end: (signal = 'SIGTERM') => {
          // Not through the tracer, which would let go of the node and leave it behind.
          if (child.exitCode === null && child.signalCode === null) signalProcess(pid, signal)
          return ended
        },
      })
    })
    void ended.then((status) => fail(new Error(`the node ended with ${status}: ${log}`)))
    const late = setTimeout(() => child.kill('SIGKILL'), readyMs)
    void ended.then(() => clearTimeout(late))
  })
}

/** What a tracer runs; a program that became the node itself has no child. */
function childOf(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
  return child === '' ? pid : Number(child)
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {} // it has just ended by itself
}

/** The node's GET /status. */
export async function statusOf(node: NodeProcess): Promise<Record<string, any>> {
  return (await (await fetch(`http://${node.host}:${node.httpPort}/status`)).json()) as Record<string, any>
}
