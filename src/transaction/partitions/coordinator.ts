/**
 * Commits at the gateway. PROTOCOLS "Transactions": validation decides.
 *
 *   one partition    commit: one request, one Raft round; of large ones the writes go ahead, in chunks
 *   several          prepare on every written partition (after chunks) ─► C = the highest prepare timestamp
 *                    ─► every partition of the checks: nothing has changed up to C ─► record at the anchor: committed
 *                    ─► (nobody waits) resolve everywhere else, then forget the record
 *
 * When an answer is lost, the transaction is fenced where it would have been decided: from then on it is committed or
 * it never will be, and in that case it is committed again under another id. Only when nobody can be asked is it 40003.
 *
 * Not here: recovery of what a dead gateway left (cluster-store.ts).
 */
import { assert, DbError, type Timestamp } from '../../base/index.ts'
import { WriteSetBuilder } from '../../encoding/index.ts'
import { keyText } from '../cursor.ts'
import type { Overlay } from '../overlay.ts'
import { type Chunk, encodePointer, maxChunks } from './chunks.ts'
import type { ClusterStore } from './cluster-store.ts'
import { encodeWrite } from './entry.ts'
import { OutcomeUnknown, outcomeUnknown, Regroup } from './misrouted.ts'
import type { Checks, KeyCheck, OwnerId, SpanCheck } from './requests.ts'
import {
  chunkOperation,
  commitOperation,
  forgetOperation,
  outcomeOperation,
  patient,
  prepareOperation,
  recordOperation,
  resolveOperation,
  validateOperation,
} from './routing.ts'

export interface Commitment {
  readonly owner: OwnerId
  readonly overlay: Overlay
  readonly checks: Checks
}

type Piece = Pick<Chunk, 'low' | 'high' | 'writes'>

/** What a commitment means for one partition. */
interface Share {
  readonly partition: number
  /** A key by which the partition is found. */
  key: Uint8Array
  readonly set: WriteSetBuilder
  /** All that is written, when it is much; `set` is empty then. */
  readonly chunks: Piece[]
  /** Bounds of what is in `set`, of large transactions. */
  low: Uint8Array | undefined
  high: Uint8Array | undefined
  readonly keys: KeyCheck[]
  readonly spans: SpanCheck[]
  readonly tails: SpanCheck[]
}

/** Rows that are divided between two turns of the loop, where there are many. */
const sliceRows = 2048
const chunksOnTheWay = 2
/** Keys that are validated in one request, which is one step at the leaseholder. */
const validateKeys = 4096
/** How often partitions may be cut, or nodes go away, under a commit before it is given up. */
const maxRegroups = 20

/** The commit timestamp. Raises serialization_failure, statement_completion_unknown, connection_failure. */
export async function commitAcross(store: ClusterStore, commitment: Commitment): Promise<Timestamp> {
  for (let attempt = 0; ; attempt++) {
    const transaction = attempt === 0 ? commitment.owner.session : store.newTransactionId()
    const shares = await divide(store, commitment)
    const written = shares.filter(isWritten)
    assert(written.length > 0, 'a transaction that commits has written')
    try {
      const timestamp =
        shares.length === 1
          ? await commitOne(store, commitment.owner, transaction, written[0])
          : await commitSeveral(store, commitment.owner, transaction, shares, written)
      if (timestamp > 0) return timestamp
      if (attempt >= maxRegroups) throw notCommitted()
    } catch (error) {
      if (!(error instanceof Regroup) || attempt >= maxRegroups) throw error
    }
  }
}

/** What the share has gathered becomes a chunk. */
function cut(share: Share): void {
  const writes = new Uint8Array(share.set.finish(0))
  share.chunks.push({ low: share.low!, high: share.high!, writes })
  share.set.reset()
  share.low = undefined
  share.high = undefined
}

function chunkBytesOf({ largeBytes }: ClusterStore): number {
  return Math.floor((largeBytes * 3) / 4)
}

function isWritten({ set, chunks }: Share): boolean {
  return set.count + chunks.length > 0
}

/** Writes and checks by partition, as this node knows partitions now. */
async function divide(store: ClusterStore, { overlay, checks }: Commitment): Promise<Share[]> {
  const shares = new Map<number, Share>()
  const share = (key: Uint8Array): Share => {
    const partition = store.partitionOf(key)
    let one = shares.get(partition)
    if (one === undefined) {
      const set = new WriteSetBuilder()
      one = { partition, key, set, chunks: [], low: undefined, high: undefined, keys: [], spans: [], tails: [] }
      shares.set(partition, one)
    }
    return one
  }
  const large = overlay.bytes > store.largeBytes
  const chunkBytes = chunkBytesOf(store)
  let seen = 0
  for (const { bytes, keyStart, keyEnd, valueStart, valueEnd } of overlay.newest()) {
    const key = bytes.subarray(keyStart, keyEnd)
    const one = share(key)
    const { set } = one
    if (valueStart < 0) set.deleteRange(bytes, keyStart, keyEnd)
    else set.putRange(bytes, keyStart, keyEnd, valueStart, valueEnd)
    if (!large) continue
    if (one.low === undefined || Buffer.compare(key, one.low) < 0) one.low = key
    if (one.high === undefined || Buffer.compare(key, one.high) > 0) one.high = key
    if (set.writer.length >= chunkBytes) cut(one)
    if (++seen % sliceRows === 0) await store.io.tasks.yield()
  }
  for (const one of shares.values()) if (one.chunks.length > 0 && one.set.count > 0) cut(one)
  for (const check of checks.keys) share(check.key).keys.push(check)
  for (const [list, of] of [
    [checks.spans, 'spans'],
    [checks.tails, 'tails'],
  ] as const)
    for (const check of list)
      for (const part of store.splitSpan(check)) share(part.start)[of].push({ ...part, at: check.at })
  // A share that only holds tails of storages written elsewhere has nothing to check.
  for (const [partition, one] of shares)
    if (!isWritten(one) && one.keys.length + one.spans.length === 0) shares.delete(partition)
  return [...shares.values()]
}

async function commitOne(store: ClusterStore, owner: OwnerId, transaction: number, share: Share): Promise<Timestamp> {
  if (share.chunks.length > 0) return await commitLarge(store, owner, transaction, share)
  const { set, key, keys, spans, tails } = share
  const request = { owner, transaction, payload: encodeWrite(set.finish(0)), checks: { keys, spans, tails } }
  try {
    return await store.routing.ask(commitOperation, key, request)
  } catch (error) {
    if (!isUnknown(error)) throw error
    return await settle(store, transaction, key)
  }
}

/** Sends the chunks ahead, then the entry that names them. */
async function commitLarge(store: ClusterStore, owner: OwnerId, transaction: number, share: Share): Promise<Timestamp> {
  const { keys, spans, tails, chunks } = share
  const first = new Uint8Array(share.key)
  try {
    await sendChunks(store, owner.node, transaction, first, chunks)
    const payload = encodeWrite(encodePointer({ first, count: chunks.length }))
    const request = { owner, transaction, payload, checks: { keys, spans, tails } }
    return await store.routing.ask(patient(commitOperation), first, request)
  } catch (error) {
    if (isUnknown(error)) return await settle(store, transaction, first)
    background(store, store.routing.ask(resolveOperation, first, { transaction, timestamp: 0, key: first }))
    throw error
  }
}

/** A few at a time: others use the same connections. */
async function sendChunks(
  store: ClusterStore,
  gateway: number,
  transaction: number,
  first: Uint8Array,
  pieces: readonly Piece[],
): Promise<void> {
  if (pieces.length > maxChunks) {
    throw new DbError('program_limit_exceeded', 'the transaction writes too much', {
      detail: `The limit is about ${Math.floor((maxChunks * chunkBytesOf(store)) / 1e9)} GB in one partition.`,
      hint: 'Divide it into smaller ones.',
    })
  }
  let next = 0
  let failed = false
  const sendRest = async () => {
    while (next < pieces.length && !failed) {
      const number = next++
      try {
        const chunk = { transaction, number, gateway, first, ...pieces[number] }
        await store.routing.ask(chunkOperation, first, chunk)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  await allOf(Array.from({ length: chunksOnTheWay }, sendRest))
}

/** 0: it did not commit, and nothing in it speaks against it: a node went away with an answer. */
async function commitSeveral(
  store: ClusterStore,
  owner: OwnerId,
  transaction: number,
  shares: readonly Share[],
  written: readonly Share[],
): Promise<Timestamp> {
  const { routing } = store
  const anchor = new Uint8Array(written[0].key)
  const keys = written.map((s) => new Uint8Array(s.key))
  let timestamp: Timestamp
  try {
    const prepared = await allOf(written.map((s) => prepare(store, owner, transaction, anchor, s)))
    timestamp = Math.max(...prepared)
    await allOf(shares.map((s) => validate(store, transaction, s, timestamp)))
  } catch (error) {
    for (const key of keys) background(store, routing.ask(resolveOperation, key, { transaction, timestamp: 0, key }))
    if (isUnknown(error)) return 0
    throw error
  }
  const participants = keys.slice(1)
  let decided: Timestamp
  try {
    const record = written[0].chunks.length > 0 ? patient(recordOperation) : recordOperation
    decided = await routing.ask(record, anchor, { transaction, timestamp, anchor, participants })
  } catch (error) {
    if (!isUnknown(error)) throw error
    decided = await settle(store, transaction, anchor)
  }
  background(store, finish(store, transaction, decided, anchor, participants))
  return decided
}

async function prepare(
  store: ClusterStore,
  owner: OwnerId,
  transaction: number,
  anchor: Uint8Array,
  { key, set, chunks, keys, spans, tails }: Share,
): Promise<Timestamp> {
  const checks = { keys, spans, tails }
  if (chunks.length === 0) {
    const writes = new Uint8Array(set.finish(0))
    return await store.routing.ask(prepareOperation, key, { owner, transaction, anchor, writes, checks })
  }
  const first = new Uint8Array(key)
  await sendChunks(store, owner.node, transaction, first, chunks)
  const writes = encodePointer({ first, count: chunks.length })
  return await store.routing.ask(patient(prepareOperation), first, { owner, transaction, anchor, writes, checks })
}

/** What was checked when it was prepared is protected by the prepare where it is written; the rest is checked up to C. */
async function validate(store: ClusterStore, transaction: number, share: Share, upTo: Timestamp): Promise<void> {
  const own = new Set<string>()
  // Our own prepare does not count: of a large transaction all is checked again rather than gathered here.
  if (share.set.count > 0) for (const text of store.keysOf(share.set)) own.add(text)
  const keys = share.keys.filter(({ key }) => !own.has(keyText(key, 0, key.length)))
  const { spans } = share
  for (let at = 0; at < keys.length; at += validateKeys) {
    const checks = { keys: keys.slice(at, at + validateKeys), spans: [], tails: [] }
    await store.routing.ask(validateOperation, checks.keys[0].key, { transaction, upTo, checks, wait: false })
  }
  if (spans.length === 0) return
  const checks = { keys: [], spans, tails: [] }
  await store.routing.ask(validateOperation, share.key, { transaction, upTo, checks, wait: false })
}

/** Tells the other participants, then lets the record go. */
export async function finish(
  store: ClusterStore,
  transaction: number,
  timestamp: Timestamp,
  anchor: Uint8Array,
  participants: readonly Uint8Array[],
): Promise<void> {
  const { routing } = store
  await Promise.all(participants.map((key) => routing.ask(resolveOperation, key, { transaction, timestamp, key })))
  if (timestamp > 0) await routing.ask(forgetOperation, anchor, { transaction, anchor })
}

/** Makes an outcome certain: the commit timestamp, or 0 and it never will commit. */
async function settle(store: ClusterStore, transaction: number, key: Uint8Array): Promise<Timestamp> {
  try {
    return await store.routing.ask(outcomeOperation, key, { transaction, key, fence: true })
  } catch (error) {
    throw error instanceof DbError ? outcomeUnknown() : error
  }
}

function isUnknown(error: unknown): boolean {
  return error instanceof OutcomeUnknown || (error instanceof DbError && error.code === 'statement_completion_unknown')
}

function notCommitted(): DbError {
  return new DbError('connection_failure', 'the transaction was not committed: a partition could not be reached', {
    hint: 'Nothing of it has taken effect. Retry it.',
  })
}

/** All results, or the first failure once none is under way any more. */
async function allOf<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(promises)
  for (const one of settled) if (one.status === 'rejected') throw one.reason
  return settled.map((one) => (one as PromiseFulfilledResult<T>).value)
}

/** Nobody waits for it: what it leaves undone, recovery does. */
function background(store: ClusterStore, work: Promise<unknown>): void {
  work.catch((error) => {
    if (!(error instanceof DbError) && !store.io.dead) store.io.fatal('resolving a transaction failed', error)
  })
}
