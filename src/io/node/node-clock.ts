/**
 * The machine's clocks. `Date.now` has milliseconds only, so the microseconds inside one come from the monotonic
 * clock since the millisecond was first seen: steps of the wall clock (NTP, an operator) show at once.
 *
 * Not here: hybrid timestamps (base/timestamp.ts).
 */
import type { Clock } from '../ports.ts'

export class NodeClock implements Clock {
  #millis = 0
  #since = 0

  wallMicros(): number {
    const millis = Date.now()
    const now = performance.now()
    if (millis !== this.#millis) {
      this.#millis = millis
      this.#since = now
      return millis * 1000
    }
    const within = Math.floor((now - this.#since) * 1000)
    return millis * 1000 + (within > 999 ? 999 : within)
  }

  monotonicMicros(): number {
    return Math.floor(performance.now() * 1000)
  }
}
