/**
 * How far back versions are kept: the wanted threshold, held back by protected timestamps.
 *
 *   collected ≤ min(wanted, every protected timestamp); it never goes back
 *
 * Not here: dropping versions (compaction), choosing the window (replication).
 */
import { DbError, type Timestamp } from '../base/index.ts'

export class Retention {
  /** Versions superseded at or before this may be gone. */
  collected: Timestamp
  #wanted: Timestamp
  readonly #protected = new Map<Timestamp, number>()

  constructor(collected: Timestamp = 0) {
    this.collected = collected
    this.#wanted = collected
  }

  collectBefore(at: Timestamp): void {
    if (at > this.#wanted) this.#wanted = at
    this.#advance()
  }

  protect(at: Timestamp): { release(): void } {
    if (at < this.collected) throw snapshotTooOld(at, this.collected)
    this.#protected.set(at, (this.#protected.get(at) ?? 0) + 1)
    let held = true
    return {
      release: () => {
        if (!held) return
        held = false
        const left = this.#protected.get(at)! - 1
        if (left > 0) this.#protected.set(at, left)
        else this.#protected.delete(at)
        this.#advance()
      },
    }
  }

  #advance(): void {
    let at = this.#wanted
    for (const kept of this.#protected.keys()) if (kept < at) at = kept
    if (at > this.collected) this.collected = at
  }
}

export function snapshotTooOld(at: Timestamp, collected: Timestamp): DbError {
  return new DbError('snapshot_too_old', 'snapshot too old', {
    detail: `Versions before ${collected} may be gone; ${at} was asked for.`,
    hint: 'Repeat the transaction.',
  })
}
