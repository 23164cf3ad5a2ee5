/**
 * How the SQL standard's information schema speaks of a type: its name, lengths, precision, scale.
 *
 * Not here: which relations have such columns (information-schema.ts).
 */
import { ParameterTypes } from '../../bind/context.ts'
import { formatType } from '../../bind/type-name.ts'
import type { Session } from '../../session/session.ts'
import { builtinTypeNamespace } from '../../types/registry.ts'
import { schemaName } from '../names.ts'
import type { Cells } from './relation.ts'

/** The schema a type is in, by name. */
export function typeSchema(s: Session, type: number): string {
  return schemaName(s.names, s.catalog.type(type)?.schema ?? builtinTypeNamespace.get(type) ?? 11)
}

/** A type's name: the standard's for built-in ones, ARRAY and USER-DEFINED for the rest. */
export function dataType(s: Session, type: number): string {
  const t = s.types.types.type(type)
  if (t.category === 'A' && t.length === -1) return 'ARRAY'
  return typeSchema(s, type) === 'pg_catalog'
    ? formatType(s.bindContext('', new ParameterTypes([], false)), type, -2)
    : 'USER-DEFINED'
}

const integerBits: Record<number, number> = { 21: 16, 23: 32, 20: 64 }
const floatBits: Record<number, number> = { 700: 24, 701: 53 }
const maxOctets = 1 << 30

/** character_maximum_length, numeric_precision and the like of a type with a modifier; a domain's are its base type's. */
export function typeMeasures(s: Session, type: number, typmod: number): Cells {
  const characters = type === 1042 || type === 1043
  const length = characters && typmod > 4 ? typmod - 4 : (type === 1560 || type === 1562) && typmod > 0 ? typmod : null
  const octets = type === 25 || characters ? (typmod <= 4 || type === 25 ? maxOctets : (typmod - 4) * 4) : null
  const numeric = type === 1700 && typmod >= 4
  const precision = integerBits[type] ?? floatBits[type] ?? (numeric ? ((typmod - 4) >> 16) & 0xffff : null)
  const scale = type in integerBits ? 0 : numeric ? (((typmod - 4) & 0x7ff) ^ 1024) - 1024 : null
  const interval = type === 1186
  const fraction = interval
    ? typmod < 0 || (typmod & 0xffff) === 0xffff
      ? 6
      : typmod & 0xffff
    : typmod < 0
      ? 6
      : typmod
  const fields = interval
    ? /^interval ?(?:\(\d\))? ?(.*)$/
        .exec(formatType(s.bindContext('', new ParameterTypes([], false)), type, typmod))?.[1]
        .replace(/\(\d\)/, '')
    : ''
  return {
    character_maximum_length: length,
    character_octet_length: octets,
    numeric_precision: precision,
    numeric_precision_radix: type in integerBits || type in floatBits ? 2 : type === 1700 ? 10 : null,
    numeric_scale: scale,
    datetime_precision: type === 1082 ? 0 : interval || [1083, 1266, 1114, 1184].includes(type) ? fraction : null,
    interval_type: fields ? fields.toUpperCase() : null,
  }
}

/** What a column of a type says: its names, measures and domain. */
export function typedCells(s: Session, type: number, typmod: number): Cells {
  const domain = s.types.types.type(type).kind === 'd' ? s.catalog.type(type) : undefined
  const builtin = s.types.types.type(type)
  const isDomain = builtin.kind === 'd'
  const base = domain?.base ?? (isDomain ? builtin.base : type)
  const modifier = domain === undefined ? typmod : (domain.typmod ?? -1)
  return {
    data_type: dataType(s, base),
    ...typeMeasures(s, base, modifier),
    udt_catalog: s.databaseName,
    udt_schema: typeSchema(s, base),
    udt_name: s.types.types.type(base).name,
    domain_catalog: isDomain ? s.databaseName : null,
    domain_schema: isDomain ? typeSchema(s, type) : null,
    domain_name: isDomain ? builtin.name : null,
  }
}

/** The collation of a column, where it is not the default one. */
export function collationCells(s: Session, collation: number): Cells {
  const name = collation === 950 ? 'C' : collation === 951 ? 'POSIX' : null
  return name === null
    ? {}
    : { collation_catalog: s.databaseName, collation_schema: 'pg_catalog', collation_name: name }
}
