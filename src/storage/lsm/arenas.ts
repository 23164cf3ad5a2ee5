/**
 * Memory of memtables, used again. A SharedArrayBuffer is not reclaimed before every thread that saw it has collected its
 * garbage, which an idle worker may never do: fresh arenas for every memtable would pile up.
 *
 * Not here: when an arena is free (memtable.ts, `retire`).
 */

/** As many as can be full or in flushing at once. */
const kept = 6

export class Arenas {
  readonly #bytes: number
  readonly #free: SharedArrayBuffer[] = []

  /** @param bytes of an ordinary arena. */
  constructor(bytes: number) {
    this.#bytes = (bytes + 7) & ~7
  }

  /** An arena of at least the ordinary size; its contents are arbitrary. */
  take(need: number): SharedArrayBuffer {
    if (need > this.#bytes) return new SharedArrayBuffer((need + 7) & ~7)
    // The one that was given back first: ranges that a careless reader still holds stay what they were a while longer.
    return this.#free.shift() ?? new SharedArrayBuffer(this.#bytes)
  }

  giveBack(arena: SharedArrayBuffer): void {
    if (arena.byteLength === this.#bytes && this.#free.length < kept) this.#free.push(arena)
  }
}
