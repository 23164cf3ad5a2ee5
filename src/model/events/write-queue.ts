/**
 * Writers wait in line; whoever comes while a write is under way is part of the next one. So the cost of making things
 * durable is paid once for all who came together, and there is one write at a time.
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

/** A write is not made larger than this by joining works; one work alone may be. */
const groupBytes = 4 << 20
const groupWorks = 4096

export class WriteQueue<W> {
  readonly #commit: (works: readonly W[]) => Promise<void>
  #waiting: Waiting<W>[] = []
  #running: Promise<void> | undefined
  #failure: unknown

  /** `commit` makes all of the works durable or rejects; a work that fails alone says so in its own fields. */
  constructor(commit: (works: readonly W[]) => Promise<void>) {
    this.#commit = commit
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

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#take()
      try {
        if (this.#failure !== undefined) throw this.#failure
        await this.#commit(group.map((w) => w.work))
        for (const { resolve } of group) resolve()
      } catch (error) {
        if (!(error instanceof DbError && error.code === 'disk_full')) this.fail(error)
        for (const { reject } of group) reject(error)
      }
    }
    this.#running = undefined
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
