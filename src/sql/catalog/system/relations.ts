/**
 * pg_class, pg_attribute, pg_index and what hangs on them: defaults, sequences, view rules, triggers.
 *
 * Expressions are held as the JSON of the bound expression in columns of type pg_node_tree; pg_get_expr makes text of
 * them. Defaults and view rules have no object id of their own in the catalog, so theirs are made of their table's.
 *
 * Not here: constraints (constraints.ts), types (types.ts).
 */
import { functionRow } from '../../bind/calls.ts'
import { ParameterTypes } from '../../bind/context.ts'
import type { Expr } from '../../query.ts'
import type { Session } from '../../session/session.ts'
import { arrayOf } from '../../types/array.ts'
import type { Column, IndexInfo, RelationDescriptor, TriggerDescriptor } from '../descriptors.ts'
import { builtinLayout, factsOf, type TypeLayout } from './facts.ts'
import { aclArray, type Cells, define, textArray, vector } from './relation.ts'

const heap = 2
const accessMethods: Record<string, number> = { btree: 403, hash: 405, gist: 783, gin: 2742, brin: 3580, spgist: 4000 }

export function accessMethod(method: string): number {
  return accessMethods[method] ?? 403
}

/** An object id for what has none in the catalog: a default (by column) or a view's rule (column 0). Above users' own. */
export function derivedOid(relation: number, sub: number): number {
  return (0x8000_0000 | ((relation * 2048 + sub) & 0x7fff_ffff)) >>> 0
}

export function nodeTree(value: unknown): string {
  return JSON.stringify(value)
}

/** How PostgreSQL would lay the type out. */
export function layoutOf(s: Session, type: number): TypeLayout {
  const builtin = builtinLayout(type)
  if (builtin !== undefined) return builtin
  const d = s.catalog.type(type)
  switch (d?.form) {
    case 'enum':
      return { length: 4, byValue: true, align: 'i', storage: 'p', collation: 0 }
    case 'domain':
      return layoutOf(s, d.base!)
    case 'composite':
      return { length: -1, byValue: false, align: 'd', storage: 'x', collation: 0 }
    default: {
      const element = d?.element === undefined ? undefined : layoutOf(s, d.element)
      return {
        length: -1,
        byValue: false,
        align: element?.align === 'd' ? 'd' : 'i',
        storage: 'x',
        collation: element?.collation ?? 0,
      }
    }
  }
}

function classRow(s: Session, r: RelationDescriptor, referenced: ReadonlySet<number>): Cells {
  const table = r.relkind === 'r' || r.relkind === 'm'
  const triggers =
    s.catalog.triggersOf(r.oid).length > 0 || referenced.has(r.oid) || r.constraints.some((c) => c.type === 'f')
  const statistics = s.catalog.statistics(r.oid)
  return {
    oid: r.oid,
    relname: r.name,
    relnamespace: r.schema,
    reltype: r.rowType,
    relowner: r.owner,
    relam: table ? heap : r.index === undefined ? 0 : accessMethod(r.index.method),
    relfilenode: r.storage,
    relpages: statistics === undefined ? (table || r.view !== undefined ? 0 : 1) : Math.ceil(statistics.bytes / 16384),
    reltuples: statistics?.rows ?? (table ? -1 : r.relkind === 'S' ? 1 : 0),
    relhasindex: r.indexes.length > 0,
    relpersistence: r.persistence,
    relkind: r.relkind,
    relnatts:
      r.relkind === 'i' ? r.index!.columns.length + r.index!.include.length : r.relkind === 'S' ? 3 : r.columns.length,
    relchecks: r.constraints.filter((c) => c.type === 'c').length,
    relhasrules: r.view !== undefined,
    relhastriggers: triggers,
    relrowsecurity: r.rowSecurity === true,
    relispopulated: true,
    relreplident: r.replicaIdentity ?? (table ? 'd' : 'n'),
    relfrozenxid: table ? 3 : 0,
    relminmxid: table ? 1 : 0,
    relacl: aclArray(r.acl),
    reloptions: textArray(r.options),
  }
}

function* classes(s: Session): Iterable<Cells> {
  const indexed = new Set(factsOf('pg_index').map((f) => f.indrelid))
  for (const f of factsOf('pg_class')) {
    const view = f.relkind === 'v'
    yield {
      oid: Number(f.oid),
      relname: f.relname,
      relnamespace: Number(f.relnamespace),
      reltype: Number(f.reltype),
      relowner: 10,
      relam: Number(f.relam),
      relfilenode: 0,
      reltuples: view ? 0 : -1,
      relhasindex: indexed.has(f.oid),
      relisshared: f.relisshared === 't',
      relpersistence: 'p',
      relkind: f.relkind,
      relnatts: Number(f.relnatts),
      relhasrules: view,
      relispopulated: true,
      relreplident: f.relreplident,
      reltablespace: f.relisshared === 't' ? 1664 : 0,
      relfrozenxid: view ? 0 : 3,
      relminmxid: view ? 0 : 1,
      relacl: aclArray([`${s.roleOf(10).name}=arwdDxt/${s.roleOf(10).name}`, `=r/${s.roleOf(10).name}`]),
    }
  }
  for (const f of factsOf('pg_index')) {
    yield {
      oid: Number(f.indexrelid),
      relname: f.relname,
      relnamespace: 11,
      relowner: 10,
      relam: 403,
      relpersistence: 'p',
      relkind: 'i',
      relnatts: f.indkey!.split(' ').length,
      relispopulated: true,
      relreplident: 'n',
    }
  }
  const referenced = new Set<number>()
  for (const r of s.catalog.relations())
    for (const c of r.constraints) if (c.foreign !== undefined) referenced.add(c.foreign.table)
  for (const r of s.catalog.relations()) yield classRow(s, r, referenced)
}

const systemColumns: readonly [string, number, number, number][] = [
  ['tableoid', 26, -6, 4],
  ['cmax', 29, -5, 4],
  ['xmax', 28, -4, 4],
  ['cmin', 29, -3, 4],
  ['xmin', 28, -2, 4],
  ['ctid', 27, -1, 6],
]

function* systemAttributes(relation: number): Iterable<Cells> {
  for (const [name, type, number, length] of systemColumns) {
    yield {
      attrelid: relation,
      attname: name,
      atttypid: type,
      attstattarget: 0,
      attlen: length,
      attnum: number,
      attcacheoff: -1,
      atttypmod: -1,
      attbyval: length === 4,
      attalign: name === 'ctid' ? 's' : 'i',
      attstorage: 'p',
      attnotnull: true,
      attislocal: true,
    }
  }
}

function attribute(s: Session, relation: number, c: Column, named: string): Cells {
  const layout = c.dropped ? layoutOf(s, 23) : layoutOf(s, c.type)
  const isArray = !c.dropped && s.types.types.type(c.type).category === 'A'
  return {
    attrelid: relation,
    attname: named,
    atttypid: c.dropped ? 0 : c.type,
    attstattarget: c.dropped ? 0 : (c.statisticsTarget ?? -1),
    attlen: layout.length,
    attnum: c.number,
    attndims: isArray ? 1 : 0,
    attcacheoff: -1,
    atttypmod: c.typmod,
    attbyval: layout.byValue,
    attalign: layout.align,
    attstorage: c.storage ?? layout.storage,
    attcompression: '',
    attnotnull: c.notNull && !c.dropped,
    atthasdef: !c.dropped && (c.default !== undefined || c.generated !== undefined),
    atthasmissing: c.missing !== undefined,
    attidentity: c.identity ?? '',
    attgenerated: c.generated === undefined ? '' : 's',
    attisdropped: c.dropped,
    attislocal: true,
    attcollation: c.dropped ? 0 : c.collation,
  }
}

const sequenceColumns: readonly Column[] = [
  ['last_value', 20],
  ['log_cnt', 20],
  ['is_called', 16],
].map(([name, type], i) => ({
  number: i + 1,
  name: name as string,
  type: type as number,
  typmod: -1,
  notNull: true,
  dropped: false,
  collation: 0,
}))

function functionNameOf(s: Session, func: number): string | undefined {
  return functionRow(s.bindContext('', new ParameterTypes([], false)), func)?.name
}

/** What an index column over an expression is called: after the function or the column in it, a cast after its type. */
function expressionName(s: Session, table: RelationDescriptor, e: Expr): string {
  const cast =
    (e.kind === 'func' && (e.form === 'cast' || e.form === 'implicit')) || e.kind === 'relabel' || e.kind === 'viatext'
  if (cast) {
    const inner = expressionName(s, table, e.kind === 'func' ? e.args[0] : e.arg)
    return inner === 'expr' ? s.types.types.type(e.type).name : inner
  }
  if (e.kind === 'var' && e.column > 0) return table.columns[e.column - 1].name
  if (e.kind === 'func' && e.operator === undefined) return functionNameOf(s, e.func) ?? 'expr'
  return e.kind === 'coalesce' || e.kind === 'case' || e.kind === 'nullif'
    ? e.kind
    : e.kind === 'minmax'
      ? e.greatest
        ? 'greatest'
        : 'least'
      : 'expr'
}

/** Names of an index's columns: the table's, or the function's, or "expr"; numbered where they would repeat. */
export function indexColumnNames(s: Session, index: IndexInfo): string[] {
  const table = s.catalog.relationOf(index.table)
  const taken = new Set<string>()
  const all = [
    ...index.columns.map((c) => ({ column: c.column, expr: c.expr })),
    ...index.include.map((column) => ({ column, expr: undefined })),
  ]
  return all.map(({ column, expr }) => {
    const base = column > 0 ? table.columns[column - 1].name : expressionName(s, table, expr!)
    let name = base
    for (let n = 1; taken.has(name); n++) name = `${base}${n}`
    taken.add(name)
    return name
  })
}

function* userAttributes(s: Session): Iterable<Cells> {
  for (const r of s.catalog.relations()) {
    if (r.relkind === 'r' || r.relkind === 'm' || r.relkind === 'S') yield* systemAttributes(r.oid)
    if (r.relkind === 'S') for (const c of sequenceColumns) yield attribute(s, r.oid, c, c.name)
    else if (r.relkind === 'i') {
      const names = indexColumnNames(s, r.index!)
      const table = s.catalog.relationOf(r.index!.table)
      const included = r.index!.include.map((n) => table.columns[n - 1])
      const keys = r.index!.columns.map((c) => (c.column > 0 ? table.columns[c.column - 1] : c))
      for (const [i, c] of [...keys, ...included].entries()) {
        yield attribute(
          s,
          r.oid,
          {
            number: i + 1,
            name: names[i],
            type: c.type,
            typmod: c.typmod,
            notNull: false,
            dropped: false,
            collation: c.collation,
          },
          names[i],
        )
      }
    } else
      for (const c of r.columns)
        yield attribute(s, r.oid, c, c.dropped ? `........pg.dropped.${c.number}........` : c.name)
  }
}

let builtinAttributes: Cells[] | undefined

/** The columns of the built-in relations and of their indexes: the same for everybody. */
function systemCatalogAttributes(): readonly Cells[] {
  if (builtinAttributes !== undefined) return builtinAttributes
  const out: Cells[] = []
  const byRelation = new Map<string, Cells[]>()
  for (const f of factsOf('pg_attribute')) {
    const row: Cells = {
      attrelid: Number(f.attrelid),
      attname: f.attname,
      atttypid: Number(f.atttypid),
      attstattarget: -1,
      attlen: Number(f.attlen),
      attnum: Number(f.attnum),
      attndims: Number(f.attndims),
      attcacheoff: -1,
      atttypmod: Number(f.atttypmod),
      attbyval: f.attbyval === 't',
      attalign: f.attalign,
      attstorage: f.attstorage,
      attnotnull: f.attnotnull === 't',
      attislocal: true,
      attcollation: Number(f.attcollation),
    }
    out.push(row)
    const list = byRelation.get(f.attrelid!) ?? []
    list[Number(f.attnum)] = row
    byRelation.set(f.attrelid!, list)
  }
  for (const f of factsOf('pg_class')) if (f.relkind === 'r') out.push(...systemAttributes(Number(f.oid)))
  for (const f of factsOf('pg_index')) {
    for (const [i, key] of f.indkey!.split(' ').entries()) {
      out.push({
        ...byRelation.get(f.indrelid!)![Number(key)],
        attrelid: Number(f.indexrelid),
        attnum: i + 1,
        attnotnull: false,
      })
    }
  }
  builtinAttributes = out
  return out
}

function* attributes(s: Session): Iterable<Cells> {
  yield* systemCatalogAttributes()
  yield* userAttributes(s)
}

function* indexes(s: Session): Iterable<Cells> {
  for (const f of factsOf('pg_index')) {
    const keys = f.indkey!.split(' ').map(Number)
    yield {
      indexrelid: Number(f.indexrelid),
      indrelid: Number(f.indrelid),
      indnatts: keys.length,
      indnkeyatts: keys.length,
      indisunique: f.indisunique === 't',
      indisprimary: f.indisprimary === 't',
      indimmediate: true,
      indisvalid: true,
      indisready: true,
      indislive: true,
      indkey: vector(21, keys),
      indcollation: vector(26, f.indcollation!.split(' ').map(Number)),
      indclass: vector(26, f.indclass!.split(' ').map(Number)),
      indoption: vector(
        21,
        keys.map(() => 0),
      ),
    }
  }
  for (const r of s.catalog.relations()) {
    const { index } = r
    if (index === undefined) continue
    const table = s.catalog.relationOf(index.table)
    const constraint = table.constraints.find((c) => c.index === r.oid && c.type !== 'f')
    const exprs = index.columns.filter((c) => c.expr !== undefined).map((c) => c.expr)
    yield {
      indexrelid: r.oid,
      indrelid: index.table,
      indnatts: index.columns.length + index.include.length,
      indnkeyatts: index.columns.length,
      indisunique: index.unique,
      indnullsnotdistinct: index.nullsNotDistinct,
      indisprimary: index.primary,
      indimmediate: constraint?.deferrable !== true,
      indisclustered: index.clustered === true,
      indisvalid: true,
      indisready: true,
      indislive: true,
      indkey: vector(21, [...index.columns.map((c) => c.column), ...index.include]),
      indcollation: vector(
        26,
        index.columns.map((c) => c.collation),
      ),
      indclass: vector(
        26,
        index.columns.map((c) => c.opclass),
      ),
      indoption: vector(
        21,
        index.columns.map((c) => (c.descending ? 1 : 0) | (c.nullsFirst ? 2 : 0)),
      ),
      indexprs: exprs.length === 0 ? null : nodeTree(exprs),
      indpred: index.predicate === undefined ? null : nodeTree(index.predicate),
    }
  }
}

function* defaults(s: Session): Iterable<Cells> {
  for (const r of s.catalog.relations()) {
    if (r.relkind === 'i') continue
    for (const c of r.columns) {
      const expr = c.dropped ? undefined : (c.generated ?? c.default)
      if (expr !== undefined)
        yield { oid: derivedOid(r.oid, c.number), adrelid: r.oid, adnum: c.number, adbin: nodeTree(expr) }
    }
  }
}

/** Bits of pg_trigger.tgtype. */
export function triggerType(t: TriggerDescriptor): number {
  const events = { insert: 4, delete: 8, update: 16, truncate: 32 }
  return (
    (t.perRow ? 1 : 0) |
    (t.timing === 'before' ? 2 : t.timing === 'instead' ? 64 : 0) |
    t.events.reduce((n, e) => n | events[e], 0)
  )
}

function* triggers(s: Session): Iterable<Cells> {
  for (const t of s.catalog.triggers()) {
    yield {
      oid: t.oid,
      tgrelid: t.table,
      tgname: t.name,
      tgfoid: t.func,
      tgtype: triggerType(t),
      tgenabled: t.enabled,
      tgnargs: t.args.length,
      tgattr: vector(21, t.columns),
      tgargs: Buffer.from(t.args.map((a) => `${a}\0`).join('')),
      tgqual: t.when === undefined ? null : nodeTree(t.when),
    }
  }
}

export function defineRelations(): void {
  define('pg_class', classes)
  define('pg_attribute', attributes)
  define('pg_index', indexes)
  define('pg_attrdef', defaults)
  define('pg_trigger', triggers)
  define('pg_rewrite', function* (s) {
    for (const r of s.catalog.relations()) {
      if (r.view === undefined) continue
      yield {
        oid: derivedOid(r.oid, 0),
        rulename: '_RETURN',
        ev_class: r.oid,
        ev_type: '1',
        ev_enabled: 'O',
        is_instead: true,
        ev_qual: '<>',
        ev_action: nodeTree({ view: r.oid }),
      }
    }
  })
  define('pg_sequence', function* (s) {
    for (const r of s.catalog.relations()) {
      const q = r.sequence
      if (q === undefined) continue
      const n = (text: string) => (Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text))
      yield {
        seqrelid: r.oid,
        seqtypid: q.type,
        seqstart: n(q.start),
        seqincrement: n(q.increment),
        seqmax: n(q.max),
        seqmin: n(q.min),
        seqcache: n(q.cache),
        seqcycle: q.cycle,
      }
    }
  })
  define('pg_statistic', function* (s) {
    for (const r of s.catalog.relations()) {
      const statistics = s.catalog.statistics(r.oid)
      if (statistics === undefined) continue
      for (const [number, c] of Object.entries(statistics.columns)) {
        yield {
          starelid: r.oid,
          staattnum: Number(number),
          stanullfrac: c.nullFraction,
          stawidth: c.averageWidth,
          stadistinct: c.distinct,
          stakind1: c.commonFrequencies.length > 0 ? 1 : 0,
          stanumbers1: c.commonFrequencies.length > 0 ? arrayOf(700, c.commonFrequencies) : null,
          stanumbers2: null,
          stanumbers3: null,
          stanumbers4: null,
          stanumbers5: null,
          stavalues1: null,
          stavalues2: null,
          stavalues3: null,
          stavalues4: null,
          stavalues5: null,
        }
      }
    }
  })
}
