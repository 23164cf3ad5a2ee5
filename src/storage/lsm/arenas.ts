/**
 * Memory that is shared with workers, used again: of memtables, and of what flushes and merges read and write.
 *
 * A SharedArrayBuffer is not reclaimed before every thread that saw it has collected its garbage, which an idle worker may
 * never do: fresh ones would pile up. Buffers that move between threads instead are counted as garbage of the loop's thread:
 * it then collected its whole heap several times for each table.
 *
 * Not here: when an arena is free (memtable.ts, `retire`; compactor.ts).
 */

export class Arenas {
  readonly #bytes: number
  readonly #kept: number
  readonly #free: SharedArrayBuffer[] = []

  /** @param bytes of an ordinary arena. @param kept as many as are in use at once, under load. */
  constructor(bytes: number, kept: number) {
    this.#bytes = (bytes + 7) & ~7
    this.#kept = kept
  }

  /** An arena of at least the ordinary size; its contents are arbitrary. */
  take(need: number): SharedArrayBuffer {
    if (need > this.#bytes) return new SharedArrayBuffer((need + 7) & ~7)
    // The one that was given back first: ranges that a careless reader still holds stay what they were a while longer.
    return this.#free.shift() ?? new SharedArrayBuffer(this.#bytes)
  }

  giveBack(arena: SharedArrayBuffer): void {
    if (arena.byteLength === this.#bytes && this.#free.length < this.#kept) this.#free.push(arena)
  }
}
