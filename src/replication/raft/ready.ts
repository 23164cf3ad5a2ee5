/**
 * What steps ask of the driver: to persist, to send, to apply. Steps collect it here, `ready()` takes it out.
 *
 * The driver owes, in this order, before its next call into the group:
 *   1. the entries are in the log view (their indexes replace what it held from the first of them on);
 *   2. hard state and entries are on their way to the commit log, in one record group, behind those of earlier Readys;
 *   3. `messages` may leave at once;
 *   4. `afterDurable` leaves when the hard state and the entries of this Ready AND OF EVERY EARLIER ONE are durable: the
 *      Readys of a group form a queue, also those that bring nothing to persist;
 *   5. when entries are durable, `raft.durable(index, term)` with the last one's; on every replica, not only on leaders.
 *
 * Source: the pattern is etcd's raft library.
 *
 * Not here: how any of it is done (the driver).
 */
import type { Configuration } from './configuration.ts'
import type { Entry } from './entry.ts'
import type { Message } from './message.ts'

export interface HardState {
  readonly term: number
  readonly vote: number
  /** A hint: recovery may lose it or find an older one. */
  readonly commit: number
}

export interface Ready {
  /** What changed, undefined if nothing did. */
  readonly hardState: HardState | undefined
  /** To append to the commit log, in order; the first may stand at or below the log's last index, which cancels the rest. */
  readonly entries: readonly Entry[]
  /** False when only the commit index changed: it can wait for the next sync. */
  readonly mustSync: boolean
  readonly messages: readonly Message[]
  readonly afterDurable: readonly Message[]
  /** Apply up to here, then report `appliedTo`. */
  readonly committedTo: number
  /**
   * Fetch a snapshot (at this index or a later one) from that replica's node. Offers repeat until the leader hears of success:
   * a driver that is already fetching ignores them. Before it installs: `raft.commit` is still below the snapshot's index
   * and the role is no leader's, in the same synchronous step; from then until `restored` nothing is stepped.
   */
  readonly snapshot:
    | {
        readonly from: number
        readonly index: number
        readonly term: number
        readonly configuration: Configuration
      }
    | undefined
  readonly reads: readonly { readonly token: number; readonly index: number }[]
  /** Both may be set; the role tells how it ended. Reads that were asked of a lost reign are never answered. */
  readonly becameLeader: boolean
  readonly lostLeadership: boolean
}

export class Outbox {
  messages: Message[] = []
  afterDurable: Message[] = []
  reads: { token: number; index: number }[] = []
  snapshot: Ready['snapshot']
  becameLeader = false
  lostLeadership = false
  #handed: HardState

  constructor(hardState: HardState) {
    this.#handed = { ...hardState }
  }

  holds(now: HardState): boolean {
    return (
      this.messages.length > 0 ||
      this.afterDurable.length > 0 ||
      this.reads.length > 0 ||
      this.snapshot !== undefined ||
      this.becameLeader ||
      this.lostLeadership ||
      this.#changed(now)
    )
  }

  /** Takes everything out. */
  take(now: HardState, entries: readonly Entry[]): Ready {
    const handed = this.#handed
    const changed = this.#changed(now)
    const ready: Ready = {
      hardState: changed ? { term: now.term, vote: now.vote, commit: now.commit } : undefined,
      entries,
      mustSync: entries.length > 0 || now.term !== handed.term || now.vote !== handed.vote,
      messages: this.messages,
      afterDurable: this.afterDurable,
      committedTo: now.commit,
      snapshot: this.snapshot,
      reads: this.reads,
      becameLeader: this.becameLeader,
      lostLeadership: this.lostLeadership,
    }
    if (ready.hardState !== undefined) this.#handed = ready.hardState
    this.messages = []
    this.afterDurable = []
    this.reads = []
    this.snapshot = undefined
    this.becameLeader = false
    this.lostLeadership = false
    return ready
  }

  #changed(now: HardState): boolean {
    const handed = this.#handed
    return now.commit !== handed.commit || now.term !== handed.term || now.vote !== handed.vote
  }
}
