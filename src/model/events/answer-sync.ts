/**
 * The answering side of a sync. It keeps nothing between requests but what the store keeps durably, so it does not matter
 * which connection, or after which restart, a request comes.
 *
 * A peer may know a place of ours that our history does not have: then this store was restored from a copy. It begins a new
 * incarnation at once, and the sync goes on by fingerprints. The other way round the peer is told, with the place as proof.
 *
 * Not here: the asking side (sync.ts), bytes (replication/sync/message.ts).
 */
import { DbError } from '../../base/index.ts'
import {
  type AnswerMessage,
  answerRanges,
  type CarriedMessage,
  type CarryMessage,
  type ComparedMessage,
  type CompareMessage,
  decodeMessage,
  encodeMessage,
  type Mark,
  type Message,
  malformed,
  type Offer,
  type OfferMessage,
  type Stretch,
  sameBytes,
  sameLife,
  sameMark,
} from '../../replication/sync/index.ts'
import type { SyncStore } from './sync-store.ts'

/** Answers one request of another store. Never rejects for what the request says: refusals are answers too. */
export async function answerSync(store: SyncStore, request: Uint8Array): Promise<Uint8Array> {
  const evidence: { mark: Mark | undefined } = { mark: undefined }
  try {
    return encodeMessage(await answer(store, decodeMessage(request), evidence))
  } catch (error) {
    if (!(error instanceof DbError)) throw error
    return encodeMessage({ kind: 'refusal', error, evidence: evidence.mark })
  }
}

async function answer(store: SyncStore, message: Message, evidence: { mark: Mark | undefined }): Promise<Message> {
  if (message.kind !== 'hello' && message.kind !== 'offer' && message.kind !== 'carry' && message.kind !== 'compare') {
    throw malformed(`it is an answer (${message.kind}), not a request`)
  }
  const known = store.peer(message.from.store)
  if (
    known !== undefined &&
    sameLife(known.received, message.from) &&
    known.received.position > message.from.position
  ) {
    evidence.mark = known.received
    throw restored('the store that asks', known.received.position, message.from.position)
  }
  await separate(store, message.from)
  if (message.kind === 'hello') return { kind: 'welcome', from: store.mark() }
  if (message.kind === 'offer') return answerOffer(store, message)
  await mustKnow(store, message.to)
  return message.kind === 'carry' ? answerCarry(store, message) : answerCompare(store, message)
}

async function answerOffer(store: SyncStore, message: OfferMessage): Promise<AnswerMessage> {
  const { from, offer } = message
  checkOffer(from, offer)
  const aboutUs = message.yours
  if (aboutUs !== undefined && sameLife(aboutUs, store.mark()) && !(await store.knows(aboutUs))) {
    await store.renewIncarnation()
  }
  // Taken before anything is looked at: what comes later is for the next sync.
  const mark = store.mark()
  const received = receivedOf(store, from)
  const yours = received?.position === 0 ? undefined : received
  const theirs = aboutUs !== undefined && sameLife(aboutUs, mark) ? aboutUs.position : 0
  const head = { kind: 'answer', from: mark, count: store.count, yours } as const
  const after = await store.markAt(theirs)
  const { syncIds } = store.limits
  const apart =
    far(from.position, yours, store.count, syncIds) || far(mark.position, theirs > 0, message.count, syncIds)
  if (apart && !message.begun) {
    store.met(from.store, { position: from, acknowledged: undefined })
    return { ...head, compare: true, wants: [], offer: { after, upTo: after, ids: [] } }
  }
  const wants = await store.lacking(offer.ids)
  // Only what begins where we are proves that the other side still has the history that we know.
  const begins = yours === undefined ? offer.after.position === 0 : sameMark(yours, offer.after)
  // What was made for another store, or another life of ours, leaves out what that one has.
  const continued = begins && (aboutUs === undefined || sameLife(aboutUs, mark))
  if (wants.length === 0 && continued && offer.upTo.position > offer.after.position) {
    await store.receive(from.store, [], offer)
  }
  const page = await store.idsAfter(theirs, syncIds, yours === undefined ? undefined : from.store)
  store.met(from.store, { position: from, acknowledged: theirs > 0 ? aboutUs : undefined })
  const now = receivedOf(store, from)
  // What came while we looked may be in the page.
  const newest = store.mark()
  if (!sameLife(newest, mark)) throw restored('this store', mark.position, newest.position)
  return {
    ...head,
    from: newest,
    yours: now?.position === 0 ? undefined : now,
    compare: false,
    wants,
    offer: { after, ...page },
  }
}

/** Whether so much lies behind the place that is known, if any, that fingerprints are the cheaper way. */
function far(position: number, known: unknown, others: number, few: number): boolean {
  return !known && others > 0 && position > few
}

async function answerCarry(store: SyncStore, message: CarryMessage): Promise<CarriedMessage> {
  const { from, claim, wants, cap, behind } = message
  if (claim !== undefined) checkClaim(from, claim)
  const { added, conflicts } = await store.receive(from.store, message.records, claim)
  const page = await store.records(wants, store.limits.syncBytes, cap, behind)
  const received = receivedOf(store, from)
  return {
    kind: 'carried',
    from: store.mark(),
    yours: received?.position === 0 ? undefined : received,
    added,
    conflicts,
    records: page.records,
    taken: page.taken,
    upTo: page.upTo,
    behind: page.behind,
  }
}

async function answerCompare(store: SyncStore, message: CompareMessage): Promise<ComparedMessage> {
  const index = await store.ranges()
  return { kind: 'compared', from: store.mark(), answers: answerRanges(index, message.ranges) }
}

/** All of the asking store's up to here is with us; undefined when nothing is known of its present life. */
function receivedOf(store: SyncStore, from: Mark): Mark | undefined {
  const peer = store.peer(from.store)
  return peer !== undefined && sameLife(peer.received, from) ? peer.received : undefined
}

/** The sync began with a place of ours: it must still be one. */
async function mustKnow(store: SyncStore, mark: Mark): Promise<void> {
  if (await store.knows(mark)) return
  const own = store.mark()
  if (!sameBytes(mark.store, own.store)) throw malformed('it is meant for another store')
  if (sameLife(mark, own)) await store.renewIncarnation()
  throw restored('this store', mark.position, own.position)
}

/**
 * Who asks in our own name is a copy of us, or we are one of it: one of the two must have other positions from now on. With
 * the very same newest place there is nothing that one could lack, and it may be ourselves.
 */
async function separate(store: SyncStore, from: Mark): Promise<void> {
  const own = store.mark()
  if (!sameLife(from, own)) return
  if (!sameMark(from, own)) return store.renewIncarnation()
  throw new DbError('invalid_parameter_value', `the event store ${store.name} is asked to sync with itself`, {
    detail: 'Both sides are one store, or copies of one of which neither has changed.',
    hint: 'Give the address of another store.',
  })
}

function checkOffer(from: Mark, offer: Offer): void {
  if (!sameLife(from, offer.upTo) || !sameLife(from, offer.after))
    throw malformed('it offers events of another store than its own')
  checkStretch(from, offer)
}

function checkClaim(from: Mark, claim: Stretch): void {
  if (!sameLife(from, claim.upTo) || !sameLife(from, claim.after))
    throw malformed('it speaks for another store than its own')
  checkStretch(from, claim)
}

function checkStretch(from: Mark, { after, upTo }: Stretch): void {
  if (upTo.position > from.position) {
    throw malformed(`it offers up to position ${upTo.position} and is itself at ${from.position}`)
  }
  if (after.position > upTo.position)
    throw malformed(`it offers what lies between ${after.position} and ${upTo.position}`)
}

export function restored(who: string, was: number, is: number): DbError {
  return new DbError(
    'store_restored',
    `${who} was at position ${was} before, and this is not part of its history now`,
    {
      detail: `It is at position ${is}: it was restored from a copy, or copied.`,
      hint: 'It begins a new incarnation by itself when it syncs; readers of its changes begin again after 0.',
    },
  )
}
