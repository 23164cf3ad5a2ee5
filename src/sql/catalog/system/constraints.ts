/**
 * pg_constraint: keys, foreign keys and checks of tables, checks of domains, and the keys of the catalogs themselves.
 *
 * Not here: their definitions as text (deparse/definitions.ts).
 */

import { equalityOperator } from '../../bind/calls.ts'
import { ParameterTypes } from '../../bind/context.ts'
import type { Session } from '../../session/session.ts'
import { arrayOf } from '../../types/array.ts'
import type { Constraint, RelationDescriptor } from '../descriptors.ts'
import { systemRelations } from '../system-schema.ts'
import { factsOf } from './facts.ts'
import { type Cells, define, firstKey } from './relation.ts'
import { nodeTree } from './relations.ts'

/** Equality of the referenced and the referencing column, per column; 0 where there is none. */
function equalities(s: Session, left: readonly number[], right: readonly number[]): number[] {
  const context = s.bindContext('', new ParameterTypes([], false))
  return left.map((type, i) => {
    try {
      return equalityOperator(context, type, right[i]).oid
    } catch {
      return 0
    }
  })
}

function constraintRow(s: Session, r: RelationDescriptor, c: Constraint): Cells {
  const foreign = c.foreign
  const base: Cells = {
    oid: c.oid,
    conname: c.name,
    connamespace: r.schema,
    contype: c.type,
    condeferrable: c.deferrable,
    condeferred: c.deferred,
    convalidated: c.validated,
    conrelid: r.oid,
    conindid: c.index ?? 0,
    confupdtype: ' ',
    confdeltype: ' ',
    confmatchtype: ' ',
    conislocal: true,
    connoinherit: c.type !== 'c',
    conkey: arrayOf(21, c.columns),
    conbin: c.check === undefined ? null : nodeTree(c.check),
  }
  if (foreign === undefined) return base
  const target = s.catalog.relationOf(foreign.table)
  const own = c.columns.map((n) => r.columns[n - 1].type)
  const others = foreign.columns.map((n) => target.columns[n - 1].type)
  return {
    ...base,
    confrelid: foreign.table,
    confupdtype: foreign.onUpdate,
    confdeltype: foreign.onDelete,
    confmatchtype: foreign.match,
    confkey: arrayOf(21, foreign.columns),
    conpfeqop: arrayOf(26, equalities(s, others, own)),
    conppeqop: arrayOf(26, equalities(s, others, others)),
    conffeqop: arrayOf(26, equalities(s, own, own)),
    confdelsetcols: foreign.setColumns === undefined ? null : arrayOf(21, foreign.setColumns),
  }
}

/** pg_get_constraintdef of a catalog's own key. */
export function systemKeyDefinition(oid: number): string | undefined {
  const f = oid < firstKey ? undefined : factsOf('pg_index').find((x) => Number(x.indexrelid) === oid - firstKey)
  if (f === undefined) return undefined
  const columns = factsOf('pg_attribute').filter((a) => a.attrelid === f.indrelid)
  const names = f.indkey!.split(' ').map((n) => columns.find((a) => a.attnum === n)?.attname)
  return `${f.indisprimary === 't' ? 'PRIMARY KEY' : 'UNIQUE'} (${names.join(', ')})`
}

export function defineConstraints(): void {
  define('pg_constraint', function* (s) {
    for (const { descriptor } of systemRelations())
      for (const c of descriptor.constraints) yield constraintRow(s, descriptor, c)
    for (const r of s.catalog.relations()) for (const c of r.constraints) yield constraintRow(s, r, c)
    for (const t of s.catalog.types()) {
      for (const c of t.checks ?? []) {
        yield {
          oid: c.oid,
          conname: c.name,
          connamespace: t.schema,
          contype: 'c',
          convalidated: c.validated,
          contypid: t.oid,
          confupdtype: ' ',
          confdeltype: ' ',
          confmatchtype: ' ',
          conislocal: true,
          conbin: nodeTree(c.check),
        }
      }
    }
  })
}
