/**
 * Tables whose changes are events of an event database, and that take changes from one: consensus tables, which stores
 * that seldom meet keep alike.
 *
 *   ALTER TABLE account SET ("publish.to" = 'account_changes', "apply.from" = 'account_changes')
 *
 * Reserved storage 5 holds what both sides have to remember, beside the rows and by the same commits:
 *
 *   u32 5 │ u32 0                                   16 hexadecimal digits: the origin of all that this cluster publishes
 *   u32 5 │ u32 table │ 'k' │ row key, no storage   a row's newest change: {"at", "origin"} of an event, {} of a DELETE here
 *   u32 5 │ u32 table │ 'p' │ store.incarnation     position up to which a store's events are applied
 *
 * Not here: what a commit publishes (publishing.ts), applying (session/appliers.ts).
 */
import { DbError, ROW, type Step, type Timestamp, WAIT } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import type { Io } from '../../io/index.ts'
import { forUpdate, type Transaction } from '../../transaction/index.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'
import { isLocal, optionOf, storeName } from './local-table.ts'

export const bridgeStorage = 5

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const publishTarget = (table: RelationDescriptor) => optionOf(table, 'publish.to')
export const applySource = (table: RelationDescriptor) => optionOf(table, 'apply.from')

export function isBridged(table: RelationDescriptor): boolean {
  return table.options !== undefined && (publishTarget(table) ?? applySource(table)) !== undefined
}

const known = new WeakMap<Catalog, ReadonlyMap<number, RelationDescriptor>>()

/** Bridged tables by storage id. */
export function bridgedTables(catalog: Catalog): ReadonlyMap<number, RelationDescriptor> {
  let tables = known.get(catalog)
  if (tables === undefined) {
    const found = [...catalog.relations()].filter((r) => isBridged(r) && primaryColumns(r) !== undefined)
    tables = new Map(found.map((table) => [table.storage, table]))
    known.set(catalog, tables)
  }
  return tables
}

/** The table in events: tables of one name are kept alike. */
export const publishedName = storeName

function refused(what: string, hint: string): DbError {
  return new DbError('feature_not_supported', what, { hint })
}

/** Raises feature_not_supported for a finished table that cannot be bridged as its options say. */
export function checkBridged(table: RelationDescriptor): void {
  if (!isBridged(table)) return
  const what = publishTarget(table) === undefined ? 'apply changes from' : 'publish its changes to'
  if (table.relkind !== 'r' || table.persistence === 't' || isLocal(table))
    throw refused(`"${table.name}" cannot ${what} an event database`, 'Only tables of the cluster can.')
  if (primaryColumns(table) === undefined)
    throw refused(
      `"${table.name}" cannot ${what} an event database: it has no primary key`,
      'Add one: changes name their rows by it.',
    )
}

/** Raises feature_not_supported for a change of definition after which rows could not be told from one another. */
export function checkBridgedChange(before: RelationDescriptor, after: RelationDescriptor): void {
  if (!isBridged(before) || !isBridged(after) || primaryColumns(before) === undefined) return
  const sameKey = String(primaryColumns(before)) === String(primaryColumns(after))
  if (before.storage === after.storage && sameKey) return
  const what = sameKey ? 'TRUNCATE, and ALTER TABLE that writes all rows anew, are' : 'changing the primary key is'
  throw refused(
    `${what} not available for "${before.name}", whose changes are published or applied`,
    'DELETE the rows, or RESET ("publish.to", "apply.from") first.',
  )
}

export function primaryColumns(table: RelationDescriptor): readonly number[] | undefined {
  return table.constraints.find((c) => c.type === 'p')?.columns
}

// ---- reserved storage

const originKey = keyOf(0, '', undefined)

function keyOf(table: number, kind: string, rest: Uint8Array | undefined): Uint8Array {
  const out = new ByteWriter(64)
  out.u32(bridgeStorage)
  out.u32(table)
  if (kind !== '') out.u8(kind.charCodeAt(0))
  if (rest !== undefined) out.range(rest, 0, rest.length)
  return out.copy()
}

/** @param row key of a row, with its storage id. */
export function stampKey(table: RelationDescriptor, row: Uint8Array): Uint8Array {
  return keyOf(table.oid, 'k', row.subarray(4))
}

/** @param life "store.incarnation": positions are a store's own. */
export function positionKey(table: RelationDescriptor, life: string): Uint8Array {
  return keyOf(table.oid, 'p', encoder.encode(life))
}

export function put(tx: Transaction, key: Uint8Array, value: unknown): void {
  const bytes = encoder.encode(JSON.stringify(value))
  tx.put(key, bytes, 0, bytes.length)
}

/** The step's answer, once it is not WAIT. */
export async function settled(tx: Transaction, step: () => Step): Promise<Step> {
  for (;;) {
    const answer = step()
    if (answer !== WAIT) return answer
    await tx.blocker!.ready()
  }
}

export interface Entry<T> {
  readonly value: T
  /** Of the commit that wrote it. */
  readonly at: Timestamp
}

/** An entry at the transaction's snapshot, its own earlier statements' writes included. */
export async function entry<T>(tx: Transaction, key: Uint8Array): Promise<Entry<T> | undefined> {
  if ((await settled(tx, () => tx.get(key))) !== ROW) return undefined
  const { slab, valueStart, valueEnd, timestamp } = tx.found
  return { value: JSON.parse(decoder.decode(slab.bytes.subarray(valueStart, valueEnd))) as T, at: timestamp }
}

/** When a row was changed, and by whom. */
export interface RowTime {
  readonly at: Timestamp
  readonly origin: string
}

/** @param own this cluster's origin. undefined: the row was never there, as far as is known. */
export async function rowTime(
  tx: Transaction,
  table: RelationDescriptor,
  row: Uint8Array,
  own: string,
): Promise<RowTime | undefined> {
  const stamp = await entry<Partial<RowTime>>(tx, stampKey(table, row))
  if ((await settled(tx, () => tx.get(row))) === ROW) {
    // A row and the stamp of the event that wrote it are of one commit.
    const { timestamp } = tx.found
    if (timestamp !== stamp?.at) return { at: timestamp, origin: own }
  }
  if (stamp === undefined) return undefined
  const { at = stamp.at, origin = own } = stamp.value
  return { at, origin }
}

/** What this cluster's events are told by; undefined before the first table is bridged. */
export async function originOf(tx: Transaction): Promise<string | undefined> {
  if ((await settled(tx, () => tx.getLatest(originKey))) !== ROW) return undefined
  const { slab, valueStart, valueEnd } = tx.found
  return decoder.decode(slab.bytes.subarray(valueStart, valueEnd))
}

/** Sees to it that there is an origin, by the transaction that bridges a table. */
export function* makeOrigin(
  x: { blocker: { ready(): Promise<void> } | undefined },
  tx: Transaction,
  io: Pick<Io, 'random'>,
): Generator<Step, void, void> {
  const waited = function* (step: () => Step): Generator<Step, Step, void> {
    for (;;) {
      const answer = step()
      if (answer !== WAIT) return answer
      x.blocker = tx.blocker
      yield WAIT
    }
  }
  yield* waited(() => tx.lockRow(originKey, forUpdate))
  if ((yield* waited(() => tx.getLatest(originKey))) === ROW) return
  const text = [...io.random.bytes(8)].map((b) => b.toString(16).padStart(2, '0')).join('')
  const bytes = encoder.encode(text)
  tx.put(originKey, bytes, 0, bytes.length)
}
