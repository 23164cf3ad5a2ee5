/**
 * Set-returning functions that are not about text or JSON: generate_series, generate_subscripts, unnest,
 * string_to_table, options of foreign tables.
 *
 * Not here: regexp_matches and the like (regexp.ts), json_each and the like (json-sets.ts).
 */
import { DbError } from '../../base/index.ts'
import type { SqlArray } from '../types/array.ts'
import { addMicros, type Micros } from '../types/calendar.ts'
import type { Interval } from '../types/interval.ts'
import { intervalSpan } from '../types/interval.ts'
import {
  add,
  compareNumeric,
  fromInteger,
  isFiniteNumeric,
  isNumericNaN,
  type Numeric,
  signOf,
} from '../types/numeric.ts'
import { SqlRecord } from '../types/record.ts'
import { builtinType } from '../types/registry.ts'
import type { TypeContext, Value } from '../types/type.ts'
import { splitText } from './array.ts'
import { addToTimestamp, addToTimestamptz } from './datetime.ts'
import type { FunctionMaker } from './function.ts'
import type { Int8 } from './integer.ts'

function zeroStep(): DbError {
  return new DbError('invalid_parameter_value', 'step size cannot equal zero')
}

function* integers(start: number, stop: number, step = 1): Iterable<number> {
  if (step === 0) throw zeroStep()
  if (step > 0) for (let i = start; i <= stop; i += step) yield i
  else for (let i = start; i >= stop; i += step) yield i
}

const int8Max = 0x7fffffffffffffffn

function* wideIntegers(start: Int8, stop: Int8, step: Int8 = 1): Iterable<Int8> {
  if (step === 0) throw zeroStep()
  for (let i: Int8 = start; step > 0 ? i <= stop : i >= stop; ) {
    yield i
    i = addMicros(i, step)
    if (typeof i === 'bigint' && (i > int8Max || i < -int8Max - 1n)) return
  }
}

function* numerics(start: Numeric, stop: Numeric, step: Numeric = fromInteger(1)): Iterable<Numeric> {
  for (const [value, name] of [
    [start, 'start'],
    [stop, 'stop'],
    [step, 'step'],
  ] as const) {
    if (isFiniteNumeric(value)) continue
    const title = name === 'step' ? 'step size' : `${name} value`
    throw new DbError('invalid_parameter_value', `${title} cannot be ${isNumericNaN(value) ? 'NaN' : 'infinity'}`)
  }
  const sign = signOf(step)
  if (sign === 0) throw zeroStep()
  for (let i = start; compareNumeric(i, stop) * sign <= 0; i = add(i, step)) yield i
}

type Adding = (value: Micros, step: Interval, context: TypeContext) => Micros

function timestamps(adding: Adding): FunctionMaker {
  return (_site, context) =>
    function* (start: Micros, stop: Micros, step: Interval): Iterable<Micros> {
      const span = intervalSpan(step)
      if (span === 0) throw zeroStep()
      for (let i = start; span > 0 ? i <= stop : i >= stop; i = adding(i, step, context)) yield i
    }
}

function subscripts(array: SqlArray, dimension: number, reverse: boolean): Iterable<number> {
  if (dimension < 1 || dimension > array.dimensions.length) return []
  const low = array.lowerBounds[dimension - 1]
  const high = low + array.dimensions[dimension - 1] - 1
  return reverse ? integers(high, low, -1) : integers(low, high)
}

/** "name=value" options as rows of two texts. */
function options(array: SqlArray): Iterable<SqlRecord> {
  const text = builtinType(25)
  return array.items.map((item: Value) => {
    const at = (item as string).indexOf('=')
    const parts = at < 0 ? [item, null] : [item.slice(0, at), item.slice(at + 1)]
    return new SqlRecord([text, text], parts, ['option_name', 'option_value'])
  })
}

/** One grant of an access privilege item: grantee=letters/grantor, a star after a letter for the grant option. */
const privilegeNames: Record<string, string> = {
  a: 'INSERT',
  r: 'SELECT',
  w: 'UPDATE',
  d: 'DELETE',
  D: 'TRUNCATE',
  x: 'REFERENCES',
  t: 'TRIGGER',
  X: 'EXECUTE',
  U: 'USAGE',
  C: 'CREATE',
  c: 'CONNECT',
  T: 'TEMPORARY',
  s: 'SET',
  A: 'ALTER SYSTEM',
}

function explodeAcl(array: SqlArray, context: TypeContext): Iterable<SqlRecord> {
  const types = [26, 26, 25, 16].map(builtinType)
  const names = ['grantor', 'grantee', 'privilege_type', 'is_grantable']
  const role = (name: string) => (name === '' ? 0 : context.names.lookup('regrole', name))
  return array.items.flatMap((item: Value) => {
    const match = /^(.*)=([a-zA-Z*]*)\/(.*)$/.exec(item as string)
    if (match === null) return []
    const [, grantee, letters, grantor] = match
    return [...letters.matchAll(/([a-zA-Z])(\*?)/g)].map(([, letter, star]) => {
      return new SqlRecord(types, [role(grantor), role(grantee), privilegeNames[letter], star === '*'], names)
    })
  })
}

/** information_schema's helper: the items with their subscripts. */
const expandArray: FunctionMaker = (site, context) => {
  const types = [context.types.type(context.types.type(site.argTypes[0]).element), builtinType(23)]
  return (array: SqlArray) => array.items.map((item: Value, i) => new SqlRecord(types, [item, i + 1], ['x', 'n']))
}

export const setMakers: Record<string, FunctionMaker> = {
  generate_series_int4: () => (start, stop) => integers(start, stop),
  generate_series_step_int4: () => (start, stop, step) => integers(start, stop, step),
  generate_series_int8: () => (start, stop) => wideIntegers(start, stop),
  generate_series_step_int8: () => (start, stop, step) => wideIntegers(start, stop, step),
  generate_series_numeric: () => (start, stop) => numerics(start, stop),
  generate_series_step_numeric: () => (start, stop, step) => numerics(start, stop, step),
  generate_series_timestamp: timestamps(addToTimestamp),
  generate_series_timestamptz: timestamps(addToTimestamptz),
  generate_subscripts: () => (array, dimension, reverse) => subscripts(array, dimension, reverse),
  generate_subscripts_nodir: () => (array, dimension) => subscripts(array, dimension, false),
  array_unnest: () => (array: SqlArray) => array.items,
  text_to_table: () => (text: string | null, delimiter: string | null) =>
    text === null ? [] : splitText(text, delimiter, null),
  text_to_table_null: () => (text: string | null, delimiter: string | null, nullText: string | null) =>
    text === null ? [] : splitText(text, delimiter, nullText),
  pg_options_to_table: () => options,
  aclexplode: (_site, context) => (array: SqlArray) => explodeAcl(array, context),
  '_pg_expandarray(anyarray)': expandArray,
}
