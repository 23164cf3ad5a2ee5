/**
 * What a transaction has changed in bridged tables: the newest version of each row that it has written, compared with what
 * was there before. Statements, cascades and savepoints need not be known: what is committed is published.
 *
 * Not here: the outbox, which carries changes to their event databases (local-commit.ts, outbox.ts).
 */
import { ROW } from '../../base/index.ts'
import { LockOwner, type Transaction } from '../../transaction/index.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'
import type { Tables } from '../execute/tables.ts'
import type { TypeContext, Value } from '../types/type.ts'
import {
  applySource,
  bridgedTables,
  originOf,
  primaryColumns,
  publishedName,
  publishTarget,
  put,
  settled,
  stampKey,
} from './bridge.ts'
import { type ChangeOp, type Unstamped, unstamped } from './change.ts'
import type { OutboxBatch } from './outbox.ts'
import { RowJson } from './row-json.ts'

export interface PublishingSession {
  readonly catalog: Catalog
  readonly tables: Tables
  readonly types: TypeContext
}

/** Whether the transaction has written bridged tables. */
export function writesBridged({ catalog }: PublishingSession, tx: Transaction): boolean {
  return writtenTables(catalog, tx).length > 0
}

function writtenTables(catalog: Catalog, tx: Transaction): RelationDescriptor[] {
  const tables = bridgedTables(catalog)
  if (tables.size === 0) return []
  return [...tx.overlay.storages()].flatMap((id) => tables.get(id) ?? [])
}

/** Changes to publish, and stamps of rows that were deleted, which the transaction gets. */
export async function changesOf(session: PublishingSession, tx: Transaction): Promise<OutboxBatch[]> {
  const origin = (await originOf(tx)) ?? ''
  // What others have committed: own writes stand in front of it in the transaction itself.
  const before = tx.store.begin(new LockOwner(0), 'read committed', true)
  before.startStatement()
  try {
    const out: OutboxBatch[] = []
    for (const table of writtenTables(session.catalog, tx)) {
      const events = await tableChanges(session, tx, before, table, origin)
      const store = publishTarget(table)
      if (store !== undefined && events.length > 0) out.push({ store, events, origin })
    }
    return out
  } finally {
    before.rollback()
  }
}

async function tableChanges(
  session: PublishingSession,
  tx: Transaction,
  before: Transaction,
  table: RelationDescriptor,
  origin: string,
): Promise<Unstamped[]> {
  const { overlay } = tx
  const access = session.tables.access(session.catalog, table)
  const json = new RowJson(table, session.types, undefined)
  const keyColumns = primaryColumns(table)!.map((n) => table.columns[n - 1])
  const name = publishedName(session.catalog, table)
  const all = table.columns.filter((c) => !c.dropped)
  const text = (columns: typeof all, values: Value[]) => decoder.decode(json.encodeColumns(columns, values))
  const row = (bytes: Uint8Array, view: DataView, start: number) => {
    const values: Value[] = []
    for (const c of all) values[c.number - 1] = access.read(c.number, bytes, view, start)
    return values
  }
  const out: Unstamped[] = []
  for (const keyText of overlay.keys(table.storage)) {
    const version = overlay.version(table.storage, keyText, Number.POSITIVE_INFINITY)
    const key = new Uint8Array(Buffer.from(keyText, 'latin1'))
    // The bare storage id is the table's fence.
    if (version === undefined || key.length <= 4) continue
    const there = (await settled(before, () => before.get(key))) === ROW
    let values: Value[]
    let op: ChangeOp
    if (version.valueStart >= 0) {
      values = row(version.slab.bytes, version.slab.view, version.valueStart)
      op = there ? 'update' : 'insert'
    } else {
      if (!there) continue
      values = row(before.found.slab.bytes, before.found.slab.view, before.found.valueStart)
      op = 'delete'
      if (applySource(table) !== undefined) put(tx, stampKey(table, key), {})
    }
    const whole = op === 'delete' ? undefined : text(all, values)
    if (publishTarget(table) !== undefined) out.push(unstamped(op, name, text(keyColumns, values), whole, origin))
  }
  return out
}

const decoder = new TextDecoder()
