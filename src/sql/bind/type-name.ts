/**
 * Type names in syntax to type oids and modifiers, and back (format_type).
 *
 * Not here: what a type does (types/).
 */
import type { TypeName } from '@pgsql/types'
import { DbError } from '../../base/index.ts'
import { effectivePath, informationSchema, pgCatalog, requireSchema, schemaName } from '../catalog/names.ts'
import * as oid from '../types/oids.ts'
import { builtinTypeNamed, builtinTypeNamespace } from '../types/registry.ts'
import { type BindContext, errorAt, typeOf } from './context.ts'

export interface ResolvedType {
  readonly type: number
  readonly typmod: number
}

/** Names joined with dots, as errors show them. */
export function dotted(names: readonly any[]): string {
  return names.map((n) => n.String?.sval ?? '*').join('.')
}

export function nameParts(names: readonly any[] | undefined): string[] {
  return (names ?? []).map((n) => n.String?.sval ?? '')
}

/** Raises undefined_object, invalid_parameter_value. `setof` and %TYPE are the caller's business. */
export function resolveTypeName(context: BindContext, name: TypeName): ResolvedType {
  const parts = nameParts(name.names)
  let type = findType(context, parts)
  if (type === undefined) {
    throw errorAt(
      context,
      name.location,
      new DbError('undefined_object', `type "${parts.filter((p) => p !== 'pg_catalog').join('.')}" does not exist`),
    )
  }
  const typmod = typmodOf(context, type, name)
  if ((name.arrayBounds?.length ?? 0) > 0) {
    const array = typeOf(context, type).array
    if (array === 0)
      throw new DbError('undefined_object', `could not find array type for data type ${formatType(context, type, -1)}`)
    type = array
  }
  return { type, typmod }
}

export function findType(context: BindContext, parts: readonly string[]): number | undefined {
  const local = parts[parts.length - 1]
  const scope = context.names
  if (parts.length > 3)
    throw new DbError('syntax_error', `improper qualified name (too many dotted names): ${parts.join('.')}`)
  if (parts.length > 1) {
    const schema = requireSchema(scope, parts[parts.length - 2])
    return typeIn(context, schema, local)
  }
  for (const schema of effectivePath(scope)) {
    const found = typeIn(context, schema, local)
    if (found !== undefined) return found
  }
  return undefined
}

function typeIn(context: BindContext, schema: number, name: string): number | undefined {
  if (schema === pgCatalog || schema === informationSchema) return builtinTypeNamed(name)
  return context.names.catalog.typeNamed(schema, name)?.oid
}

function typmodOf(context: BindContext, type: number, name: TypeName): number {
  const mods = name.typmods
  if (mods === undefined || mods.length === 0) {
    if (name.typemod !== undefined && name.typemod >= 0) return name.typemod
    return -1
  }
  const numbers = mods.map((m: any) => {
    const value = m.A_Const
    if (value?.ival !== undefined) return value.ival.ival ?? 0
    if (value?.isnull === undefined && value !== undefined && value.fval === undefined && value.sval === undefined)
      return 0
    throw errorAt(
      context,
      name.location,
      new DbError('syntax_error', 'type modifiers must be simple constants or identifiers'),
    )
  })
  return makeTypmod(context, type, numbers, name.location)
}

const varlenaHeader = 4

/** The typmodin functions. */
function makeTypmod(context: BindContext, type: number, mods: number[], at: number | undefined): number {
  const fail = (message: string) => errorAt(context, at, new DbError('invalid_parameter_value', message))
  switch (type) {
    case oid.varcharOid:
    case oid.bpcharOid: {
      const label = type === oid.varcharOid ? 'varchar' : 'char'
      if (mods[0] < 1) throw fail(`length for type ${label} must be at least 1`)
      if (mods[0] > 10485760) throw fail(`length for type ${label} cannot exceed 10485760`)
      return mods[0] + varlenaHeader
    }
    case oid.numericOid: {
      const [precision, scale = 0] = mods
      if (precision < 1 || precision > 1000) throw fail(`NUMERIC precision ${precision} must be between 1 and 1000`)
      if (scale < -1000 || scale > 1000) throw fail(`NUMERIC scale ${scale} must be between -1000 and 1000`)
      return ((precision << 16) | (scale & 0x7ff)) + varlenaHeader
    }
    case oid.timeOid:
    case oid.timetzOid:
    case oid.timestampOid:
    case oid.timestamptzOid:
      if (mods[0] < 0) throw fail(`TIMESTAMP(${mods[0]}) precision must not be negative`)
      return Math.min(mods[0], 6)
    case oid.intervalOid:
      return (mods.length > 1 ? Math.min(mods[1], 6) : 0xffff) | (mods[0] << 16)
    case 1560:
    case 1562:
      return mods[0]
    default:
      throw errorAt(
        context,
        at,
        new DbError('syntax_error', `type modifier is not allowed for type "${typeOf(context, type).name}"`),
      )
  }
}

const sqlNames = new Map<number, string>([
  [oid.boolOid, 'boolean'],
  [oid.bpcharOid, 'character'],
  [oid.float4Oid, 'real'],
  [oid.float8Oid, 'double precision'],
  [oid.int2Oid, 'smallint'],
  [oid.int4Oid, 'integer'],
  [oid.int8Oid, 'bigint'],
  [oid.numericOid, 'numeric'],
  [oid.varcharOid, 'character varying'],
  [1560, 'bit'],
  [1562, 'bit varying'],
  [oid.timeOid, 'time'],
  [oid.timetzOid, 'time'],
  [oid.timestampOid, 'timestamp'],
  [oid.timestamptzOid, 'timestamp'],
])

/** format_type(oid, typmod): SQL names for the standard types, qualified when the search path does not find them. */
export function formatType(context: Pick<BindContext, 'names' | 'types'>, type: number, typmod: number): string {
  if (type === 0) return '-'
  if (type === 2287) return 'record[]'
  let t: ReturnType<typeof typeOf>
  try {
    t = context.types.types.type(type)
  } catch {
    return '???'
  }
  if (
    t.element !== 0 &&
    t.length === -1 &&
    t.category === 'A' &&
    type !== oid.int2vectorOid &&
    type !== oid.oidvectorOid
  )
    return `${formatType(context, t.element, typmod)}[]`
  switch (type) {
    case oid.varcharOid:
      return typmod > 4 ? `character varying(${typmod - 4})` : 'character varying'
    case oid.bpcharOid:
      if (typmod > 4) return `character(${typmod - 4})`
      return typmod === -1 ? 'bpchar' : 'character'
    case oid.numericOid: {
      if (typmod < 4) return 'numeric'
      const m = typmod - 4
      return `numeric(${(m >> 16) & 0xffff},${((m & 0x7ff) ^ 1024) - 1024})`
    }
    case oid.timeOid:
    case oid.timestampOid:
      return `${sqlNames.get(type)}${typmod >= 0 ? `(${typmod})` : ''} without time zone`
    case oid.timetzOid:
    case oid.timestamptzOid:
      return `${sqlNames.get(type)}${typmod >= 0 ? `(${typmod})` : ''} with time zone`
    case oid.intervalOid:
      return `interval${intervalModifier(typmod)}`
    case 1560:
      if (typmod === -1) return '"bit"'
      return typmod > 0 ? `bit(${typmod})` : 'bit'
    case 1562:
      return typmod > 0 ? `${sqlNames.get(type)}(${typmod})` : sqlNames.get(type)!
    case oid.charOid:
      return '"char"'
  }
  const sql = sqlNames.get(type)
  if (sql !== undefined) return sql
  if (type < 16384) {
    const hidden =
      builtinTypeNamespace.get(type) === informationSchema && !effectivePath(context.names).includes(informationSchema)
    return `${hidden ? 'information_schema.' : ''}${quoteIdentifier(t.name)}`
  }
  const d = context.names.catalog.type(type)
  if (d === undefined) return t.name
  const name = quoteIdentifier(d.name)
  for (const schema of effectivePath(context.names)) {
    const found = schema === pgCatalog ? builtinTypeNamed(d.name) : context.names.catalog.typeNamed(schema, d.name)?.oid
    if (found !== undefined)
      return found === type ? name : `${quoteIdentifier(schemaName(context.names, d.schema))}.${name}`
  }
  return `${quoteIdentifier(schemaName(context.names, d.schema))}.${name}`
}

const intervalFields = new Map<number, string>([
  [0x7fff, ''],
  [4, ' year'],
  [2, ' month'],
  [8, ' day'],
  [1024, ' hour'],
  [2048, ' minute'],
  [4096, ' second'],
  [6, ' year to month'],
  [1032, ' day to hour'],
  [3080, ' day to minute'],
  [7176, ' day to second'],
  [3072, ' hour to minute'],
  [7168, ' hour to second'],
  [6144, ' minute to second'],
])

function intervalModifier(typmod: number): string {
  if (typmod < 0) return ''
  const precision = typmod & 0xffff
  return `${intervalFields.get((typmod >> 16) & 0x7fff) ?? ''}${precision === 0xffff ? '' : `(${precision})`}`
}

const reserved = new Set(
  `all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast char
  character check coalesce collate collation column concurrently constraint create cross current_catalog current_date
  current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do
  else end except exists extract false fetch float for foreign freeze from full grant greatest group grouping having ilike
  in initially inner inout int integer intersect interval into is isnull join lateral leading least left like limit
  localtime localtimestamp national natural nchar none normalize not notnull null nullif numeric offset on only or order
  out outer overlaps overlay placing position precision primary real references returning right row select session_user
  setof similar smallint some substring symmetric table tablesample then time timestamp to trailing treat trim true union
  unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists
  xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`.split(/\s+/),
)

export function quoteIdentifier(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !reserved.has(name) ? name : `"${name.replaceAll('"', '""')}"`
}
