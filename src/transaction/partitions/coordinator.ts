/**
 * Commits at the gateway. PROTOCOLS "Transactions": validation decides.
 *
 *   one partition    commit: one request, one Raft round
 *   several          prepare on every written partition ─► C = the highest prepare timestamp
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
import type { Overlay, OverlayVersion } from '../overlay.ts'
import type { ClusterStore } from './cluster-store.ts'
import { encodeWrite } from './entry.ts'
import { OutcomeUnknown, outcomeUnknown, Regroup } from './misrouted.ts'
import type { Checks, KeyCheck, OwnerId, SpanCheck } from './requests.ts'
import {
  commitOperation,
  forgetOperation,
  outcomeOperation,
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

/** What a commitment means for one partition. */
interface Share {
  readonly partition: number
  /** A key by which the partition is found. */
  key: Uint8Array
  readonly set: WriteSetBuilder
  readonly keys: KeyCheck[]
  readonly spans: SpanCheck[]
  readonly tails: SpanCheck[]
}

/** How often partitions may be cut under a commit before it is given up. */
const maxRegroups = 20

/** The commit timestamp. Raises serialization_failure, statement_completion_unknown, connection_failure. */
export async function commitAcross(store: ClusterStore, commitment: Commitment): Promise<Timestamp> {
  for (let attempt = 0; ; attempt++) {
    const transaction = attempt === 0 ? commitment.owner.session : store.newTransactionId()
    const shares = divide(store, commitment)
    const written = shares.filter((s) => s.set.count > 0)
    assert(written.length > 0, 'a transaction that commits has written')
    try {
      const timestamp =
        shares.length === 1
          ? await commitOne(store, commitment.owner, transaction, written[0])
          : await commitSeveral(store, commitment.owner, transaction, shares, written)
      if (timestamp > 0) return timestamp
    } catch (error) {
      if (!(error instanceof Regroup) || attempt >= maxRegroups) throw error
    }
  }
}

/** Writes and checks by partition, as this node knows partitions now. */
function divide(store: ClusterStore, { overlay, checks }: Commitment): Share[] {
  const shares = new Map<number, Share>()
  const share = (key: Uint8Array): Share => {
    const partition = store.partitionOf(key)
    let one = shares.get(partition)
    if (one === undefined) {
      one = { partition, key, set: new WriteSetBuilder(), keys: [], spans: [], tails: [] }
      shares.set(partition, one)
    }
    return one
  }
  overlay.forEach((v: OverlayVersion) => {
    const { bytes } = v.slab
    const { set } = share(bytes.subarray(v.keyStart, v.keyEnd))
    if (v.valueStart < 0) set.deleteRange(bytes, v.keyStart, v.keyEnd)
    else set.putRange(bytes, v.keyStart, v.keyEnd, v.valueStart, v.valueEnd)
  })
  for (const check of checks.keys) share(check.key).keys.push(check)
  for (const [list, of] of [
    [checks.spans, 'spans'],
    [checks.tails, 'tails'],
  ] as const)
    for (const check of list)
      for (const part of store.splitSpan(check)) share(part.start)[of].push({ ...part, at: check.at })
  // A share that only holds tails of storages written elsewhere has nothing to check.
  for (const [partition, one] of shares)
    if (one.set.count === 0 && one.keys.length + one.spans.length === 0) shares.delete(partition)
  return [...shares.values()]
}

async function commitOne(store: ClusterStore, owner: OwnerId, transaction: number, share: Share): Promise<Timestamp> {
  const { set, key, keys, spans, tails } = share
  const request = { owner, transaction, payload: encodeWrite(set), checks: { keys, spans, tails } }
  try {
    return await store.routing.ask(commitOperation, key, request)
  } catch (error) {
    if (!isUnknown(error)) throw error
    return await settle(store, transaction, key)
  }
}

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
    const prepared = await allOf(
      written.map((s) => {
        const writes = new Uint8Array(s.set.finish(0))
        const checks = { keys: s.keys, spans: s.spans, tails: s.tails }
        return routing.ask(prepareOperation, s.key, { owner, transaction, anchor, writes, checks })
      }),
    )
    timestamp = Math.max(...prepared)
    await allOf(shares.map((s) => validate(store, transaction, s, timestamp)))
  } catch (error) {
    for (const key of keys) background(store, routing.ask(resolveOperation, key, { transaction, timestamp: 0, key }))
    throw isUnknown(error) ? notCommitted() : error
  }
  const participants = keys.slice(1)
  let decided: Timestamp
  try {
    decided = await routing.ask(recordOperation, anchor, { transaction, timestamp, anchor, participants })
  } catch (error) {
    if (!isUnknown(error)) throw error
    decided = await settle(store, transaction, anchor)
  }
  background(store, finish(store, transaction, decided, anchor, participants))
  return decided
}

/** What was checked when it was prepared is protected by the prepare where it is written; the rest is checked up to C. */
async function validate(store: ClusterStore, transaction: number, share: Share, upTo: Timestamp): Promise<void> {
  const own = new Set<string>()
  if (share.set.count > 0) for (const text of store.keysOf(share.set)) own.add(text)
  const keys = share.keys.filter(({ key }) => !own.has(keyText(key, 0, key.length)))
  const { spans } = share
  if (keys.length + spans.length === 0) return
  const checks = { keys, spans, tails: [] }
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
