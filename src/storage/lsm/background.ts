/**
 * One kind of background work, done one piece at a time: started by `kick`, retried after a full disk, ended with the
 * engine.
 *
 *   kick ─▶ work() until it answers false ─▶ idle
 *              │ disk_full: wait, then again
 *              │ anything else: the owner's `failed` decides
 *
 * Not here: the work (lsm-engine.ts, compactor.ts).
 */
import { DbError } from '../../base/index.ts'
import type { Io, Timer } from '../../io/index.ts'

const retryMs = 1000

export class Background {
  readonly #io: Io
  readonly #name: string
  readonly #work: () => Promise<boolean>
  readonly #failed: (error: unknown) => void
  #running: Promise<void> | undefined
  #again = false
  #stopped = false
  #timer: Timer | undefined
  readonly #retried: (() => void)[] = []

  /** @param work does one piece and tells whether there was one. */
  constructor(io: Io, name: string, work: () => Promise<boolean>, failed: (error: unknown) => void) {
    this.#io = io
    this.#name = name
    this.#work = work
    this.#failed = failed
  }

  get busy(): boolean {
    return this.#running !== undefined
  }

  kick(): void {
    if (this.#stopped) return
    this.#again = true
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      if (this.#again && !this.#stopped && this.#timer === undefined) this.kick()
    })
  }

  /** Resolves when nothing is left to do: retries after a full disk are waited for. */
  async idle(): Promise<void> {
    while (!this.#stopped && (this.#running !== undefined || this.#timer !== undefined)) {
      await (this.#running ?? new Promise<void>((done) => this.#retried.push(done)))
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    this.#timer = undefined
    this.#resumeIdle()
    await this.#running
  }

  #resumeIdle(): void {
    for (const done of this.#retried.splice(0)) done()
  }

  get stopped(): boolean {
    return this.#stopped
  }

  async #run(): Promise<void> {
    try {
      this.#again = false
      while (!this.#stopped && !this.#io.dead && (await this.#work()));
    } catch (error) {
      if (this.#io.dead || this.#stopped) return
      if (!(error instanceof DbError) || error.code !== 'disk_full') {
        this.#failed(error)
        return
      }
      this.#io.log.warn('disk-full', { during: this.#name })
      this.#timer = this.#io.tasks.after(retryMs, () => {
        this.#timer = undefined
        this.kick()
        this.#resumeIdle()
      })
    }
  }
}
