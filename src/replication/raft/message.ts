/**
 * What replicas of a group tell each other: six kinds of plain objects, told apart by `type`.
 *
 * There are no heartbeats among them: whether a node lives is one stream per pair of nodes, for all its groups
 * (`Liveness`). A group sends only what it has to say, and a quiet group says nothing.
 *
 * Not here: their bytes (message-codec.ts), when they are sent (leadership.ts, raft.ts).
 */
import type { Configuration } from './configuration.ts'
import type { Entry } from './entry.ts'

export const messageAppend = 1
export const messageAppendReply = 2
export const messageVote = 3
export const messageVoteReply = 4
export const messageTimeoutNow = 5
export const messageSnapshotOffer = 6

interface Envelope {
  readonly from: number
  readonly to: number
  /** The sender's term; of a pre-vote, the term it would stand for (its own + 1). */
  readonly term: number
}

/** From a leader: entries that follow `prevIndex`, none to spread a commit index, to probe, or to confirm a reign. */
export interface AppendMessage extends Envelope {
  readonly type: typeof messageAppend
  readonly prevIndex: number
  readonly prevTerm: number
  readonly commit: number
  /** Rises during a reign; replies repeat it, so that a leader knows what a reply was sent after. */
  readonly round: number
  readonly entries: readonly Entry[]
}

export interface AppendReplyMessage extends Envelope {
  readonly type: typeof messageAppendReply
  /** Durable and equal to the leader's log up to here; of a rejection, the `prevIndex` that does not fit. */
  readonly index: number
  readonly reject: boolean
  /** Of a rejection: where the logs may still agree, and the term there. */
  readonly hintIndex: number
  readonly hintTerm: number
  /** What the follower knows to be committed. */
  readonly commit: number
  /** Of the append that this answers; 0 when it answers none. */
  readonly round: number
}

export interface VoteMessage extends Envelope {
  readonly type: typeof messageVote
  readonly lastIndex: number
  readonly lastTerm: number
  /** Only asks whether a candidacy would have a chance; binds nobody. */
  readonly pre: boolean
  /** The leader itself asked for this candidacy and serves no reads by lease any more: promises to it do not stand in the way. */
  readonly transfer: boolean
}

export interface VoteReplyMessage extends Envelope {
  readonly type: typeof messageVoteReply
  readonly pre: boolean
  readonly granted: boolean
  /** Of a vote granted: the voter's `RaftOptions.ceiling`, else 0. */
  readonly ceiling: number
}

/** From a leader: become a candidate at once. */
export interface TimeoutNowMessage extends Envelope {
  readonly type: typeof messageTimeoutNow
  /** The leader's `RaftOptions.ceiling`, as votes carry it. */
  readonly ceiling: number
}

/** From a leader: the entries that you need are gone, fetch a snapshot at this index or later from my node. */
export interface SnapshotOfferMessage extends Envelope {
  readonly type: typeof messageSnapshotOffer
  readonly index: number
  readonly indexTerm: number
  readonly configuration: Configuration
}

export type Message =
  | AppendMessage
  | AppendReplyMessage
  | VoteMessage
  | VoteReplyMessage
  | TimeoutNowMessage
  | SnapshotOfferMessage
