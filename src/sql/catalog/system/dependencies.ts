/**
 * pg_depend: what must not go before what, derived from the descriptors.
 *
 *   'n' normal: refuses to be dropped under the dependent one · 'a' automatic: the dependent goes with it · 'i' internal: a part
 *
 * Objects inside expressions are found by walking the stored trees: tables, functions, sequences (nextval's argument),
 * types of users.
 *
 * Not here: DROP … CASCADE, which follows the descriptors themselves (ddl/drop.ts).
 */

import type { Session } from '../../session/session.ts'
import type { RelationDescriptor, TypeDescriptor } from '../descriptors.ts'
import { extensionFunctions } from '../extensions.ts'
import { type Cells, define } from './relation.ts'
import { derivedOid } from './relations.ts'

const classes = {
  relation: 1259,
  type: 1247,
  namespace: 2615,
  proc: 1255,
  constraint: 2606,
  attrdef: 2604,
  rewrite: 2618,
  trigger: 2620,
}
type Class = keyof typeof classes

const firstUserOid = 16384

function row(from: [Class, number, number?], to: [Class, number, number?], type: 'n' | 'a' | 'i'): Cells {
  return {
    classid: classes[from[0]],
    objid: from[1],
    objsubid: from[2] ?? 0,
    refclassid: classes[to[0]],
    refobjid: to[1],
    refobjsubid: to[2] ?? 0,
    deptype: type,
  }
}

interface Uses {
  readonly relations: Map<number, Set<number>>
  readonly functions: Set<number>
  readonly types: Set<number>
}

/** What a stored expression or query mentions. `self` is the table whose columns bare column references mean. */
function usesOf(tree: unknown, self: number | undefined): Uses {
  const uses: Uses = { relations: new Map(), functions: new Set(), types: new Set() }
  const relation = (oid: number, column: number) => {
    const columns = uses.relations.get(oid) ?? new Set()
    uses.relations.set(oid, columns.add(column))
  }
  const visit = (value: any, entries: readonly any[] | undefined): void => {
    if (value === null || typeof value !== 'object') return
    if (Array.isArray(value)) {
      for (const v of value) visit(v, entries)
      return
    }
    const inner = Array.isArray(value.entries) && value.command !== undefined ? value.entries : entries
    if (value.kind === 'var' && value.up === 0) {
      const entry = entries?.[value.entry]
      const oid = entries === undefined ? self : entry?.kind === 'relation' ? entry.relation : undefined
      if (oid !== undefined) relation(oid, Math.max(0, value.column))
    }
    if (value.kind === 'relation' && typeof value.relation === 'number' && value.columns !== undefined)
      relation(value.relation, 0)
    if (value.kind === 'nextval') relation(value.sequence, 0)
    if (value.kind === 'const' && value.type === 2205 && /^\d+$/.test(value.text ?? '')) relation(Number(value.text), 0)
    if (typeof value.func === 'number' && value.func >= firstUserOid) uses.functions.add(value.func)
    if (typeof value.type === 'number' && value.type >= firstUserOid) uses.types.add(value.type)
    for (const key of Object.keys(value)) visit(value[key], inner)
  }
  visit(tree, undefined)
  return uses
}

function* ofTree(
  s: Session,
  from: [Class, number, number?],
  tree: unknown,
  self: number | undefined,
  onSelf: 'n' | 'a',
): Iterable<Cells> {
  const uses = usesOf(tree, self)
  for (const [oid, columns] of uses.relations) {
    if (s.catalog.relation(oid) === undefined) continue
    const real = [...columns].filter((c) => c > 0)
    for (const c of real.length > 0 ? real : [0]) yield row(from, ['relation', oid, c], oid === self ? onSelf : 'n')
  }
  for (const f of uses.functions) yield row(from, ['proc', f], 'n')
  for (const t of uses.types) if (s.catalog.type(t) !== undefined) yield row(from, ['type', t], 'n')
}

function* ofRelation(s: Session, r: RelationDescriptor): Iterable<Cells> {
  yield row(['relation', r.oid], ['namespace', r.schema], 'n')
  if (r.rowType !== 0)
    yield r.relkind === 'c'
      ? row(['relation', r.oid], ['type', r.rowType], 'i')
      : row(['type', r.rowType], ['relation', r.oid], 'i')
  for (const c of r.relkind === 'i' ? [] : r.columns) {
    if (c.dropped) continue
    if (c.type >= firstUserOid && r.view === undefined) yield row(['relation', r.oid, c.number], ['type', c.type], 'n')
    const value = c.generated ?? c.default
    if (value === undefined) continue
    const own: [Class, number] = ['attrdef', derivedOid(r.oid, c.number)]
    yield row(own, ['relation', r.oid, c.number], 'a')
    yield* ofTree(s, own, value, r.oid, 'n')
  }
  const q = r.sequence
  if (q?.ownedTable !== undefined && q.ownedColumn !== undefined)
    yield row(['relation', r.oid], ['relation', q.ownedTable, q.ownedColumn], q.identity === true ? 'i' : 'a')
  if (r.view !== undefined) {
    const rule: [Class, number] = ['rewrite', derivedOid(r.oid, 0)]
    yield row(rule, ['relation', r.oid], 'i')
    yield* ofTree(s, rule, r.view, undefined, 'n')
  }
  yield* ofIndex(s, r)
  yield* ofConstraints(s, r)
}

function* ofIndex(s: Session, r: RelationDescriptor): Iterable<Cells> {
  const { index } = r
  if (index === undefined) return
  const constraint = s.catalog.relation(index.table)?.constraints.find((c) => c.index === r.oid && c.type !== 'f')
  if (constraint !== undefined) {
    yield row(['relation', r.oid], ['constraint', constraint.oid], 'i')
    return
  }
  const plain = [...index.columns.map((c) => c.column), ...index.include].filter((n) => n > 0)
  // Of expressions alone the index belongs to the table as a whole.
  for (const n of plain.length > 0 ? plain : [0]) yield row(['relation', r.oid], ['relation', index.table, n], 'a')
  for (const tree of [...index.columns.map((c) => c.expr), index.predicate])
    if (tree !== undefined) yield* ofTree(s, ['relation', r.oid], tree, index.table, 'a')
}

function* ofConstraints(s: Session, r: RelationDescriptor): Iterable<Cells> {
  for (const c of r.constraints) {
    for (const n of c.columns) yield row(['constraint', c.oid], ['relation', r.oid, n], 'a')
    if (c.check !== undefined) yield* ofTree(s, ['constraint', c.oid], c.check, r.oid, 'a')
    if (c.foreign === undefined) continue
    for (const n of c.foreign.columns) yield row(['constraint', c.oid], ['relation', c.foreign.table, n], 'n')
    if (c.index !== undefined) yield row(['constraint', c.oid], ['relation', c.index], 'n')
  }
}

function* ofType(s: Session, t: TypeDescriptor): Iterable<Cells> {
  if (t.form === 'array') {
    yield row(['type', t.oid], ['type', t.element!], 'i')
    return
  }
  if (t.relation === undefined || s.catalog.relation(t.relation)?.relkind === 'c')
    yield row(['type', t.oid], ['namespace', t.schema], 'n')
  if (t.base !== undefined && t.base >= firstUserOid) yield row(['type', t.oid], ['type', t.base], 'n')
  if (t.default !== undefined) yield* ofTree(s, ['type', t.oid], t.default, undefined, 'n')
  for (const c of t.checks ?? []) {
    yield row(['constraint', c.oid], ['type', t.oid], 'a')
    yield* ofTree(s, ['constraint', c.oid], c.check, undefined, 'n')
  }
}

export function defineDependencies(): void {
  define('pg_depend', function* (s) {
    for (const r of s.catalog.relations()) yield* ofRelation(s, r)
    for (const t of s.catalog.types()) yield* ofType(s, t)
    for (const f of s.catalog.functions()) {
      yield row(['proc', f.oid], ['namespace', f.schema], 'n')
      for (const type of new Set([f.result, ...f.args.map((a) => a.type)]))
        if (type >= firstUserOid) yield row(['proc', f.oid], ['type', type], 'n')
    }
    for (const t of s.catalog.triggers()) {
      yield row(['trigger', t.oid], ['relation', t.table], 'a')
      if (t.func >= firstUserOid) yield row(['trigger', t.oid], ['proc', t.func], 'n')
    }
    for (const e of s.catalog.extensions()) {
      for (const [member] of extensionFunctions[e.name] ?? []) {
        for (const f of s.catalog.functionsNamed(member))
          if (f.schema === e.schema)
            yield { classid: 1255, objid: f.oid, refclassid: 3079, refobjid: e.oid, deptype: 'e' }
      }
    }
    for (const e of s.catalog.extensions())
      yield { classid: 3079, objid: e.oid, refclassid: 2615, refobjid: e.schema, deptype: 'n' }
  })
}
