/**
 * The log stream of the node itself: what only this node decides (which replicas it holds), a group of one.
 *
 * Not here: what partitions replicate.
 */
import type { HybridClock } from '../../base/index.ts'
import { type WriteSetBuilder, WriteSetReader } from '../../encoding/index.ts'
import type { CommitLog, Engine } from '../../storage/index.ts'

/** Partitions and replicas have other streams. */
export const nodeStream = 1

export class NodeStream {
  readonly #log: CommitLog
  readonly #engine: Engine
  readonly #clock: HybridClock
  #index: number

  constructor(log: CommitLog, engine: Engine, clock: HybridClock) {
    this.#log = log
    this.#engine = engine
    this.#clock = clock
    this.#index = Math.max(log.lastIndex(nodeStream), engine.applied(nodeStream))
  }

  /** Nothing was ever written. */
  get empty(): boolean {
    return this.#index === 0
  }

  /** Applies what tables do not hold yet. */
  async replay(): Promise<void> {
    const applied = this.#engine.applied(nodeStream)
    if (this.#log.lastIndex(nodeStream) <= applied) return
    await this.#log.read(nodeStream, applied + 1, this.#index, ({ payload, index }) => {
      // What is written from now on comes later, wherever the wall clock stands.
      this.#clock.observe(new WriteSetReader(payload).timestamp)
      this.#engine.apply(payload, nodeStream, index)
    })
  }

  /** Resolves when the writes are durable and applied. */
  write(set: WriteSetBuilder, timestamp: number): Promise<void> {
    const payload = new Uint8Array(set.finish(timestamp))
    const index = ++this.#index
    return new Promise((done) => {
      this.#log.append({ stream: nodeStream, index, term: 1, transactionId: 0, payload }, () => {
        this.#engine.apply(payload, nodeStream, index)
        done()
      })
    })
  }

  reclaim(): void {
    this.#log.release(nodeStream, this.#engine.flushed(nodeStream))
  }
}
