/**
 * A session's time limits: of a wait for a lock, and of idling inside and outside of a transaction. (That of a
 * statement belongs to its portal.)
 *
 *   ReadyForQuery ──idle──► idle_session_timeout, idle_in_transaction_session_timeout ──► the session ends
 *   a wait for a lock ────► lock_timeout ──► the statement fails
 *
 * Not here: who tells that the session is idle (session.ts).
 */
import { DbError } from '../../base/index.ts'
import type { Tasks, Timer } from '../../io/index.ts'
import type { LockOwner } from '../../transaction/index.ts'

export class SessionTimeouts {
  readonly #tasks: Tasks
  readonly #terminate: (error: DbError) => void
  #idle: Timer | undefined
  /** Milliseconds, 0 for none, as the settings of these names. */
  idleInTransaction = 0
  idleSession = 0
  lock = 0

  constructor(tasks: Tasks, terminate: (error: DbError) => void) {
    this.#tasks = tasks
    this.#terminate = terminate
  }

  /** The client has been told that it is its turn. */
  idle(inTransaction: boolean): void {
    if (this.#idle !== undefined) this.busy()
    const limit = inTransaction ? this.idleInTransaction : this.idleSession
    if (limit === 0) return
    this.#idle = this.#tasks.after(limit, () => {
      this.#idle = undefined
      this.#terminate(
        inTransaction
          ? new DbError(
              'idle_in_transaction_session_timeout',
              'terminating connection due to idle-in-transaction timeout',
            )
          : new DbError('idle_session_timeout', 'terminating connection due to idle-session timeout'),
      )
    })
  }

  /** The client has sent something, or is gone. */
  busy(): void {
    this.#idle?.cancel()
    this.#idle = undefined
  }

  /** Resolves with the wait, which fails when it takes longer than a lock may. */
  async lockWait(owner: LockOwner, ready: Promise<void>): Promise<void> {
    const wait = owner.waiting
    const timer = this.#tasks.after(this.lock, () => {
      wait?.abort(new DbError('lock_not_available', 'canceling statement due to lock timeout'))
    })
    try {
      await ready
    } finally {
      timer.cancel()
    }
  }
}
