/**
 * Functions that belong to no type: counting NULLs, enum_range and its kin, random values, uuids, type of a value.
 *
 * Not here: what asks the catalog or the session (registered by the session layer).
 */
import { DbError } from '../../base/index.ts'
import { arrayOf, type SqlArray } from '../types/array.ts'
import { formatUuid } from '../types/bytea.ts'
import type { TypeContext } from '../types/type.ts'
import { EnumType } from '../types/user-types.ts'
import type { CallSite, FunctionCode, FunctionMaker } from './function.ts'
import { parseIdentifier } from './text.ts'

function counting(nulls: boolean): FunctionMaker {
  return (site) => {
    const count = site.argTypes.length
    if (site.variadicArray === true) {
      return (array: SqlArray | null) =>
        array === null ? null : array.items.filter((item) => (item === null) === nulls).length
    }
    return (...args) => {
      let found = 0
      for (let i = 0; i < count; i++) if ((args[i] === null) === nulls) found++
      return found
    }
  }
}

function enumOf(site: CallSite, context: TypeContext): EnumType {
  const type = context.types.type(site.argTypes[0])
  if (!(type instanceof EnumType)) throw new DbError('feature_not_supported', 'could not determine actual enum type')
  return type
}

function checkNonEmpty(type: EnumType): void {
  if (type.labels.length === 0) {
    throw new DbError('object_not_in_prerequisite_state', `enum ${type.name} contains no values`)
  }
}

function rangeOf(type: EnumType, from: string | null, to: string | null): SqlArray {
  const low = from === null ? Number.NEGATIVE_INFINITY : type.orderOf(from)
  const high = to === null ? Number.POSITIVE_INFINITY : type.orderOf(to)
  const labels = type.labels.filter(({ order }) => order >= low && order <= high).map(({ label }) => label)
  return arrayOf(type.oid, labels)
}

/** A version 4 uuid from 16 random bytes. */
function randomUuid(bytes: Uint8Array): string {
  bytes[6] = (bytes[6] & 0x0f) | 0x40
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  return formatUuid(Buffer.prototype.hexSlice.call(bytes, 0, 16) as string)
}

export const generalMakers: Record<string, FunctionMaker> = {
  pg_num_nulls: counting(true),
  pg_num_nonnulls: counting(false),
  enum_range_all: (site, context) => {
    const type = enumOf(site, context)
    return () => rangeOf(type, null, null)
  },
  enum_range_bounds: (site, context) => {
    const type = enumOf(site, context)
    return (from, to) => rangeOf(type, from, to)
  },
  enum_first: (site, context) => {
    const type = enumOf(site, context)
    return () => {
      checkNonEmpty(type)
      return type.labels[0].label
    }
  },
  enum_last: (site, context) => {
    const type = enumOf(site, context)
    return () => {
      checkNonEmpty(type)
      return type.labels[type.labels.length - 1].label
    }
  },
  pg_typeof: (site) => {
    const oid = site.argTypes[0]
    return () => oid
  },
  parse_ident: (site) => {
    const given = site.argTypes.length
    return (text: string, strict: boolean) => arrayOf(25, parseIdentifier(text, given > 1 ? strict : true))
  },
}

export const generalCode: Record<string, FunctionCode> = {
  drandom: (context: TypeContext) => context.random(),
  gen_random_uuid: (context: TypeContext) => randomUuid(context.randomBytes(16)),
}
