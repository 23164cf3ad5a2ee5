/**
 * The built-in types by oid, from the facts of pg_type and the classes of this folder, and factories for users' types.
 *
 * Not here: names in a search path, and types made by users (the catalog keeps those).
 */
import pgType from '../catalog/data/pg_type.json' with { type: 'json' }
import { ArrayType, VectorType } from './array.ts'
import type { TypeFacts } from './base-type.ts'
import { BitType } from './bit.ts'
import { BoolType } from './bool.ts'
import { ByteaType, UuidType } from './bytea.ts'
import { catalogCells, columnPositions } from './catalog-table.ts'
import { OpaqueType, PseudoType, RegType, TidType, Unsigned64Type, UnsupportedType, VoidType } from './catalog-types.ts'
import { DateType, IntervalType, TimestampType, TimeType, TimeTzType } from './datetime-types.ts'
import { FloatType } from './floats.ts'
import { Int8Type, SmallIntegerType, UnsignedType } from './integers.ts'
import { JsonbType, JsonType } from './json-types.ts'
import { JsonPathType } from './jsonpath.ts'
import { InetType, MacType } from './network.ts'
import { NumericType } from './numeric-type.ts'
import { type CompositeField, CompositeType, RecordType } from './record.ts'
import { ByteCharType, CharType, NameType, TextType, VarcharType } from './text.ts'
import type { Type, TypeContext, Value } from './type.ts'
import { DomainType, type EnumLabel, EnumType } from './user-types.ts'

const makers: Record<string, (facts: TypeFacts) => Type> = {
  bool: (f) => new BoolType(f),
  int2: (f) => new SmallIntegerType(f, 2),
  int4: (f) => new SmallIntegerType(f, 4),
  int8: (f) => new Int8Type(f),
  oid: (f) => new UnsignedType(f),
  xid: (f) => new UnsignedType(f),
  cid: (f) => new UnsignedType(f),
  xid8: (f) => new Unsigned64Type(f),
  pg_lsn: (f) => new Unsigned64Type(f),
  tid: (f) => new TidType(f),
  float4: (f) => new FloatType(f, true),
  float8: (f) => new FloatType(f, false),
  numeric: (f) => new NumericType(f),
  text: (f) => new TextType(f),
  varchar: (f) => new VarcharType(f),
  bpchar: (f) => new CharType(f),
  name: (f) => new NameType(f),
  char: (f) => new ByteCharType(f),
  cstring: (f) => new TextType(f),
  unknown: (f) => new TextType(f),
  bytea: (f) => new ByteaType(f),
  uuid: (f) => new UuidType(f),
  date: (f) => new DateType(f),
  time: (f) => new TimeType(f),
  timetz: (f) => new TimeTzType(f),
  timestamp: (f) => new TimestampType(f, false),
  timestamptz: (f) => new TimestampType(f, true),
  interval: (f) => new IntervalType(f),
  json: (f) => new JsonType(f),
  jsonb: (f) => new JsonbType(f),
  jsonpath: (f) => new JsonPathType(f),
  bit: (f) => new BitType(f, false),
  varbit: (f) => new BitType(f, true),
  inet: (f) => new InetType(f, false),
  cidr: (f) => new InetType(f, true),
  macaddr: (f) => new MacType(f, 6),
  macaddr8: (f) => new MacType(f, 8),
  int2vector: (f) => new VectorType(f, () => builtinType(21)),
  oidvector: (f) => new VectorType(f, () => builtinType(26)),
  record: (f) => new RecordType(f),
  void: (f) => new VoidType(f),
}

const opaque = new Set(
  (
    'pg_node_tree pg_ndistinct pg_dependencies pg_mcv_list aclitem refcursor txid_snapshot pg_snapshot ' +
    'pg_brin_bloom_summary pg_brin_minmax_multi_summary gtsvector'
  ).split(' '),
)

const columns = (
  'oid typname typlen typtype typcategory typispreferred typdelim typelem typarray typrelid typbasetype typsubscript ' +
  'typmodin typtypmod typnamespace'
).split(' ')

function makeType(facts: TypeFacts, subscript: string, typmod: number): Type {
  const maker = makers[facts.name]
  if (maker !== undefined) return maker(facts)
  if (facts.name.startsWith('reg') && facts.category === 'N') return new RegType(facts)
  if (opaque.has(facts.name)) return new OpaqueType(facts)
  if (subscript === 'array_subscript_handler') return new ArrayType(facts, () => builtinType(facts.element))
  if (facts.kind === 'p') return new PseudoType(facts)
  if (facts.kind === 'd') return new DomainType(facts, builtinType(facts.base), typmod)
  return new UnsupportedType(facts)
}

/** The namespace oid of a built-in type: pg_catalog's or information_schema's. */
export const builtinTypeNamespace = new Map<number, number>()

function load(): Map<number, Type> {
  const at = columnPositions(pgType, columns)
  const types = new Map<number, Type>()
  const domains: (() => void)[] = []
  for (const row of pgType.rows) {
    const cells = catalogCells(row)
    const cell = (i: number) => cells[at[i]]!
    const number = (i: number) => Number(cell(i))
    const kind = cell(3) as TypeFacts['kind']
    const facts: TypeFacts = {
      oid: number(0),
      name: cell(1),
      length: number(2),
      kind,
      category: cell(4),
      preferred: cell(5) === 't',
      delimiter: cell(6),
      element: number(7),
      array: number(8),
      relation: number(9),
      base: number(10),
    }
    builtinTypeNamespace.set(facts.oid, number(14))
    const add = () => types.set(facts.oid, makeType(facts, cell(11), number(13)))
    // Row types of catalogs get their columns from the catalog, domains need their base first.
    if (kind === 'd') domains.push(add)
    else add()
  }
  loaded = types
  for (const add of domains) add()
  return types
}

let loaded: Map<number, Type> | undefined

/** Built-in types by oid: every row of pg_type; those we cannot hold refuse values by name. */
export const builtinTypes: ReadonlyMap<number, Type> = load()

/** A built-in type that must exist. */
export function builtinType(oid: number): Type {
  return loaded!.get(oid)!
}

const byName = new Map<string, Type>()
for (const type of builtinTypes.values()) if (builtinTypeNamespace.get(type.oid) === 11) byName.set(type.name, type)

/** The oid of a type of pg_catalog by its typname ("int4", "_text"), or undefined. */
export function builtinTypeNamed(name: string): number | undefined {
  return byName.get(name)?.oid
}

const userFacts = { relation: 0, base: 0, preferred: false, delimiter: ',', length: -1, element: 0, array: 0 }

export function enumType(facts: { oid: number; name: string; array: number }, labels: readonly EnumLabel[]): EnumType {
  return new EnumType({ ...userFacts, ...facts, length: 4, kind: 'e', category: 'E' }, labels)
}

/** @param check is called with each value that parsing makes; it raises check_violation or not_null_violation. */
export function domainType(
  facts: { oid: number; name: string; array: number },
  base: Type,
  typmod: number,
  check?: (value: Value, context?: TypeContext) => void,
): DomainType {
  const inherited = { length: base.length, category: base.category, delimiter: base.delimiter, element: base.element }
  return new DomainType({ ...userFacts, ...inherited, ...facts, base: base.oid, kind: 'd' }, base, typmod, check)
}

/** @param fields answers the columns; asked on first use. */
export function compositeType(
  facts: { oid: number; name: string; array: number; relation: number },
  fields: () => readonly CompositeField[],
): CompositeType {
  return new CompositeType({ ...userFacts, ...facts, kind: 'c', category: 'C' }, fields)
}

export function arrayTypeOf(facts: { oid: number; name: string }, element: Type): ArrayType {
  const own = { ...userFacts, ...facts, element: element.oid, delimiter: element.delimiter }
  return new ArrayType({ ...own, kind: 'b', category: 'A' }, () => element)
}
