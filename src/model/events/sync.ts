/**
 * The asking side of a sync: both stores then have what each had when it began.
 *
 *   positions      offer page ─► ◄─ wants, their page      carry events, wants ─► ◄─ events      next page …
 *   fingerprints   compare ─► ◄─ same, parts, ids  …        carry …                               then: places of the beginning
 *
 * Each answer is awaited before more is sent, which is all the back-pressure that is needed. What arrives is durable, with
 * the place up to which it makes us complete, before more is asked for: a sync that breaks off loses nothing and is gone on
 * with by the next one.
 *
 * Not here: the answering side (answer-sync.ts), channels (wire/http).
 */
import { DbError } from '../../base/index.ts'
import {
  type AnswerMessage,
  beginning,
  type CarriedMessage,
  Comparison,
  compareBytes,
  decodeMessage,
  encodeMessage,
  formatUlid,
  fromHex,
  type Mark,
  type Message,
  malformed,
  type Offer,
  type RangeId,
  type Stretch,
  sameBytes,
  sameLife,
  sameMark,
  toHex,
} from '../../replication/sync/index.ts'
import { restored } from './answer-sync.ts'
import type { StoreIdentity } from './event-store.ts'
import type { SyncStore } from './sync-store.ts'

/** Sends a request to the other store's `answerSync` and brings its response. */
export type SyncExchange = (request: Uint8Array) => Promise<Uint8Array>

export interface SyncOptions {
  /** Ends the sync between two messages; it rejects with query_canceled. */
  readonly signal?: AbortSignal
  readonly onProgress?: (report: SyncReport) => void
  /** The other store as an earlier report named it: the first message then carries ids already. */
  readonly peer?: string
}

/** Counts of events that changed something at the side that they came to. */
export interface SyncReport {
  readonly peer: StoreIdentity
  readonly mode: 'positions' | 'fingerprints'
  readonly sent: number
  readonly received: number
  /** Of the events that came or went, those of keys that have several values there: see `conflicts()` on either side. */
  readonly conflicts: number
  readonly messages: number
  readonly bytesSent: number
  readonly bytesReceived: number
  /** This store was found to be restored from a copy and has begun a new incarnation. */
  readonly renewed: boolean
}

/** Each life of a store that turns out to be over while they talk costs another beginning. */
const beginnings = 4

/**
 * Errors: query_canceled; what the exchange rejects with; what the other side refuses; protocol_violation when it does not
 * keep to the rules; clock_skewed, event_too_large for events that are not taken (all others are).
 */
export async function syncWith(
  store: SyncStore,
  exchange: SyncExchange,
  options: SyncOptions = {},
): Promise<SyncReport> {
  const session = new SyncSession(store, exchange, options)
  for (let i = 1; ; i++) {
    try {
      return await session.run()
    } catch (error) {
      const again = error instanceof DbError && error.code === 'store_restored' && i < beginnings
      if (!again) throw error
    }
  }
}

class SyncSession {
  readonly #store: SyncStore
  readonly #exchange: SyncExchange
  readonly #options: SyncOptions
  #peer: Uint8Array | undefined
  /** Where we were when it began. Another life begins another sync. */
  #life: Mark | undefined
  /** Their newest place, as they last said. */
  #theirs: Mark | undefined
  /** What they said they have of ours, in our present life. */
  #acknowledged: Mark | undefined
  #acquainted = false
  readonly #report = {
    mode: 'positions' as SyncReport['mode'],
    sent: 0,
    received: 0,
    conflicts: 0,
    messages: 0,
    bytesSent: 0,
    bytesReceived: 0,
    renewed: false,
  }

  constructor(store: SyncStore, exchange: SyncExchange, options: SyncOptions) {
    this.#store = store
    this.#exchange = exchange
    this.#options = options
    if (options.peer !== undefined && /^[0-9a-f]{32}$/.test(options.peer)) this.#peer = fromHex(options.peer)
  }

  async run(): Promise<SyncReport> {
    this.#life = undefined
    if (this.#peer === undefined) await this.#ask({ kind: 'hello', from: this.#store.mark() }, 'welcome')
    this.#life = this.#store.mark()
    const acknowledged = this.#store.peer(this.#peer!)?.acknowledged
    const known = acknowledged !== undefined && sameLife(acknowledged, this.#store.mark())
    this.#acknowledged = known ? acknowledged : undefined
    const start = this.#life
    const first = await this.#offer(false)
    const theirStart = first.answer.from
    if (first.answer.compare) await this.#byFingerprints(start, theirStart)
    else await this.#byPositions(start, theirStart, first)
    this.#store.met(this.#peer!, { position: this.#theirs!, acknowledged: this.#acknowledged })
    return this.#progress()
  }

  async #byPositions(start: Mark, theirStart: Mark, first: Offered): Promise<void> {
    this.#report.mode = 'positions'
    let turn = first
    let [ourEnd, theirEnd] = [start.position, theirStart.position]
    let conflicts = 0
    // Another sync of the two may overtake this one, whose page then completes nothing; that does not last.
    for (let last = -1, idle = 0; ; ) {
      await this.#page(turn)
      if (this.#placed >= ourEnd && this.#received >= theirEnd) {
        if (this.#report.conflicts === conflicts) return
        // What met another value before it was offered has moved on behind the end, together with that.
        conflicts = this.#report.conflicts
        ourEnd = this.#store.position
        theirEnd = this.#theirs!.position
        if (this.#placed >= ourEnd && this.#received >= theirEnd) return
      }
      const reached = this.#placed + this.#received
      idle = reached > last ? 0 : idle + 1
      if (idle === beginnings) throw malformed('the other side does not get on')
      last = reached
      turn = await this.#offer(true)
      if (turn.answer.compare) throw malformed('the other side changes the way of comparing')
    }
  }

  /** Moves what one page of each side lacks. */
  async #page({ page, answer }: Offered): Promise<void> {
    const outgoing = answer.wants.map((i) => page.ids[i])
    const { offer } = answer
    const incoming = (await this.#store.lacking(offer.ids)).map((i) => offer.ids[i])
    if (incoming.length === 0 && offer.upTo.position > this.#received) await this.#store.receive(this.#peer!, [], offer)
    await this.#move(outgoing, page, incoming, offer)
  }

  async #byFingerprints(start: Mark, theirStart: Mark): Promise<void> {
    this.#report.mode = 'fingerprints'
    const comparison = new Comparison(await this.#store.ranges())
    while (!comparison.done) {
      const ranges = comparison.question()
      const message = { kind: 'compare', from: this.#store.mark(), to: this.#theirs!, ranges } as const
      const { answers } = await this.#ask(message, 'compared')
      if (answers.length !== ranges.length) throw malformed('it has another number of answers than of questions')
      const theirs: RangeId[] = []
      const ours: RangeId[] = []
      comparison.learn(ranges, answers, theirs, ours)
      const lacking = (await this.#store.lacking(theirs)).map((i) => theirs[i])
      await this.#move(ours, undefined, lacking, undefined)
    }
    // All that either had when this began is now at both.
    await this.#store.receive(this.#peer!, [], whole(theirStart))
    await this.#carry([], whole(start), { ids: [], cap: 0, behind: undefined })
  }

  /** Carries events both ways, a message's worth at a time; with stretches, each message says how far it completes them. */
  async #move(
    outgoing: readonly RangeId[],
    ours: Stretch | undefined,
    incoming: readonly RangeId[],
    theirs: Stretch | undefined,
  ): Promise<void> {
    const keys = outgoing.map((id) => id.key)
    let out = 0
    let come = 0
    /** Where the records of a key with a conflict broke off, going and coming. */
    let outBehind: Uint8Array | undefined
    let comeBehind: Uint8Array | undefined
    let sent = ours?.after
    let taken = theirs?.after
    while (out < outgoing.length || come < incoming.length) {
      const page = await this.#store.records(
        keys.slice(out, out + this.#store.limits.syncIds),
        this.#store.limits.syncBytes,
        ours?.upTo.position ?? 0,
        outBehind,
      )
      const sends = out < outgoing.length
      out += page.taken
      outBehind = page.behind
      const claim = sends ? stretch(sent, out === outgoing.length ? ours?.upTo : page.upTo) : undefined
      sent = claim?.upTo ?? sent
      const wants = incoming.slice(come, come + this.#store.limits.syncIds)
      const cap = theirs?.upTo.position ?? 0
      const carried = await this.#carry(page.records, claim, { ids: wants, cap, behind: comeBehind })
      if (wants.length > 0) {
        checkBrings(carried, wants.length, comeBehind)
        come += carried.taken
        const reached = come === incoming.length ? theirs?.upTo : carried.upTo
        if (reached !== undefined && theirs !== undefined) checkReached(reached, carried.from, theirs)
        const covers = stretch(taken, reached)
        taken = covers?.upTo ?? taken
        await this.#take(carried, wants, comeBehind, covers)
        comeBehind = carried.behind
      }
      this.#options.onProgress?.(this.#progress())
    }
  }

  async #carry(
    records: readonly Uint8Array[],
    claim: Stretch | undefined,
    { ids, cap, behind }: Wanted,
  ): Promise<CarriedMessage> {
    const wants = ids.map((id) => id.key)
    const head = { kind: 'carry', from: this.#store.mark(), to: this.#theirs! } as const
    const carried = await this.#ask({ ...head, records, claim, wants, cap, behind }, 'carried')
    this.#report.sent += carried.added
    this.#report.conflicts += carried.conflicts
    return carried
  }

  /** @param behind where the first wanted one had broken off. */
  async #take(
    carried: CarriedMessage,
    wants: readonly RangeId[],
    behind: Uint8Array | undefined,
    claim: Stretch | undefined,
  ): Promise<void> {
    const expected = new Map<string, Uint8Array | undefined>()
    for (const [i, { key, hash }] of wants.entries()) {
      const inParts = (i === 0 && behind !== undefined) || (i === carried.taken && carried.behind !== undefined)
      expected.set(formatUlid(key), inParts ? undefined : hash)
    }
    const { added, conflicts } = await this.#store.receive(this.#peer!, carried.records, claim, expected)
    this.#report.received += added
    this.#report.conflicts += conflicts
  }

  /** The next page of ours, and what they say to it. */
  async #offer(begun: boolean): Promise<Offered> {
    // Another sync of the two may move the places meanwhile: that is no reason to give up.
    for (let i = 0, last = -1; i < beginnings; i = this.#placed > last ? 0 : i + 1, last = this.#placed) {
      const after = await this.#store.markAt(this.#placed)
      const peer = this.#peer!
      const received = this.#store.peer(peer)?.received
      const known = received !== undefined && received.position > 0 && this.#livesOn(received)
      const yours = known ? received : undefined
      // Strangers with much to tell will compare fingerprints, unless one of them is empty.
      const strange =
        !this.#acquainted && this.#acknowledged === undefined && this.#store.position > this.#store.limits.syncIds
      this.#acquainted = true
      const ids = await this.#store.idsAfter(after.position, strange ? 0 : this.#store.limits.syncIds, yours?.store)
      const page = { after, ...ids }
      const head = { kind: 'offer', from: this.#store.mark(), count: this.#store.count, begun, yours } as const
      const answer = await this.#ask({ ...head, offer: page }, 'answer')
      await this.#heed(answer, page, yours)
      this.#acknowledged = answer.yours
      // The page is for those whom it was made for: it leaves out what came from them, and begins where they are.
      const theyAreNew = !sameBytes(peer, answer.from.store) || (yours !== undefined && !sameLife(yours, answer.from))
      if (theyAreNew && begun) throw restored('the other store', this.#received, answer.from.position)
      if (!theyAreNew && (answer.compare || fits(page, answer.yours))) return { page, answer }
    }
    throw malformed('the other side forgets what it said')
  }

  async #heed(answer: AnswerMessage, page: Offer, yours: Mark | undefined): Promise<void> {
    const { offer } = answer
    if (answer.yours !== undefined) await this.#checkOurs(answer.yours)
    const received = yours !== undefined && sameLife(yours, answer.from) ? yours.position : 0
    const sound =
      sameLife(offer.upTo, answer.from) &&
      offer.upTo.position <= answer.from.position &&
      received <= answer.from.position &&
      sameLife(offer.after, answer.from) &&
      offer.after.position === received &&
      received <= offer.upTo.position
    if (!sound) throw malformed('it speaks of positions that it does not have')
    if (answer.wants.some((i) => i >= page.ids.length)) throw malformed('it wants what was not offered')
  }

  /** They were told of a place of ours. When it is not part of our history, we are a copy. */
  async #checkOurs(mark: Mark): Promise<void> {
    const own = this.#store.mark()
    if (!sameBytes(mark.store, own.store)) throw malformed('it speaks of another store')
    if (await this.#store.knows(mark)) return
    if (sameLife(mark, own)) {
      await this.#store.renewIncarnation()
      this.#report.renewed = true
    }
    throw restored('this store', mark.position, own.position)
  }

  /** Whether a place of theirs is of their present life, as far as they have said who they are. */
  #livesOn(mark: Mark): boolean {
    return this.#theirs === undefined || sameLife(mark, this.#theirs)
  }

  /** What they have of ours, and we of theirs. */
  get #placed(): number {
    const mark = this.#acknowledged
    return mark !== undefined && sameLife(mark, this.#store.mark()) ? mark.position : 0
  }

  get #received(): number {
    const mark = this.#store.peer(this.#peer!)?.received
    return mark !== undefined && sameLife(mark, this.#theirs!) ? mark.position : 0
  }

  async #ask<K extends Message['kind']>(message: Message, kind: K): Promise<Extract<Message, { kind: K }>> {
    if (this.#options.signal?.aborted) {
      throw new DbError('query_canceled', 'the sync was ended; what has arrived is kept', {
        hint: 'Sync again to go on.',
      })
    }
    const own = this.#store.mark()
    if (this.#life !== undefined && !sameLife(own, this.#life))
      throw restored('this store', this.#life.position, own.position)
    const request = encodeMessage(message)
    const bytes = await this.#exchange(request)
    this.#report.messages += 2
    this.#report.bytesSent += request.length
    this.#report.bytesReceived += bytes.length
    const response = decodeMessage(bytes)
    if (response.kind === 'refusal') {
      if (response.evidence !== undefined) await this.#checkOurs(response.evidence)
      throw response.error
    }
    if (response.kind !== kind) throw malformed(`it answers ${message.kind} with ${response.kind}`)
    // Who begins another life in the middle no longer has the places that this was about.
    if ('to' in message && !sameLife(message.to, response.from)) {
      throw restored('the other store', message.to.position, response.from.position)
    }
    this.#meet(response.from)
    if (response.kind === 'carried' && response.yours !== undefined) this.#acknowledged = response.yours
    return response as Extract<Message, { kind: K }>
  }

  #meet(from: Mark): void {
    if (sameLife(from, this.#store.mark())) {
      throw new DbError('invalid_parameter_value', `the store ${this.#store.name} cannot sync with itself`, {
        hint: 'Give the address of another store.',
      })
    }
    this.#peer = from.store
    this.#theirs = from
  }

  #progress(): SyncReport {
    const peer = { store: toHex(this.#theirs!.store), incarnation: toHex(this.#theirs!.incarnation) }
    return { peer, ...this.#report }
  }
}

/** A page of ours that was offered, and the answer. */
interface Offered {
  readonly page: Offer
  readonly answer: AnswerMessage
}

/** What we ask for: see CarryMessage. */
interface Wanted {
  readonly ids: readonly RangeId[]
  readonly cap: number
  readonly behind: Uint8Array | undefined
}

/** All that a store had when it was here. */
function whole(upTo: Mark): Stretch {
  return { after: beginning(upTo.store, upTo.incarnation), upTo }
}

function stretch(after: Mark | undefined, upTo: Mark | undefined): Stretch | undefined {
  return after === undefined || upTo === undefined || upTo.position < after.position ? undefined : { after, upTo }
}

function checkReached(reached: Mark, from: Mark, offered: Stretch): void {
  if (sameLife(reached, from) && reached.position <= offered.upTo.position) return
  throw malformed('it brings more than it offered')
}

/** Keys must get on, or else the records of the first. */
function checkBrings({ taken, behind }: CarriedMessage, wanted: number, before: Uint8Array | undefined): void {
  const further = behind !== undefined && (before === undefined || compareBytes(behind, before) > 0)
  const sound = taken > 0 ? taken + (behind === undefined ? 0 : 1) <= wanted : further
  if (!sound) throw malformed('it brings nothing')
}

/** Whether the page begins where they are: only then can it be said to complete what they have. */
function fits(page: Offer, yours: Mark | undefined): boolean {
  if (yours === undefined) return page.after.position === 0
  return sameMark(yours, page.after) || sameMark(yours, page.upTo)
}
