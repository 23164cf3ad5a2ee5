/** VACUUM, ANALYZE, CHECKPOINT, REINDEX, CLUSTER: work on tables that changes no rows. */

import { DbError, ROW, type Step, WAIT, YIELD } from '../../base/index.ts'
import { lookUpRelation } from '../bind/from.ts'
import type { ColumnStatistics, RelationDescriptor, StatisticsDescriptor } from '../catalog/descriptors.ts'
import { contextOf } from '../ddl/context.ts'
import { storageSpan } from '../execute/tables.ts'
import { isLocal } from '../local/local-table.ts'
import type { Value } from '../types/type.ts'
import type { Session } from './session.ts'
import type { CommandTable } from './utility.ts'
import type { Command } from './utility-portal.ts'

export const maintenanceCommands: CommandTable = {
  VacuumStmt: { transactional: 'inside', writes: false, run: vacuum },
  CheckPointStmt: { transactional: 'inside', writes: false, run: checkpoint },
  ReindexStmt: { transactional: 'inside', writes: false, run: reindex },
}

/** How many rows statistics are made from: 300 per histogram bucket, as PostgreSQL samples. */
const sampleRows = 30_000
const buckets = 100
const mostCommon = 100

function* vacuum(session: Session, node: any): Command {
  const isVacuum = node.is_vacuumcmd === true
  if (isVacuum && session.block === 'explicit')
    throw new DbError('active_sql_transaction', 'VACUUM cannot run inside a transaction block')
  const analyze = !isVacuum || ((node.options ?? []) as any[]).some((o) => o.DefElem.defname === 'analyze')
  const named = ((node.rels ?? []) as any[]).map((r) => lookUpRelation(contextOf(session), r.VacuumRelation.relation))
  const relations = named.length > 0 ? named : [...session.catalog.relations()].filter((r) => r.relkind === 'r')
  if (analyze)
    for (const r of relations) if (r.relkind === 'r' && r.oid >= 16384 && !isLocal(r)) yield* analyzeTable(session, r)
  if (isVacuum) session.database.store.collect()
  return { tag: isVacuum ? 'VACUUM' : 'ANALYZE' }
}

function* checkpoint(session: Session): Command {
  const done = session.database.store.engine.flush()
  let finished = false
  let failure: unknown
  done.then(
    () => {
      finished = true
    },
    (error) => {
      failure = error
      finished = true
    },
  )
  while (!finished) {
    session.blocker = { ready: () => done }
    yield WAIT
  }
  if (failure !== undefined) throw failure
  return { tag: 'CHECKPOINT' }
}

function* reindex(session: Session, node: any): Command {
  // Indexes are kept in step with their rows by construction; there is nothing to rebuild but to check the name.
  if (node.relation) lookUpRelation(contextOf(session), node.relation)
  return { tag: 'REINDEX' }
}

/** Reads the table and records sizes, common values, histograms. */
export function* analyzeTable(session: Session, relation: RelationDescriptor): Generator<Step, void, void> {
  const tx = session.transaction()
  const access = session.tables.access(session.catalog, relation)
  const cursor = tx.cursor(storageSpan(relation.storage))
  const live = relation.columns.filter((c) => !c.dropped)
  const sample: Value[][] = []
  const widths: number[] = []
  let rows = 0
  let bytes = 0
  try {
    for (;;) {
      const step = cursor.next()
      if (step === WAIT) {
        session.blocker = cursor
        yield WAIT
        continue
      }
      if (step !== ROW) break
      if (session.sliceSpent) yield YIELD
      const b = cursor.batch
      for (let i = 0; i < b.count; i++) {
        rows++
        bytes += b.valueEnd[i] - b.valueStart[i] + b.keyEnd[i] - b.keyStart[i]
        // Reservoir sampling (Vitter's R): every row has the same chance.
        const at = sample.length < sampleRows ? sample.length : session.database.io.random.below(rows)
        if (at >= sampleRows) continue
        const slab = b.slabs[b.slab[i]]
        sample[at] = live.map((c) => access.read(c.number, slab.bytes, slab.view, b.valueStart[i]))
        widths[at] = b.valueEnd[i] - b.valueStart[i]
      }
    }
  } finally {
    cursor.close()
  }
  const columns: Record<number, ColumnStatistics> = {}
  live.forEach((c, i) => {
    columns[c.number] = columnStatistics(
      session,
      sample.map((row) => row[i]),
      rows,
      access.types[c.number - 1],
    )
  })
  const descriptor: StatisticsDescriptor = { kind: 'statistics', oid: relation.oid, rows, bytes, columns }
  session.change('statistics', relation.oid, descriptor)
}

function columnStatistics(
  session: Session,
  values: readonly Value[],
  total: number,
  type: import('../types/type.ts').Type,
): ColumnStatistics {
  const present = values.filter((v) => v !== null)
  const nullFraction = values.length === 0 ? 0 : 1 - present.length / values.length
  const empty: ColumnStatistics = {
    nullFraction,
    averageWidth: 0,
    distinct: 0,
    commonValues: [],
    commonFrequencies: [],
    histogram: [],
    correlation: 0,
  }
  if (present.length === 0 || !type.hashable) return empty
  const counts = new Map<any, { value: Value; count: number }>()
  for (const v of present) {
    const key = type.key(v)
    const known = counts.get(key)
    if (known === undefined) counts.set(key, { value: v, count: 1 })
    else known.count++
  }
  const d = counts.size
  const once = [...counts.values()].filter((c) => c.count === 1).length
  const n = present.length
  // Haas and Stokes' Duj1 estimator, as PostgreSQL's; a column without repetition counts as unique.
  const estimate = once === n ? total * (1 - nullFraction) : (n * d) / (n - once + (once * n) / Math.max(1, total))
  const distinct = estimate > 0.1 * total ? -Math.min(1, estimate / Math.max(1, total)) : Math.round(estimate)
  const text = (v: Value): string => type.format(v, session.types)
  const average = n / d
  const common = [...counts.values()]
    .filter((c) => c.count > 1 && c.count > average * 1.25)
    .sort((a, b) => b.count - a.count)
    .slice(0, mostCommon)
  const commonKeys = new Set(common.map((c) => type.key(c.value)))
  let histogram: string[] = []
  if (type.ordered) {
    const rest = [...counts.values()]
      .filter((c) => !commonKeys.has(type.key(c.value)))
      .flatMap((c) => Array(Math.min(c.count, 1000)).fill(c.value))
    rest.sort((a, b) => type.compare(a, b))
    if (rest.length >= 2) {
      const size = Math.min(buckets, rest.length - 1)
      histogram = Array.from({ length: size + 1 }, (_, i) => text(rest[Math.floor((i * (rest.length - 1)) / size)]))
    }
  }
  const width = present.slice(0, 100).reduce((s: number, v) => s + text(v).length, 0) / Math.min(100, n)
  return {
    nullFraction,
    averageWidth: Math.round(width),
    distinct,
    commonValues: common.map((c) => text(c.value)),
    commonFrequencies: common.map((c) => c.count / values.length),
    histogram,
    correlation: 0,
  }
}
