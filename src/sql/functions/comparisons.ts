/**
 * Comparison operators of the types that compare by their Type, and of booleans, texts, dates and timestamps, which are
 * hot enough for functions of their own.
 *
 * Not here: numbers (integer.ts, float.ts, numeric.ts), dates against timestamps (datetime-compare.ts).
 */
import type { Micros } from '../types/calendar.ts'
import { compareText } from '../types/code-points.ts'
import { builtinType } from '../types/registry.ts'
import { trimBlanks } from '../types/text.ts'
import type { Type, TypeContext } from '../types/type.ts'
import type { CallSite, FunctionCode, FunctionMaker } from './function.ts'

type Compare = (a: any, b: any) => number
const suffixes = ['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'cmp', 'larger', 'smaller'] as const

/** The functions named `prefix` + suffix, by a compare function. */
function family(prefix: string, compare: Compare): Record<string, FunctionCode> {
  return {
    [`${prefix}eq`]: (a, b) => compare(a, b) === 0,
    [`${prefix}ne`]: (a, b) => compare(a, b) !== 0,
    [`${prefix}lt`]: (a, b) => compare(a, b) < 0,
    [`${prefix}le`]: (a, b) => compare(a, b) <= 0,
    [`${prefix}gt`]: (a, b) => compare(a, b) > 0,
    [`${prefix}ge`]: (a, b) => compare(a, b) >= 0,
    [`${prefix}cmp`]: (a, b) => Math.sign(compare(a, b)),
    [`${prefix}larger`]: (a, b) => (compare(a, b) > 0 ? a : b),
    [`${prefix}smaller`]: (a, b) => (compare(a, b) < 0 ? a : b),
  }
}

function ofType(prefix: string, oid: number): Record<string, FunctionCode> {
  const type = builtinType(oid)
  return family(prefix, (a, b) => type.compare(a, b))
}

const booleans: Record<string, FunctionCode> = {
  booleq: (a: boolean, b: boolean) => a === b,
  boolne: (a: boolean, b: boolean) => a !== b,
  boollt: (a: boolean, b: boolean) => !a && b,
  boolle: (a: boolean, b: boolean) => !a || b,
  boolgt: (a: boolean, b: boolean) => a && !b,
  boolge: (a: boolean, b: boolean) => a || !b,
  btboolcmp: (a: boolean, b: boolean) => (a === b ? 0 : a ? 1 : -1),
  booland_statefunc: (a: boolean, b: boolean) => a && b,
  boolor_statefunc: (a: boolean, b: boolean) => a || b,
}

const texts: Record<string, FunctionCode> = {
  texteq: (a: string, b: string) => a === b,
  textne: (a: string, b: string) => a !== b,
  text_lt: (a: string, b: string) => compareText(a, b) < 0,
  text_le: (a: string, b: string) => compareText(a, b) <= 0,
  text_gt: (a: string, b: string) => compareText(a, b) > 0,
  text_ge: (a: string, b: string) => compareText(a, b) >= 0,
  text_larger: (a: string, b: string) => (compareText(a, b) > 0 ? a : b),
  text_smaller: (a: string, b: string) => (compareText(a, b) < 0 ? a : b),
  bttextcmp: (a: string, b: string) => Math.sign(compareText(a, b)),
  bttext_pattern_cmp: (a: string, b: string) => Math.sign(compareText(a, b)),
  text_pattern_lt: (a: string, b: string) => compareText(a, b) < 0,
  text_pattern_le: (a: string, b: string) => compareText(a, b) <= 0,
  text_pattern_gt: (a: string, b: string) => compareText(a, b) > 0,
  text_pattern_ge: (a: string, b: string) => compareText(a, b) >= 0,
  bpchareq: (a: string, b: string) => a === b || trimBlanks(a) === trimBlanks(b),
  bpcharne: (a: string, b: string) => a !== b && trimBlanks(a) !== trimBlanks(b),
}

const days: Record<string, FunctionCode> = {
  date_eq: (a: number, b: number) => a === b,
  date_ne: (a: number, b: number) => a !== b,
  date_lt: (a: number, b: number) => a < b,
  date_le: (a: number, b: number) => a <= b,
  date_gt: (a: number, b: number) => a > b,
  date_ge: (a: number, b: number) => a >= b,
  date_cmp: (a: number, b: number) => (a < b ? -1 : a > b ? 1 : 0),
  date_larger: (a: number, b: number) => (a > b ? a : b),
  date_smaller: (a: number, b: number) => (a < b ? a : b),
  time_eq: (a: number, b: number) => a === b,
  time_ne: (a: number, b: number) => a !== b,
  time_lt: (a: number, b: number) => a < b,
  time_le: (a: number, b: number) => a <= b,
  time_gt: (a: number, b: number) => a > b,
  time_ge: (a: number, b: number) => a >= b,
  time_cmp: (a: number, b: number) => (a < b ? -1 : a > b ? 1 : 0),
  time_larger: (a: number, b: number) => (a > b ? a : b),
  time_smaller: (a: number, b: number) => (a < b ? a : b),
  timestamp_eq: (a: Micros, b: Micros) => a === b,
  timestamp_ne: (a: Micros, b: Micros) => a !== b,
  timestamp_lt: (a: Micros, b: Micros) => a < b,
  timestamp_le: (a: Micros, b: Micros) => a <= b,
  timestamp_gt: (a: Micros, b: Micros) => a > b,
  timestamp_ge: (a: Micros, b: Micros) => a >= b,
  timestamp_cmp: (a: Micros, b: Micros) => (a < b ? -1 : a > b ? 1 : 0),
  timestamp_larger: (a: Micros, b: Micros) => (a > b ? a : b),
  timestamp_smaller: (a: Micros, b: Micros) => (a < b ? a : b),
}

/** name against text, and name against name. */
const names: Record<string, FunctionCode> = {}
for (const [prefix, suffix] of [
  ['name', ''],
  ['name', 'text'],
  ['text', 'name'],
]) {
  for (const op of suffixes) names[`${prefix}${op}${suffix}`] = family('', compareText)[op]
  names[`bt${prefix}${suffix}cmp`] = (a, b) => Math.sign(compareText(a, b))
}
names.btnamecmp = (a, b) => Math.sign(compareText(a, b))

export const comparisonCode: Record<string, FunctionCode> = {
  ...ofType('bpchar', 1042),
  ...ofType('bpchar_', 1042),
  ...ofType('bpchar_pattern_', 1042),
  ...ofType('char', 18),
  ...ofType('bytea', 17),
  ...ofType('timetz_', 1266),
  ...ofType('interval_', 1186),
  ...ofType('uuid_', 2950),
  ...ofType('network_', 869),

  ...ofType('macaddr_', 829),
  ...ofType('macaddr8_', 774),
  ...ofType('bit', 1560),
  ...ofType('varbit', 1562),
  ...ofType('jsonb_', 3802),
  ...ofType('tid', 27),
  ...ofType('oidvector', 30),
  ...names,
  ...texts,
  ...booleans,
  ...days,
}
comparisonCode.btcharcmp = comparisonCode.charcmp
comparisonCode.btbpchar_pattern_cmp = comparisonCode.bpcharcmp
comparisonCode.btoidvectorcmp = comparisonCode.oidvectorcmp
comparisonCode.bttidcmp = comparisonCode.tidcmp

/** Comparisons whose order comes from the type of the first argument at the call: arrays, records, enums. */
function typed(test: (order: number) => unknown): FunctionMaker {
  return (site: CallSite, context: TypeContext) => {
    const type: Type = context.types.type(site.argTypes[0])
    return (a, b) => test(type.compare(a, b))
  }
}

function pick(sign: number): FunctionMaker {
  return (site, context) => {
    const type = context.types.type(site.argTypes[0])
    return (a, b) => (type.compare(a, b) * sign > 0 ? a : b)
  }
}

export const comparisonMakers: Record<string, FunctionMaker> = {}
for (const prefix of ['array_', 'record_', 'record_image_', 'enum_']) {
  comparisonMakers[`${prefix}eq`] = typed((order) => order === 0)
  comparisonMakers[`${prefix}ne`] = typed((order) => order !== 0)
  comparisonMakers[`${prefix}lt`] = typed((order) => order < 0)
  comparisonMakers[`${prefix}le`] = typed((order) => order <= 0)
  comparisonMakers[`${prefix}gt`] = typed((order) => order > 0)
  comparisonMakers[`${prefix}ge`] = typed((order) => order >= 0)
  comparisonMakers[`${prefix}cmp`] = typed(Math.sign)
  comparisonMakers[`${prefix}larger`] = pick(1)
  comparisonMakers[`${prefix}smaller`] = pick(-1)
}
comparisonMakers.btarraycmp = typed(Math.sign)
comparisonMakers.btrecordcmp = typed(Math.sign)
comparisonMakers.btrecordimagecmp = typed(Math.sign)
