/**
 * Requests to one peer that wait for their answer. One timer for all, armed for the earliest limit: most requests are
 * answered long before, and cost no timer of their own.
 *
 * Not here: how requests travel (outbox.ts).
 */
import { type NodeId, RemoteFailure } from '../../cluster/index.ts'
import type { Io, Timer } from '../../io/index.ts'
import type { Departure } from './outbox.ts'

/** The timer comes late by up to this much, so that it is not armed anew for every limit. */
const slackMs = 5

export class Pending implements Departure {
  sent = false
  cancelled = false
  readonly id: number
  readonly deadlineMicros: number
  readonly timeoutMs: number
  readonly done: (answer: Uint8Array) => void
  readonly fail: (error: Error) => void

  constructor(
    id: number,
    deadlineMicros: number,
    timeoutMs: number,
    done: (answer: Uint8Array) => void,
    fail: (error: Error) => void,
  ) {
    this.id = id
    this.deadlineMicros = deadlineMicros
    this.timeoutMs = timeoutMs
    this.done = done
    this.fail = fail
  }
}

export class PendingRequests {
  readonly #io: Io
  readonly #peer: NodeId
  readonly #waiting = new Map<number, Pending>()
  #lastId = 0
  #timer: Timer | undefined
  #timerMicros = Number.POSITIVE_INFINITY

  constructor(io: Io, peer: NodeId) {
    this.#io = io
    this.#peer = peer
  }

  get size(): number {
    return this.#waiting.size
  }

  add(timeoutMs: number, done: (answer: Uint8Array) => void, fail: (error: Error) => void): Pending {
    do this.#lastId = (this.#lastId + 1) >>> 0
    while (this.#waiting.has(this.#lastId))
    const now = this.#io.clock.monotonicMicros()
    const pending = new Pending(this.#lastId, now + timeoutMs * 1000, timeoutMs, done, fail)
    this.#waiting.set(pending.id, pending)
    if (pending.deadlineMicros < this.#timerMicros) this.#arm(pending.deadlineMicros, now)
    return pending
  }

  /** Takes a request out; undefined when nobody waits for it any more. */
  take(id: number): Pending | undefined {
    const pending = this.#waiting.get(id)
    if (pending !== undefined) this.#waiting.delete(id)
    return pending
  }

  /** The connection that all were on, or should have been on, is gone. */
  failAll(unsent: string, lost: string): void {
    const all = [...this.#waiting.values()]
    this.#waiting.clear()
    this.#disarm()
    for (const pending of all) {
      pending.cancelled = true
      pending.fail(new RemoteFailure('connection_failure', pending.sent ? lost : unsent, pending.sent))
    }
  }

  #arm(atMicros: number, nowMicros: number): void {
    this.#timer?.cancel()
    this.#timerMicros = atMicros
    this.#timer = this.#io.tasks.after(Math.max(0, (atMicros - nowMicros) / 1000) + slackMs, () => this.#expire())
  }

  #disarm(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerMicros = Number.POSITIVE_INFINITY
  }

  #expire(): void {
    this.#disarm()
    const now = this.#io.clock.monotonicMicros()
    let next = Number.POSITIVE_INFINITY
    const over: Pending[] = []
    for (const pending of this.#waiting.values()) {
      if (pending.deadlineMicros <= now) over.push(pending)
      else if (pending.deadlineMicros < next) next = pending.deadlineMicros
    }
    if (next < Number.POSITIVE_INFINITY) this.#arm(next, now)
    for (const pending of over) {
      this.#waiting.delete(pending.id)
      pending.cancelled = true
      pending.fail(this.#timedOut(pending))
    }
  }

  #timedOut({ sent, timeoutMs }: Pending): RemoteFailure {
    if (!sent) {
      const message = `the request to node ${this.#peer} could not be sent within ${timeoutMs} ms`
      return new RemoteFailure('connection_failure', message, false)
    }
    return new RemoteFailure('query_canceled', `node ${this.#peer} did not answer within ${timeoutMs} ms`, true)
  }
}
