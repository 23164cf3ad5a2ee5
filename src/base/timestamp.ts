/**
 * The hybrid logical clock (Kulkarni et al., 2014) in one safe integer of microseconds since the Unix epoch.
 *
 *   next = max(wallMicros, last + 1)
 *
 * 8 bytes big-endian on disk and wire. It is paired with a node id only where ties must break.
 */
export type Timestamp = number

/** Requests stamped further ahead of our wall clock than this are refused. Microseconds. */
export const maxSkewMicros = 500_000

/** No timestamp is above this; a read at it sees the newest of everything. */
export const maxTimestamp: Timestamp = Number.MAX_SAFE_INTEGER

export class HybridClock {
  #last: Timestamp
  readonly #wallMicros: () => number

  /** @param floor nothing at or below this is issued: what an earlier incarnation may have issued. */
  constructor(wallMicros: () => number, floor: Timestamp = 0) {
    this.#wallMicros = wallMicros
    this.#last = floor
  }

  /** A timestamp above every one issued or observed so far. */
  next(): Timestamp {
    const wall = this.#wallMicros()
    this.#last = wall > this.#last ? wall : this.#last + 1
    return this.#last
  }

  /** The newest timestamp issued or observed. */
  get last(): Timestamp {
    return this.#last
  }

  /** How far the newest timestamp runs ahead of our wall clock: others did, or a new leader has to. Microseconds. */
  get aheadMicros(): number {
    return Math.max(0, this.#last - this.#wallMicros())
  }

  /** Takes note of a timestamp that another node or a committed entry carries. */
  observe(timestamp: Timestamp): void {
    if (timestamp > this.#last) this.#last = timestamp
  }
}
