/**
 * What a replica knows whatever its role: term, vote, log, commit index, configurations, and what of it is durable.
 *
 * Not here: what changes it (raft.ts), what only a leader knows (leadership.ts).
 */
import { assert } from '../../base/index.ts'
import { type Configuration, ConfigurationHistory, decodeConfiguration, isVoter } from './configuration.ts'
import { type Entry, entryConfiguration } from './entry.ts'
import { type LogView, RaftLog } from './log.ts'
import { type HardState, Outbox } from './ready.ts'

/** What the driver knows about nodes; asked synchronously inside a step. */
export interface Liveness {
  /** This node has promised the replica's node, for some time from now, not to help to elect another leader. */
  supporting(replica: number): boolean
  /**
   * The replica's node has promised us so, and the promise holds now. Always true for ourselves. A promise that lapsed and
   * was given anew is another promise: before this answers true again, the driver calls `peerRestarted` for the replica.
   */
  supportedBy(replica: number): boolean
  /** False for one lease duration after a restart: then neither votes nor candidacies (a lone voter excepted). */
  mayVote(): boolean
}

export interface RaftOptions {
  readonly id: number
  /** What it answers while the group is constructed is durable, and entries above `applied` need no loading then. */
  readonly log: LogView
  readonly liveness: Liveness
  readonly hardState: HardState
  readonly applied: number
  /** As of `applied`; later ones are found in the log. */
  readonly configuration: Configuration
  /** The next election timeout in ticks (≥ 1); the driver draws it, randomised and adapted to measured latency. */
  readonly electionTimeout: () => number
  /**
   * A number that a vote carries to the candidate: what this node, or any leader that it ever supported, may have promised or
   * served up to. It is asked when the term has changed and `leader` is 0 already. Default 0.
   */
  readonly ceiling?: () => number
  /** Entries on the way to one follower. Default 4 MiB. */
  readonly maxInflightBytes?: number
  /** Entries in one message; a longer one goes alone. Default 1 MiB. */
  readonly maxMessageBytes?: number
  /** Proposals are refused while more than this is not yet committed. Default 64 MiB. */
  readonly maxUncommittedBytes?: number
}

const MiB = 1024 * 1024

export class State implements HardState {
  readonly id: number
  readonly liveness: Liveness
  readonly log: RaftLog
  readonly outbox: Outbox
  readonly electionTimeout: () => number
  readonly ceiling: () => number
  readonly maxInflightBytes: number
  readonly maxMessageBytes: number
  readonly maxUncommittedBytes: number
  term: number
  vote: number
  /** 0 while unknown. */
  leader = 0
  commit: number
  applied: number
  configurations: ConfigurationHistory
  /** Entries up to here are durable here. */
  durable: number
  /** The newest term that is known to be durable here. */
  durableTerm: number

  constructor(options: RaftOptions) {
    const { hardState, applied } = options
    this.id = options.id
    this.liveness = options.liveness
    this.electionTimeout = options.electionTimeout
    this.ceiling = options.ceiling ?? (() => 0)
    this.maxInflightBytes = options.maxInflightBytes ?? 4 * MiB
    this.maxMessageBytes = options.maxMessageBytes ?? MiB
    this.maxUncommittedBytes = options.maxUncommittedBytes ?? 64 * MiB
    this.log = new RaftLog(options.log)
    this.outbox = new Outbox(hardState)
    this.term = hardState.term
    this.vote = hardState.vote
    this.applied = applied
    const last = this.log.lastIndex
    assert(applied <= last && applied >= this.log.firstIndex - 1, 'the log holds everything after what is applied')
    // The hint may be older than what was applied, or, torn from its entries, promise some that were lost.
    this.commit = Math.max(applied, Math.min(hardState.commit, last))
    this.durable = last
    this.durableTerm = hardState.term
    const { lastTerm, firstIndex } = this.log
    if (lastTerm > this.term) {
      assert(last < firstIndex, 'no entry is of a later term than the hard state')
      // A snapshot was installed and the hard state that follows it was lost; nothing was voted in its term.
      this.term = lastTerm
      this.vote = 0
    }
    this.configurations = new ConfigurationHistory(applied, options.configuration)
    for (let at = applied + 1; at <= last; ) {
      const entries = options.log.entries(at, last + 1, MiB)
      assert(entries !== undefined && entries.length > 0, 'entries above the applied index are loaded at the start')
      for (const entry of entries) this.#adopt(entry)
      at += entries.length
    }
  }

  get configuration(): Configuration {
    return this.configurations.current
  }

  /** Our own vote is the majority. */
  get alone(): boolean {
    const { voters, outgoing } = this.configuration
    return voters.length === 1 && outgoing.length === 0 && voters[0] === this.id
  }

  /** Counts in a majority. One whose removal is not yet committed still does: it may be the only one with the newest log. */
  get promotable(): boolean {
    return isVoter(this.configuration, this.id) || isVoter(this.configurations.at(this.commit), this.id)
  }

  append(entries: readonly Entry[]): void {
    const first = entries[0].index
    assert(first > this.commit, 'a committed entry is never overwritten')
    if (first <= this.log.lastIndex) {
      this.durable = Math.min(this.durable, first - 1)
      this.configurations.cancelFrom(first)
    }
    this.log.append(entries)
    for (const entry of entries) this.#adopt(entry)
  }

  commitTo(index: number): void {
    if (index <= this.commit) return
    assert(index <= this.log.lastIndex, 'what is committed is in the log')
    this.commit = index
  }

  #adopt(entry: Entry): void {
    if (entry.kind === entryConfiguration) this.configurations.adopt(entry.index, decodeConfiguration(entry.payload))
  }
}
