/**
 * System relations: PostgreSQL's columns in PostgreSQL's order, rows made from objects by column name.
 *
 *   define('pg_namespace', (s) => [{ oid, nspname, … }])  ──►  registered under its own oid, read like a table
 *
 * A column that a maker leaves out is NULL, or empty where PostgreSQL has it NOT NULL. A relation that nobody defines
 * is there and empty. Rows of `stable` relations are kept until the catalog changes, others are made for each scan.
 *
 * Not here: the rows (the other modules of this folder), look-up by name (../system-schema.ts).
 */
import type { Session } from '../../session/session.ts'
import { arrayOf, SqlArray } from '../../types/array.ts'
import { builtinType } from '../../types/registry.ts'
import type { Value } from '../../types/type.ts'
import type { Catalog } from '../catalog.ts'
import type { Column, Constraint, RelationDescriptor } from '../descriptors.ts'
import { registerSystemRelation, type SystemSession } from '../system-schema.ts'
import { type Fact, factsOf, procNamed } from './facts.ts'

/** A row by column name. */
export type Cells = Readonly<Record<string, Value>>
export type Maker = (session: Session) => Iterable<Cells>

interface Definition {
  readonly make: Maker
  readonly stable: boolean
}

const definitions = new Map<string, Definition>()

/** The users' rows of a catalog (its built-in rows come first), or all rows of a view. `live` ones are not kept. */
export function define(name: string, make: Maker, live: 'stable' | 'live' = 'stable'): void {
  definitions.set(name, { make, stable: live === 'stable' })
}

/** int2vector and oidvector. */
export function vector(element: number, items: readonly number[]): SqlArray {
  return new SqlArray(element, [items.length], [0], items)
}

export function textArray(items: readonly string[] | undefined): SqlArray | null {
  return items === undefined || items.length === 0 ? null : arrayOf(25, items)
}

export function aclArray(items: readonly string[] | undefined): SqlArray | null {
  return items === undefined ? null : arrayOf(1033, items)
}

/** The value of a fact's cell, by the column's type. */
function parseCell(text: string | null, type: number): Value {
  if (text === null) return null
  switch (type) {
    case 16:
      return text === 't'
    case 20:
    case 21:
    case 23:
    case 26:
    case 28:
    case 700:
    case 701:
      return Number(text)
    case 24:
      return /^\d+$/.test(text) ? Number(text) : procNamed(text)
    case 22:
      return vector(21, numbers(text))
    case 30:
      return vector(26, numbers(text))
    default: {
      const t = builtinType(type)
      if (t.category !== 'A') return text
      const element = builtinType(t.element)
      const words = text === '' ? [] : text.split(' ')
      return arrayOf(element.oid, element.category === 'N' ? words.map(Number) : words)
    }
  }
}

function numbers(text: string): number[] {
  return text === '' ? [] : text.split(' ').map(Number)
}

function emptyOf(type: number): Value {
  const t = builtinType(type)
  if (type === 16) return false
  if (type === 22 || type === 30) return vector(t.element, [])
  if (t.category === 'A') return arrayOf(t.element, [])
  if (t.category === 'N' || type === 28) return 0
  return type === 17 ? new Uint8Array(0) : ''
}

function rowOf(columns: readonly Column[], cells: Cells): Value[] {
  const row: Value[] = new Array(columns.length)
  for (let i = 0; i < columns.length; i++) {
    const value = cells[columns[i].name]
    row[i] = value === undefined ? (columns[i].notNull ? emptyOf(columns[i].type) : null) : value
  }
  return row
}

/** What the data files leave out, because it is the same in every row. */
type Constants = Readonly<Record<string, Value>>
const owner = {
  typowner: 10,
  proowner: 10,
  oprowner: 10,
  opcowner: 10,
  opfowner: 10,
  collowner: 10,
  conowner: 10,
  lanowner: 10,
  cfgowner: 10,
  dictowner: 10,
}
const constants: Record<string, Constants> = {
  pg_type: { typisdefined: true },
  pg_amop: {},
  pg_proc: { protrftypes: null },
}

const builtinRows = new Map<string, readonly (readonly Value[])[]>()

/** The rows of a catalog that come from its data file. */
function builtins(name: string, columns: readonly Column[], facts: readonly Fact[]): readonly (readonly Value[])[] {
  let rows = builtinRows.get(name)
  if (rows === undefined) {
    const fixed = { ...owner, ...constants[name] }
    rows = facts.map((fact) => {
      const cells: Record<string, Value> = { ...fixed }
      for (const c of columns) if (fact[c.name] !== undefined) cells[c.name] = parseCell(fact[c.name], c.type)
      return rowOf(columns, cells)
    })
    builtinRows.set(name, rows)
  }
  return rows
}

/** Catalogs whose data file is not simply their rows: the maker does it all. */
const madeWhole = new Set([
  'pg_class',
  'pg_attribute',
  'pg_index',
  'pg_namespace',
  'pg_settings',
  'pg_timezone_abbrevs',
])

export function registerDefined(): void {
  const columns = new Map<string, Column[]>()
  for (const a of factsOf('pg_attribute')) {
    const list = columns.get(a.attrelid!) ?? []
    list.push({
      number: Number(a.attnum),
      name: a.attname!,
      type: Number(a.atttypid),
      typmod: Number(a.atttypmod),
      notNull: a.attnotnull === 't',
      dropped: false,
      collation: Number(a.attcollation),
    })
    columns.set(a.attrelid!, list)
  }
  for (const fact of factsOf('pg_class'))
    register(
      fact,
      (columns.get(fact.oid!) ?? []).sort((a, b) => a.number - b.number),
    )
}

/** Ids of the keys of the catalogs: their index's, moved to where no other object is. */
export const firstKey = 0x7000_0000

let keys: Map<string, Constraint[]> | undefined

/** The primary key and the unique ones of a catalog. */
function keysOf(relation: string): readonly Constraint[] {
  if (keys === undefined) {
    keys = new Map()
    for (const f of factsOf('pg_index')) {
      if (f.indisunique !== 't') continue
      const key: Constraint = {
        oid: firstKey + Number(f.indexrelid),
        name: f.relname!,
        type: f.indisprimary === 't' ? 'p' : 'u',
        columns: f.indkey!.split(' ').map(Number),
        deferrable: false,
        deferred: false,
        validated: true,
        index: Number(f.indexrelid),
      }
      keys.set(f.indrelid!, [...(keys.get(f.indrelid!) ?? []), key])
    }
  }
  return keys.get(relation) ?? []
}

function register(fact: Fact, columns: readonly Column[]): void {
  const schema = Number(fact.relnamespace)
  const name = fact.relname!
  const descriptor: RelationDescriptor = {
    kind: 'relation',
    oid: Number(fact.oid),
    name,
    owner: 10,
    schema,
    relkind: fact.relkind as 'r' | 'v',
    persistence: 'p',
    columns,
    storage: 0,
    layouts: [],
    constraints: keysOf(fact.oid!),
    indexes: [],
    rowType: Number(fact.reltype),
  }
  const definition = definitions.get(schema === 11 ? name : `information_schema.${name}`)
  const facts = schema === 11 && !madeWhole.has(name) ? factsOf(name) : []
  const make = (session: Session): readonly (readonly Value[])[] => {
    const own = definition === undefined ? [] : Array.from(definition.make(session), (cells) => rowOf(columns, cells))
    if (facts.length === 0) return own
    const base = builtins(name, columns, facts)
    return own.length === 0 ? base : [...base, ...own]
  }
  // Catalogs say the same to every session; views may depend on who asks and on the search path.
  const stable = definition === undefined || definition.stable
  const shared = stable && schema === 11 && fact.relkind === 'r'
  const made = new WeakMap<Catalog, readonly (readonly Value[])[]>()
  const sharedRows = (session: Session) => {
    let rows = made.get(session.catalog)
    if (rows === undefined) {
      rows = make(session)
      made.set(session.catalog, rows)
    }
    return rows
  }
  registerSystemRelation({
    descriptor,
    stable,
    rows: (session: SystemSession) => (shared ? sharedRows : make)(session as Session),
  })
}
