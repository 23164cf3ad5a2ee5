/**
 * lattice.max_staleness: statements that only read may be answered by near replicas, at a snapshot in the past.
 *
 *   acknowledged before now − max_staleness ──┐
 *   what this session saw or wrote            ├─ ≤ snapshot
 *   the definition of the tables              ┘
 *
 * So a session never reads backwards and reads what it wrote; and no snapshot lies before a table took the form that the
 * plan was made for: rewritten rows and new indexes hold nothing that is older.
 *
 * Not here: choosing the snapshot and reading at it (transaction/partitions/follower-reads.ts).
 */
import { DbError } from '../../base/index.ts'
import type { Span } from '../../storage/index.ts'
import { accessShare } from '../../transaction/index.ts'
import { storageSpan } from '../execute/tables.ts'
import type { Session } from './session.ts'

/** Bounds the snapshot of a statement that has begun. Raises read_only_sql_transaction when it locks rows. */
export function boundStaleness(
  session: Session,
  locks: readonly { readonly key: string; readonly mode: number }[],
): void {
  const { catalog, database } = session
  const spans: Span[] = []
  let floor = session.newestSeen
  for (const { key, mode } of locks) {
    if (mode > accessShare) {
      throw new DbError('read_only_sql_transaction', 'cannot lock rows with lattice.max_staleness', {
        detail: 'Locked rows are read as they are now, not as they were.',
        hint: 'SET LOCAL lattice.max_staleness = 0 first.',
      })
    }
    const table = catalog.relation(Number(key))
    if (table === undefined) continue
    for (const relation of [table, ...table.indexes.map((oid) => catalog.relation(oid))])
      if (relation !== undefined && relation.storage !== 0) spans.push(storageSpan(relation.storage))
    floor = Math.max(floor, database.sync?.fenceOf(table.oid) ?? 0)
  }
  const since = session.clock.wallMicros() - session.maxStaleness * 1000
  if (spans.length > 0) session.tx!.boundStaleness(since, floor, spans)
}
