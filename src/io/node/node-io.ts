/**
 * The real outside world of one node, and the end of it.
 *
 * Not here: what a node is made of (node/).
 */
import { availableParallelism } from 'node:os'
import type { Io, Log } from '../ports.ts'
import { NodeClock } from './node-clock.ts'
import { NodeDisk } from './node-disk.ts'
import { type LogLevel, nodeLog } from './node-log.ts'
import { NodeNetwork } from './node-network.ts'
import { NodeRandom } from './node-random.ts'
import { NodeTasks } from './node-tasks.ts'

/** The exit status after a fatal failure: EX_SOFTWARE of sysexits.h. */
export const fatalStatus = 70

export interface NodeIoOptions {
  /** Default info. */
  logLevel?: LogLevel
  /** Where log lines go instead of standard error. */
  log?: Log
  /** Called after a fatal failure was logged; ends the process with status 70 by default. */
  exit?: (status: number) => void
  /** Worker threads for CPU-bound jobs, at most; started when needed. Default: the cores, 1 to 4. */
  workers?: number
}

export interface NodeIo extends Io {
  /** Ends this incarnation: timers are cancelled, workers stopped. Calling it again does nothing. */
  stop(): Promise<void>
}

export function nodeIo(options: NodeIoOptions = {}): NodeIo {
  const workers = options.workers ?? Math.min(4, Math.max(1, availableParallelism()))
  const log = options.log ?? nodeLog(options.logLevel ?? 'info')
  const exit = options.exit ?? ((status: number) => process.exit(status))
  const tasks = new NodeTasks(workers)
  let dead = false
  return {
    clock: new NodeClock(),
    random: new NodeRandom(),
    disk: new NodeDisk(),
    network: new NodeNetwork(),
    tasks,
    log,
    get dead() {
      return dead
    },
    fatal(reason, cause) {
      if (dead) return
      dead = true
      log.error('fatal', { reason, cause: cause instanceof Error ? (cause.stack ?? cause.message) : cause })
      exit(fatalStatus)
    },
    async stop() {
      dead = true
      await tasks.stop()
    },
  }
}
