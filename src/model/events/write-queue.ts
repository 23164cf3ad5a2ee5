/**
 * Writers wait in line; whoever comes while a write is being prepared is part of the next one. One write is prepared at a
 * time, while those before it become durable.
 *
 *   works ─► prepare ─► durable ─► the callers go on, in order
 *            prepare ──► durable ─►
 *
 * Not here: what a write does.
 */
import { DbError, microtask } from '../../base/index.ts'

interface Waiting<W> {
  readonly work: W
  readonly bytes: number
  resolve(): void
  reject(error: unknown): void
}

/** What was prepared and not refused. */
export interface UnderWay {
  /** Rejects when nothing can be written any more. */
  readonly durable: Promise<void>
}

/** A write is not made larger than this by joining works; one work alone may be. The next one is prepared meanwhile. */
const groupBytes = 128 * 1024
const groupWorks = 512

export class WriteQueue<W> {
  readonly #prepare: (works: readonly W[]) => Promise<UnderWay>
  #waiting: Waiting<W>[] = []
  #running: Promise<void> | undefined
  /** Until all that was prepared is durable. */
  #settled: Promise<void> = Promise.resolve()
  #failure: unknown

  /**
   * `prepare` resolves when the next may be prepared, and rejects when nothing of the works will be done; a work that fails
   * alone says so in its own fields. Writes become durable in the order in which they were prepared.
   */
  constructor(prepare: (works: readonly W[]) => Promise<UnderWay>) {
    this.#prepare = prepare
  }

  /** Later works are refused with this. */
  fail(error: unknown): void {
    this.#failure ??= error
  }

  /** Resolves when the work is durable. `bytes` is about what it adds to the write. */
  add(work: W, bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure)
        return
      }
      this.#waiting.push({ work, bytes, resolve, reject })
      this.#running ??= new Promise((done) => microtask(() => void this.#run().then(done)))
    })
  }

  /** Resolves when nothing waits and nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
    await this.#settled
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#take()
      try {
        if (this.#failure !== undefined) throw this.#failure
        const { durable } = await this.#prepare(group.map((w) => w.work))
        this.#settled = this.#settle(group, durable)
      } catch (error) {
        if (!(error instanceof DbError && error.code === 'disk_full')) this.fail(error)
        for (const { reject } of group) reject(error)
      }
    }
    this.#running = undefined
  }

  async #settle(group: readonly Waiting<W>[], durable: Promise<void>): Promise<void> {
    try {
      await durable
      for (const { resolve } of group) resolve()
    } catch (error) {
      // Others were prepared upon it.
      this.fail(error)
      for (const { reject } of group) reject(error)
    }
  }

  #take(): Waiting<W>[] {
    let bytes = 0
    let n = 0
    while (n < this.#waiting.length && n < groupWorks) {
      bytes += this.#waiting[n].bytes
      if (n > 0 && bytes > groupBytes) break
      n++
    }
    return this.#waiting.splice(0, n)
  }
}
