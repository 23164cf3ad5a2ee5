/**
 * Keys that prepared transactions have written, on all partitions of a node: what reads and other commits may have to wait
 * for.
 *
 *   of few writes    each key by itself
 *   of large ones    the chunks, by their bounds, or by their keys where these are known
 *
 * Not here: what prepares are (partition-state.ts), waiting (leaseholder.ts, follower-reads.ts).
 */
import type { Timestamp } from '../../base/index.ts'
import type { Chunked } from './chunks.ts'
import type { Prepared } from './partition-state.ts'

export class PreparedKeys {
  readonly #keys = new Map<string, Prepared>()
  readonly #large = new Set<Prepared>()

  /** 0 when nothing can be in anybody's way. */
  get size(): number {
    return this.#keys.size + this.#large.size
  }

  add(prepared: Prepared): void {
    if (prepared.chunked !== undefined) this.#large.add(prepared)
    else for (const key of prepared.keys) this.#keys.set(key, prepared)
  }

  delete(prepared: Prepared): void {
    this.#large.delete(prepared)
    for (const key of prepared.keys) if (this.#keys.get(key) === prepared) this.#keys.delete(key)
  }

  /** A prepare at or below the timestamp, of another transaction, that has written the key. */
  blocking(text: string, at: Timestamp, transaction: number): Prepared | undefined {
    const one = this.#keys.get(text)
    if (one !== undefined && one.timestamp <= at && one.transaction !== transaction) return one
    for (const large of this.#large)
      if (large.timestamp <= at && large.transaction !== transaction && large.chunked!.has(text)) return large
    return undefined
  }

  /** The same of any key in [start, end). */
  blockingSpan(start: string, end: string | undefined, at: Timestamp, transaction: number): Prepared | undefined {
    for (const [text, one] of this.#keys) {
      const inside = text >= start && (end === undefined || text < end)
      if (inside && one.timestamp <= at && one.transaction !== transaction) return one
    }
    for (const large of this.#large)
      if (large.timestamp <= at && large.transaction !== transaction && large.chunked!.overlaps(start, end))
        return large
    return undefined
  }

  /** A prepare of another transaction that has written one of the keys of chunks. */
  among(chunked: Chunked): Prepared | undefined {
    const { transaction } = chunked
    for (const [key, one] of this.#keys) if (one.transaction !== transaction && chunked.has(key)) return one
    for (const large of this.#large)
      if (large.transaction !== transaction && large.chunked!.meets(chunked)) return large
    return undefined
  }
}
