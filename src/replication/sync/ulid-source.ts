/**
 * Makes ULIDs. Those of now ascend, whatever the wall clock does: within a millisecond, and while the clock stands behind
 * the newest key, the random part counts up. Those of a time of the caller's are for events that happened then; they ascend
 * among themselves as long as the same time is asked for, and leave those of now alone.
 *
 * Not here: text (ulid.ts).
 */
import type { Random } from '../../io/index.ts'
import { maxUlidMs, putUlidTime } from './ulid.ts'

const randomBytes = 10

export class UlidSource {
  readonly #random: Random
  #nowMs = -1
  #now: Uint8Array = new Uint8Array(randomBytes)
  #pastMs = -1
  #past: Uint8Array = new Uint8Array(randomBytes)

  /**
   * @param floorMs time of the newest key that an earlier life made. Keys of now begin behind that millisecond with a
   * fresh random part: copies of one store must not count up from the same key.
   */
  constructor(random: Random, floorMs = -1) {
    this.#random = random
    this.#nowMs = floorMs
    this.#now.fill(255)
  }

  /** Time of the newest key of now, -1 when there is none. */
  get nowMs(): number {
    return this.#nowMs
  }

  /** Writes a key that is above all earlier ones of now. */
  now(wallMs: number, into: Uint8Array, at: number): void {
    if (wallMs > this.#nowMs) {
      this.#nowMs = wallMs
      this.#now = this.#fresh()
    } else if (!countUp(this.#now)) {
      this.#nowMs = Math.min(this.#nowMs + 1, maxUlidMs)
      this.#now = this.#fresh()
    }
    putUlidTime(into, at, this.#nowMs)
    into.set(this.#now, at + 6)
  }

  /** Writes a key of an event that happened at `ms`. Errors: event_key_malformed. */
  past(ms: number, into: Uint8Array, at: number): void {
    putUlidTime(into, at, ms)
    if (ms !== this.#pastMs || !countUp(this.#past)) {
      this.#pastMs = ms
      this.#past = this.#fresh()
    }
    into.set(this.#past, at + 6)
  }

  /** The first bit is left free, so that counting up has room. */
  #fresh(): Uint8Array {
    const bytes = this.#random.bytes(randomBytes)
    bytes[0] &= 127
    return bytes
  }
}

/** False when all bits were ones. */
function countUp(bytes: Uint8Array): boolean {
  for (let i = bytes.length - 1; i >= 0; i--) {
    if (bytes[i] !== 255) {
      bytes[i]++
      return true
    }
    bytes[i] = 0
  }
  return false
}
