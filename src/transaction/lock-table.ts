/**
 * Lock tables: rows, tables and advisory keys, each with PostgreSQL's modes and conflicts ("Explicit Locking" in its
 * manual). Requests are granted first come, first served; a request that would close a cycle of waits fails at once
 * with deadlock_detected, so a cycle never stands.
 *
 * Locks only schedule: what decides at commit is the transaction's validated set.
 *
 * Not here: when locks are released (the transaction), the wire's cancel (the session aborts its owner's wait).
 */
import { assert, DbError } from '../base/index.ts'

/** Row lock modes, weakest first. */
export const forKeyShare = 0
export const forShare = 1
export const forNoKeyUpdate = 2
export const forUpdate = 3

/** Table lock modes, weakest first, in pg_locks' order. */
export const accessShare = 0
export const rowShare = 1
export const rowExclusive = 2
export const shareUpdateExclusive = 3
export const share = 4
export const shareRowExclusive = 5
export const exclusive = 6
export const accessExclusive = 7

/** Advisory lock modes. */
export const advisoryShare = 0
export const advisoryExclusive = 1

/** conflicts[mode] is a bit set of the modes it conflicts with. */
export const rowConflicts = [0b1000, 0b1100, 0b1110, 0b1111]
export const tableConflicts = [
  0b1000_0000, 0b1100_0000, 0b1111_0000, 0b1111_1000, 0b1110_1100, 0b1111_1100, 0b1111_1110, 0b1111_1111,
]
export const advisoryConflicts = [0b10, 0b11]

/** Who holds and waits: one per session. At most one wait at a time. */
export class LockOwner {
  readonly id: number
  waiting: LockWait | undefined
  /** A wait for another node's answer. */
  remote: { abort(error: DbError): void } | undefined

  constructor(id: number) {
    this.id = id
  }
}

class Lock {
  readonly key: string
  readonly owners: LockOwner[] = []
  readonly modes: number[] = []
  /** How often each owner took the lock; advisory locks count. */
  readonly counts: number[] = []
  readonly queue: LockWait[] = []

  constructor(key: string) {
    this.key = key
  }
}

export class LockWait {
  readonly owner: LockOwner
  readonly mode: number
  readonly lock: Lock
  readonly table: LockTable
  readonly promise: Promise<void>
  error: DbError | undefined
  granted = false
  resolve!: () => void

  constructor(owner: LockOwner, mode: number, lock: Lock, table: LockTable) {
    this.owner = owner
    this.mode = mode
    this.lock = lock
    this.table = table
    this.promise = new Promise((resolve) => {
      this.resolve = resolve
    })
  }

  /** Gives the wait up: the waiter's next `acquire` of this lock throws the error. */
  abort(error: DbError): void {
    if (this.granted || this.error) return
    this.error = error
    this.table.abandon(this)
    this.resolve()
  }
}

/** Ends the owner's wait, if it has one: whoever awaits it gets the error, and a lock granted meanwhile goes back. */
export function endWait(owner: LockOwner, error: DbError): void {
  const wait = owner.waiting
  if (wait === undefined) return
  wait.abort(error)
  wait.table.giveUp(owner)
}

export interface HeldLock {
  readonly key: string
  readonly mode: number
  readonly owner: number
  readonly granted: boolean
}

export class LockTable {
  readonly #locks = new Map<string, Lock>()
  readonly #conflicts: readonly number[]
  readonly #describe: (key: string) => string

  /** @param describe how an error names a key. */
  constructor(conflicts: readonly number[], describe: (key: string) => string) {
    this.#conflicts = conflicts
    this.#describe = describe
  }

  /** True when granted (or already held as strong); false when the owner must await `owner.waiting.promise` and call again. */
  acquire(owner: LockOwner, key: string, mode: number): boolean {
    const wait = owner.waiting
    if (wait !== undefined) {
      assert(wait.lock.key === key && wait.table === this, 'one wait at a time')
      if (wait.error) {
        owner.waiting = undefined
        throw wait.error
      }
      if (!wait.granted) return false
      owner.waiting = undefined
      return true
    }
    let lock = this.#locks.get(key)
    if (lock === undefined) {
      lock = new Lock(key)
      this.#locks.set(key, lock)
      lock.owners.push(owner)
      lock.modes.push(1 << mode)
      lock.counts.push(1)
      return true
    }
    if (this.#compatible(lock, owner, mode) && (lock.queue.length === 0 || lock.owners.includes(owner))) {
      this.#grant(lock, owner, mode)
      return true
    }
    const waiting = new LockWait(owner, mode, lock, this)
    // An owner that strengthens its lock goes first: those queued wait for it anyway.
    if (lock.owners.includes(owner)) lock.queue.unshift(waiting)
    else lock.queue.push(waiting)
    owner.waiting = waiting
    if (closesCycle(owner)) {
      owner.waiting = undefined
      this.abandon(waiting)
      throw new DbError('deadlock_detected', 'deadlock detected', {
        detail: `Process ${owner.id} waits for ${this.#describe(key)}, held by a process that waits for it.`,
        hint: 'See server log for query details.',
      })
    }
    return false
  }

  /** Like `acquire`, but answers false instead of waiting. */
  tryAcquire(owner: LockOwner, key: string, mode: number): boolean {
    const lock = this.#locks.get(key)
    if (lock !== undefined && !this.#compatible(lock, owner, mode)) return false
    if (lock !== undefined && lock.queue.length > 0 && !lock.owners.includes(owner)) return false
    return this.acquire(owner, key, mode)
  }

  /** Gives up everything the owner holds on the key. */
  release(owner: LockOwner, key: string): void {
    const lock = this.#locks.get(key)
    if (lock === undefined) return
    const at = lock.owners.indexOf(owner)
    if (at < 0) return
    removeAt(lock, at)
    this.#wake(lock)
  }

  /** What the owner holds: each key once for each mode. */
  heldBy(owner: LockOwner): { key: string; mode: number }[] {
    const out: { key: string; mode: number }[] = []
    for (const lock of this.#locks.values()) {
      const at = lock.owners.indexOf(owner)
      for (let mode = 0; at >= 0 && mode < 8; mode++)
        if (lock.modes[at] & (1 << mode)) out.push({ key: lock.key, mode })
    }
    return out
  }

  /** Gives up everything that the owner holds. */
  releaseAll(owner: LockOwner): void {
    for (const lock of [...this.#locks.values()]) if (lock.owners.includes(owner)) this.release(owner, lock.key)
  }

  /** Gives up one taking of the key in a mode; false when it is not held so. For advisory locks. */
  releaseOnce(owner: LockOwner, key: string, mode: number): boolean {
    const lock = this.#locks.get(key)
    const at = lock === undefined ? -1 : lock.owners.indexOf(owner)
    if (lock === undefined || at < 0 || (lock.modes[at] & (1 << mode)) === 0) return false
    if (--lock.counts[at] === 0) {
      removeAt(lock, at)
      this.#wake(lock)
    }
    return true
  }

  /** Whether the owner holds the key in the mode or a stronger one. */
  holds(owner: LockOwner, key: string, mode: number): boolean {
    const lock = this.#locks.get(key)
    const at = lock === undefined ? -1 : lock.owners.indexOf(owner)
    return at >= 0 && lock!.modes[at] >> mode !== 0
  }

  /** The modes that the owner holds on the key, as a bit set. */
  modesOf(owner: LockOwner, key: string): number {
    const lock = this.#locks.get(key)
    const at = lock === undefined ? -1 : lock.owners.indexOf(owner)
    return at < 0 ? 0 : lock!.modes[at]
  }

  /** Who waits for whom. */
  *waits(): Iterable<readonly [waiter: LockOwner, holder: LockOwner]> {
    for (const lock of this.#locks.values())
      for (const wait of lock.queue) for (const holder of this.blockers(wait)) yield [wait.owner, holder]
  }

  /** Gives up every wait for a key that `matches`. */
  abortWaits(matches: (key: string) => boolean, error: DbError): void {
    for (const lock of [...this.#locks.values()])
      if (lock.queue.length > 0 && matches(lock.key)) for (const wait of [...lock.queue]) wait.abort(error)
  }

  /** Everything held and waited for, for pg_locks. */
  *held(): Iterable<HeldLock> {
    for (const lock of this.#locks.values()) {
      for (let i = 0; i < lock.owners.length; i++) {
        for (let mode = 0; mode < 8; mode++) {
          if (lock.modes[i] & (1 << mode)) yield { key: lock.key, mode, owner: lock.owners[i].id, granted: true }
        }
      }
      for (const wait of lock.queue) yield { key: lock.key, mode: wait.mode, owner: wait.owner.id, granted: false }
    }
  }

  /** Ends the owner's wait, if it has one, whatever came of it. */
  giveUp(owner: LockOwner): void {
    const wait = owner.waiting
    if (wait === undefined) return
    owner.waiting = undefined
    if (wait.granted) this.release(owner, wait.lock.key)
    else if (wait.error === undefined) this.abandon(wait)
  }

  /** Takes a wait out of its queue; those behind it may go on. */
  abandon(wait: LockWait): void {
    const at = wait.lock.queue.indexOf(wait)
    if (at >= 0) wait.lock.queue.splice(at, 1)
    this.#wake(wait.lock)
  }

  /** Owners that a wait waits for: conflicting holders and conflicting waits queued before it. */
  blockers(wait: LockWait): LockOwner[] {
    const { lock, mode, owner } = wait
    const out: LockOwner[] = []
    for (let i = 0; i < lock.owners.length; i++) {
      if (lock.owners[i] !== owner && (lock.modes[i] & this.#conflicts[mode]) !== 0) out.push(lock.owners[i])
    }
    for (const ahead of lock.queue) {
      if (ahead === wait) break
      if (ahead.owner !== owner && (this.#conflicts[mode] & (1 << ahead.mode)) !== 0) out.push(ahead.owner)
    }
    return out
  }

  #compatible(lock: Lock, owner: LockOwner, mode: number): boolean {
    const conflicts = this.#conflicts[mode]
    for (let i = 0; i < lock.owners.length; i++) {
      if (lock.owners[i] !== owner && (lock.modes[i] & conflicts) !== 0) return false
    }
    return true
  }

  #grant(lock: Lock, owner: LockOwner, mode: number): void {
    const at = lock.owners.indexOf(owner)
    if (at >= 0) {
      lock.modes[at] |= 1 << mode
      lock.counts[at]++
      return
    }
    lock.owners.push(owner)
    lock.modes.push(1 << mode)
    lock.counts.push(1)
  }

  #wake(lock: Lock): void {
    while (lock.queue.length > 0) {
      const next = lock.queue[0]
      if (!this.#compatible(lock, next.owner, next.mode)) return
      lock.queue.shift()
      this.#grant(lock, next.owner, next.mode)
      next.granted = true
      next.resolve()
    }
    if (lock.owners.length === 0) this.#locks.delete(lock.key)
  }
}

function removeAt(lock: Lock, at: number): void {
  lock.owners.splice(at, 1)
  lock.modes.splice(at, 1)
  lock.counts.splice(at, 1)
}

/** Whether following waits from `start` leads back to it. Depth-first over owners. */
function closesCycle(start: LockOwner): boolean {
  const seen = new Set<LockOwner>()
  const stack: LockOwner[] = [start]
  while (stack.length > 0) {
    const wait = stack.pop()!.waiting
    if (wait === undefined || wait.granted) continue
    for (const blocker of wait.table.blockers(wait)) {
      if (blocker === start) return true
      if (!seen.has(blocker)) {
        seen.add(blocker)
        stack.push(blocker)
      }
    }
  }
  return false
}
