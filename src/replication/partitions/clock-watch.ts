/**
 * Watches the wall clock against the monotonic one. Timestamps are wall time, and others rely on ours being near theirs:
 * a node whose wall clock is set by more than `maxSkew` at once cannot know what it has promised in that time any more.
 *
 * Not here: slow drift, which is corrected slowly (NTP slews) and shows as skew between nodes.
 */
import { maxSkewMicros } from '../../base/index.ts'
import type { Clock } from '../../io/index.ts'

/** Two readings that lie further apart than this were interrupted, and say nothing of each other. */
const pairMicros = 10_000

export class ClockWatch {
  readonly #clock: Clock
  /** Wall minus monotonic, when last read. */
  #offset: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** By how much the wall clock was set since the last call, when that is more than is tolerated; otherwise undefined. Microseconds. */
  jumpMicros(): number | undefined {
    const before = this.#clock.monotonicMicros()
    const wall = this.#clock.wallMicros()
    if (this.#clock.monotonicMicros() - before > pairMicros) return undefined
    const offset = wall - before
    const jump = this.#offset === undefined ? 0 : offset - this.#offset
    this.#offset = offset
    return Math.abs(jump) > maxSkewMicros ? jump : undefined
  }
}
