/**
 * Timers of the event loop and jobs on worker threads. All of them end with the incarnation that started them.
 *
 * Not here: durable background work (jobs/).
 */
import type { CpuJob, Tasks, Timer } from '../ports.ts'
import { turn } from './turn.ts'
import { WorkerPool } from './worker-pool.ts'

/** setTimeout takes no longer delay. */
const longestMs = 0x7fffffff

export class NodeTasks implements Tasks {
  readonly #pool: WorkerPool
  readonly #timers = new Set<NodeTimer>()

  constructor(workers: number) {
    this.#pool = new WorkerPool(workers)
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = new NodeTimer(this.#timers)
    timer.arm(delayMs, callback)
    return timer
  }

  yield(): Promise<void> {
    return turn()
  }

  cpu<I, O>(job: CpuJob<I, O>, input: I, transfer: readonly ArrayBufferLike[] = []): Promise<O> {
    return this.#pool.run(job.module, job.name, input, transfer) as Promise<O>
  }

  async stop(): Promise<void> {
    for (const timer of [...this.#timers]) timer.cancel()
    await this.#pool.stop()
  }
}

class NodeTimer implements Timer {
  readonly #live: Set<NodeTimer>
  #handle: NodeJS.Timeout | undefined

  constructor(live: Set<NodeTimer>) {
    this.#live = live
    live.add(this)
  }

  arm(delayMs: number, callback: () => void): void {
    const step = Math.min(delayMs, longestMs)
    this.#handle = setTimeout(() => {
      if (delayMs > step) {
        this.arm(delayMs - step, callback)
        return
      }
      this.#live.delete(this)
      callback()
    }, step)
  }

  cancel(): void {
    clearTimeout(this.#handle)
    this.#live.delete(this)
  }
}
