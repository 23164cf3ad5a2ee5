/**
 * pg_sleep: the statement waits for a timer as it would for a lock, so that others are served, and it can be cancelled
 * and times out.
 *
 * When the timer has run out the whole expression is evaluated again. In `pg_sleep(1) || pg_sleep(2)` the first call then
 * comes while the session's sleep is the second one's: it has slept already.
 *
 * Not here: timers (io).
 */
import { type DbError, WAIT } from '../../base/index.ts'
import type { Session } from './session.ts'

export interface Sleep {
  /** The call in the plan that sleeps. */
  readonly site: object
  /** Microseconds of the monotonic clock. */
  readonly untilMicros: number
}

/** Longest time that a timer holds; a longer sleep sets another. */
const maxTimerMs = 0x7fff_ffff

/** Suspends the running statement until the time is over. */
export function sleep(session: Session, site: object, seconds: number): void {
  const { clock, owner, running } = session
  const now = clock.monotonicMicros()
  session.sleeping ??= { site, untilMicros: now + (Number.isNaN(seconds) ? 0 : seconds * 1e6) }
  const { sleeping } = session
  if (sleeping.site !== site) return
  const leftMs = (sleeping.untilMicros - now) / 1000
  if (leftMs <= 0) {
    session.sleeping = undefined
    return
  }
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = session.database.io.tasks.after(Math.min(Math.ceil(leftMs), maxTimerMs), () => {
    owner.remote = undefined
    resolve()
  })
  owner.remote = {
    abort: (error: DbError) => {
      owner.remote = undefined
      session.sleeping = undefined
      timer.cancel()
      reject(error)
    },
  }
  running!.blocker = { ready: () => promise }
  running!.suspend(WAIT)
}
