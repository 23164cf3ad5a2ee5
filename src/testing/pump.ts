/**
 * Lets a world run exactly while somebody outside of it waits for something inside of it.
 *
 *   test code ──call──► wait ──► the world's events happen one by one ──► the answer settles the promise
 *                        └ none left: simulated time stands still, however long the test code takes
 *
 * Between two events the loop turns once, so that all microtasks have run, the test's own among them. A wait that is not
 * answered in its simulated time, or that nothing is left to answer, is rejected with an error that names the seed.
 *
 * Not here: what is waited for (tracked-client.ts, sim-stream.ts, sim-cluster.ts).
 */
import { DbError } from '../base/index.ts'
import { afterTurn } from '../io/node/turn.ts'
import { formatMicros } from './duration.ts'
import type { SimWorld } from './sim-world.ts'

/** Runs test code in the middle of a call: meanwhile the call does not make the world go on. */
export type Outside = <T>(body: () => Promise<T>) => Promise<T>

export class Wait {
  /** What is waited for, as it stands in errors: 'query "select 1" on node 2'. */
  readonly what: string
  readonly fail: (error: unknown) => void
  /** Simulated time at which it is given up. */
  deadline = Number.POSITIVE_INFINITY
  over = false

  constructor(what: string, fail: (error: unknown) => void) {
    this.what = what
    this.fail = fail
  }
}

export class Pump {
  readonly #world: SimWorld
  readonly #timeoutMicros: number
  readonly #waits = new Set<Wait>()
  #running = false
  #closed: Error | undefined
  /** Hears what was thrown by something that happened in the world, which is a bug. */
  onBug: (error: unknown) => void = () => {}

  /** @param timeoutMicros how long a wait may take in simulated time when it does not say otherwise */
  constructor(world: SimWorld, timeoutMicros: number) {
    this.#world = world
    this.#timeoutMicros = timeoutMicros
  }

  /** Runs the world until the body's promise settles; its result is the call's. */
  track<T>(what: string, body: (outside: Outside) => Promise<T>, timeoutMicros = this.#timeoutMicros): Promise<T> {
    const caller = new Error()
    return new Promise((done, fail) => {
      const wait = new Wait(what, (error) => fail(withCaller(error, caller)))
      this.begin(wait, timeoutMicros)
      body((outside) => this.#outside(wait, timeoutMicros, outside)).then(
        (value) => {
          this.end(wait)
          done(value)
        },
        (error) => {
          this.end(wait)
          wait.fail(error)
        },
      )
    })
  }

  /** Makes the world run until `end`, or until the wait is given up: then it `fail`s. */
  begin(wait: Wait, timeoutMicros = this.#timeoutMicros): void {
    if (this.#closed !== undefined) {
      wait.over = true
      wait.fail(this.#closed)
      return
    }
    if (wait.over) return
    wait.deadline = this.#world.nowMicros + timeoutMicros
    this.#waits.add(wait)
    if (this.#running) return
    this.#running = true
    afterTurn(this.#turn)
  }

  end(wait: Wait): void {
    this.#waits.delete(wait)
  }

  /** Rejects everything that waits, now and from now on. */
  close(error: Error): void {
    this.#closed = error
    this.#rejectAll(() => error)
  }

  readonly #turn = (): void => {
    if (this.#waits.size === 0) {
      this.#running = false
      return
    }
    try {
      if (!this.#world.step()) this.#rejectAll((wait) => this.#idle(wait))
      this.#expire()
    } catch (error) {
      // Whoever waits for the world must not wait for ever.
      this.onBug(error)
      this.#rejectAll(() => error)
    }
    afterTurn(this.#turn)
  }

  async #outside<T>(wait: Wait, timeoutMicros: number, body: () => Promise<T>): Promise<T> {
    if (wait.over) throw new DbError('query_canceled', `nobody waits any more for ${wait.what}`)
    this.end(wait)
    try {
      return await body()
    } finally {
      this.begin(wait, timeoutMicros)
    }
  }

  #expire(): void {
    const now = this.#world.nowMicros
    for (const wait of this.#waits) if (now > wait.deadline) this.#reject(wait, this.#late(wait))
  }

  #rejectAll(why: (wait: Wait) => unknown): void {
    for (const wait of [...this.#waits]) this.#reject(wait, why(wait))
  }

  #reject(wait: Wait, error: unknown): void {
    wait.over = true
    this.#waits.delete(wait)
    wait.fail(error)
  }

  #late(wait: Wait): DbError {
    const at = formatMicros(this.#world.nowMicros)
    return new DbError('query_canceled', `seed ${this.#world.seed}: ${wait.what} had not ended in its time, at ${at}`, {
      hint: 'Simulated time went on and no answer came: no quorum is up and connected, or a lock is never released.',
    })
  }

  #idle(wait: Wait): DbError {
    return new DbError(
      'query_canceled',
      `seed ${this.#world.seed}: ${wait.what} waits, and nothing is left to happen`,
      {
        hint: 'The cluster is idle: are all nodes paused or down?',
      },
    )
  }
}

/** The frames that led to the call stand under those where the error arose; the world's own events lie between them. */
function withCaller(error: unknown, caller: Error): unknown {
  if (!(error instanceof Error) || typeof error.stack !== 'string') return error
  // The caller's own first frame is this file's.
  const frames = caller.stack?.split('\n').slice(2).join('\n') ?? ''
  if (frames !== '' && !error.stack.includes(frames)) error.stack += `\n${frames}`
  return error
}
