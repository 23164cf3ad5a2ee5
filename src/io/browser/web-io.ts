/**
 * The ports of the outside world on what every browser has; Node has it too, so the same code runs in both.
 *
 * Not here: requests to others (web.ts), tabs (tabs.ts), IndexedDB (indexed-db.ts).
 */
import type { Clock, Random, Timer } from '../ports.ts'

/** The timers of `Tasks`; a page has no jobs for workers. */
export interface WebTasks {
  /** Calls back after at least `delayMs`. A page that is hidden may be called a minute later. */
  after(delayMs: number, callback: () => void): Timer
  /** Resolves when other ready work of the loop has had its turn. */
  yield(): Promise<void>
}

export interface WebIo {
  readonly clock: Clock
  readonly random: Random
  readonly tasks: WebTasks
}

const bufferBytes = 4096

class WebRandom implements Random {
  readonly #buffer = new Uint8Array(bufferBytes)
  #used = bufferBytes

  /** Asking the system anew for every number would cost more than the number. */
  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length)
    for (let at = 0; at < length; ) {
      if (this.#used === bufferBytes) {
        crypto.getRandomValues(this.#buffer)
        this.#used = 0
      }
      const count = Math.min(length - at, bufferBytes - this.#used)
      out.set(this.#buffer.subarray(this.#used, this.#used + count), at)
      // What was given out is not kept: it may have become a key.
      this.#buffer.fill(0, this.#used, this.#used + count)
      this.#used += count
      at += count
    }
    return out
  }

  below(bound: number): number {
    // Multiples of the bound only, so that each remainder is as likely.
    const limit = 2 ** 32 - (2 ** 32 % bound)
    for (;;) {
      const [a, b, c, d] = this.bytes(4)
      const value = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
      if (value < limit) return value % bound
    }
  }
}

const clock: Clock = {
  wallMicros: () => Date.now() * 1000,
  monotonicMicros: () => Math.round(performance.now() * 1000),
}

const tasks: WebTasks = {
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
  yield: () => new Promise((resolve) => setTimeout(resolve, 0)),
}

export function webIo(): WebIo {
  return { clock, random: new WebRandom(), tasks }
}
