/**
 * What a leader knows about one follower's log, and how it sends to it.
 *
 *   probe      the place of agreement is unknown: one append at a time, the next after a reply or a pause
 *   replicate  appends follow each other without waiting, up to a limit of bytes on the way
 *   snapshot   the entries it needs are gone: it was offered a snapshot, nothing is sent until it has one
 *
 *        1 … match          next …          lastIndex
 *   ├─── durable there ──┼─ on the way ─┼─ to be sent ─┤
 *
 * Source: the states are those of etcd's raft library.
 *
 * Not here: making messages (leadership.ts).
 */
import { assert } from '../../base/index.ts'

export type ProgressState = 'probe' | 'replicate' | 'snapshot'

/** Ticks without a reply after which something is sent again; doubles with every silence. */
const firstPause = 3
const longestPause = 24

export class Progress {
  readonly replica: number
  match = 0
  next: number
  state: ProgressState = 'probe'
  /** Of probe: one is on the way. */
  waiting = false
  /** Of the entries needed: the driver is loading them. */
  loading = false
  /** Something must be sent even when there is nothing new. */
  poked = true
  /** The commit index that was last sent, and the one it says it knows. */
  sentCommit = 0
  commit = 0
  sentRound = 0
  ackedRound = 0
  /** Replies to earlier rounds prove no promise: they may come from before a restart. */
  promiseRound: number
  inflightBytes = 0
  /** Something came from it since the last tick but one. */
  recentlyActive = false
  learner: boolean
  /** No longer of the group. */
  leaving = false
  #inflight: { readonly last: number; readonly bytes: number }[] = []
  #silent = 0
  #pause = firstPause

  constructor(replica: number, next: number, round: number, learner: boolean) {
    this.replica = replica
    this.next = next
    this.promiseRound = round
    this.learner = learner
  }

  /** A reply came, whatever it says. */
  heard(round: number): void {
    if (round > this.ackedRound) this.ackedRound = round
    this.recentlyActive = true
    this.#silent = 0
    this.#pause = firstPause
  }

  /** An append with entries up to `last` left. */
  sent(last: number, bytes: number): void {
    this.next = last + 1
    this.inflightBytes += bytes
    this.#inflight.push({ last, bytes })
  }

  /** Equal and durable up to `index`. */
  acknowledged(index: number): void {
    if (index > this.match) this.match = index
    if (this.next <= this.match) this.next = this.match + 1
    let done = 0
    while (done < this.#inflight.length && this.#inflight[done].last <= index)
      this.inflightBytes -= this.#inflight[done++].bytes
    if (done > 0) this.#inflight.splice(0, done)
    if (this.state === 'probe') this.#enter('replicate', this.match + 1)
  }

  probe(next: number): void {
    assert(next > this.match, 'what is acknowledged is not sent again')
    this.#enter('probe', next)
  }

  offered(): void {
    this.#enter('snapshot', this.next)
  }

  /** Counts a tick in which something is owed. True when it is time to send again; the pauses grow. */
  pauseOver(): boolean {
    if (++this.#silent < this.#pause) return false
    this.#silent = 0
    this.#pause = Math.min(this.#pause * 2, longestPause)
    this.recentlyActive = false
    return true
  }

  /** Send at the next opportunity, as if nothing had been lost yet. */
  hurry(): void {
    this.#silent = 0
    this.#pause = firstPause
    this.poked = true
  }

  #enter(state: ProgressState, next: number): void {
    this.state = state
    this.next = next
    this.waiting = false
    this.loading = false
    this.#inflight = []
    this.inflightBytes = 0
  }

  toString(): string {
    let out = `${this.replica}: ${this.state} match ${this.match} next ${this.next} commit ${this.commit}`
    if (this.leaving) out += ' leaving'
    else if (this.learner) out += ' learner'
    if (this.inflightBytes > 0) out += ` inflight ${this.inflightBytes}`
    return out
  }
}
