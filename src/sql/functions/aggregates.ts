/**
 * The plain aggregates: count, sum, avg, min, max, the boolean and bitwise ones, and those that collect (string_agg,
 * array_agg). A state is a small object that is changed in place.
 *
 * Not here: statistics (aggregates-statistics.ts), ordered sets (aggregates-ordered.ts), JSON (aggregates-json.ts).
 */
import { DbError } from '../../base/index.ts'
import { arrayOf, maxDimensions, SqlArray } from '../types/array.ts'
import { addIntervals, type Interval, negateInterval } from '../types/interval.ts'
import { add, divide, fromInteger, Numeric, numericOf } from '../types/numeric.ts'
import { builtinType } from '../types/registry.ts'
import type { Type, TypeContext, Value } from '../types/type.ts'
import { overflow } from './float.ts'
import type { AggregateCode } from './function.ts'
import { addInt8, type Int8, subtractInt8, toInt8 } from './integer.ts'
import { divideInterval } from './interval.ts'

const numericOid = 1700

interface Sum<T> {
  count: number
  sum: T
}

const countRows: AggregateCode<Sum<number>> = {
  strict: true,
  init: () => ({ count: 0, sum: 0 }),
  step(state) {
    state.count++
    return state
  },
  unstep(state) {
    state.count--
    return state
  },
  finish: (state) => state.count,
  partial: {
    save: (state) => state.count,
    merge(state, saved: number) {
      state.count += saved
      return state
    },
  },
}

/** sum of int2 and int4: an int8. */
const sumSmall: AggregateCode<Sum<Int8>> = {
  strict: true,
  init: () => ({ count: 0, sum: 0 }),
  step(state, value: number) {
    state.count++
    const sum = state.sum
    if (typeof sum === 'number') {
      const next = sum + value
      if (next <= Number.MAX_SAFE_INTEGER && next >= Number.MIN_SAFE_INTEGER) {
        state.sum = next
        return state
      }
    }
    state.sum = addInt8(sum, value)
    return state
  },
  unstep(state, value: number) {
    state.count--
    state.sum = subtractInt8(state.sum, value)
    return state
  },
  finish: (state) => (state.count === 0 ? null : state.sum),
  partial: {
    save: (state) => [state.count, String(state.sum)],
    merge(state, [count, sum]: [number, string]) {
      state.count += count
      state.sum = addInt8(state.sum, toInt8(BigInt(sum)))
      return state
    },
  },
}

/** An exact integer sum that grows without bound; a number while it is safe. */
interface BigSum {
  count: number
  sum: number
  /** What was carried out of `sum`. */
  carried: bigint
}

const bigSum = {
  strict: true,
  init: (): BigSum => ({ count: 0, sum: 0, carried: 0n }),
  step(state: BigSum, value: Int8): BigSum {
    state.count++
    return accumulate(state, value)
  },
  unstep(state: BigSum, value: Int8): BigSum {
    state.count--
    return accumulate(state, typeof value === 'number' ? 0 - value : -value)
  },
  partial: {
    save: (state: BigSum) => [state.count, String(state.carried + BigInt(state.sum))],
    merge(state: BigSum, [count, sum]: [number, string]): BigSum {
      state.count += count
      state.carried += BigInt(sum)
      return state
    },
  },
}

function accumulate(state: BigSum, value: Int8): BigSum {
  if (typeof value === 'bigint') {
    state.carried += value
    return state
  }
  const next = state.sum + value
  if (Number.isSafeInteger(next)) {
    state.sum = next
  } else {
    state.carried += BigInt(state.sum) + BigInt(value)
    state.sum = 0
  }
  return state
}

function total(state: BigSum): Numeric {
  return state.carried === 0n ? new Numeric(state.sum, 0) : numericOf(state.carried + BigInt(state.sum), 0)
}

const sumInt8: AggregateCode<BigSum> = { ...bigSum, finish: (state) => (state.count === 0 ? null : total(state)) }

const averageInteger: AggregateCode<BigSum> = {
  ...bigSum,
  finish: (state) => (state.count === 0 ? null : divide(total(state), fromInteger(state.count))),
}

const numericSum = {
  strict: true,
  init: (): Sum<Numeric> => ({ count: 0, sum: fromInteger(0) }),
  step(state: Sum<Numeric>, value: Numeric): Sum<Numeric> {
    state.count++
    state.sum = state.count === 1 ? value : add(state.sum, value)
    return state
  },
  partial: {
    save: (state: Sum<Numeric>, plain: TypeContext) => [state.count, builtinType(numericOid).format(state.sum, plain)],
    merge(state: Sum<Numeric>, [count, text]: [number, string], plain: TypeContext): Sum<Numeric> {
      if (count === 0) return state
      const sum = builtinType(numericOid).parse(text, -1, plain) as Numeric
      state.sum = state.count === 0 ? sum : add(state.sum, sum)
      state.count += count
      return state
    },
  },
}

const sumNumeric: AggregateCode<Sum<Numeric>> = {
  ...numericSum,
  finish: (state) => (state.count === 0 ? null : state.sum),
}

const averageNumeric: AggregateCode<Sum<Numeric>> = {
  ...numericSum,
  finish: (state) => (state.count === 0 ? null : divide(state.sum, fromInteger(state.count))),
}

function floatSum(single: boolean): AggregateCode<Sum<number>> {
  return {
    strict: true,
    init: () => ({ count: 0, sum: 0 }),
    step(state, value: number) {
      const first = state.count++ === 0
      const sum = first ? value : single ? Math.fround(state.sum + value) : state.sum + value
      if (!Number.isFinite(sum) && Number.isFinite(state.sum) && Number.isFinite(value)) throw overflow()
      state.sum = sum
      return state
    },
    finish: (state) => (state.count === 0 ? null : state.sum),
  }
}

const intervalSum = {
  strict: true,
  init: (): Sum<Interval | undefined> => ({ count: 0, sum: undefined }),
  step(state: Sum<Interval | undefined>, value: Interval): Sum<Interval | undefined> {
    state.count++
    state.sum = state.sum === undefined ? value : addIntervals(state.sum, value)
    return state
  },
  unstep(state: Sum<Interval | undefined>, value: Interval): Sum<Interval | undefined> {
    state.count--
    state.sum = addIntervals(state.sum!, negateInterval(value))
    return state
  },
}

const sumInterval: AggregateCode<Sum<Interval | undefined>> = {
  ...intervalSum,
  finish: (state) => (state.count === 0 ? null : state.sum!),
}

const averageInterval: AggregateCode<Sum<Interval | undefined>> = {
  ...intervalSum,
  finish: (state) => (state.count === 0 ? null : divideInterval(state.sum!, state.count)),
}

interface Extreme {
  readonly type: Type
  value: Value
}

function extreme(sign: 1 | -1): AggregateCode<Extreme> {
  return {
    strict: true,
    init: (site, context) => ({ type: context.types.type(site.argTypes[0]), value: null }),
    step(state, value) {
      if (state.value === null || state.type.compare(value, state.value) * sign > 0) state.value = value
      return state
    },
    finish: (state) => state.value,
    partial: {
      save: ({ type, value }, plain) => (value === null ? null : type.format(value, plain)),
      merge(state, saved: string | null, plain) {
        if (saved === null) return state
        const value = state.type.parse(saved, -1, plain)
        if (state.value === null || state.type.compare(value, state.value) * sign > 0) state.value = value
        return state
      },
    },
  }
}

interface Truths {
  yes: number
  no: number
}

function truths(finish: (state: Truths) => boolean): AggregateCode<Truths> {
  return {
    strict: true,
    init: () => ({ yes: 0, no: 0 }),
    step(state, value: boolean) {
      if (value) state.yes++
      else state.no++
      return state
    },
    unstep(state, value: boolean) {
      if (value) state.yes--
      else state.no--
      return state
    },
    finish: (state) => (state.yes + state.no === 0 ? null : finish(state)),
    partial: {
      save: ({ yes, no }) => [yes, no],
      merge(state, [yes, no]: [number, number]) {
        state.yes += yes
        state.no += no
        return state
      },
    },
  }
}

function bits(operation: (a: bigint, b: bigint) => bigint): AggregateCode<{ value: bigint | undefined }> {
  return {
    strict: true,
    init: () => ({ value: undefined }),
    step(state, value: Int8) {
      state.value = state.value === undefined ? BigInt(value) : operation(state.value, BigInt(value))
      return state
    },
    finish: (state) => (state.value === undefined ? null : toInt8(BigInt.asIntN(64, state.value))),
    partial: {
      save: ({ value }) => (value === undefined ? null : String(value)),
      merge(state, saved: string | null) {
        if (saved === null) return state
        state.value = state.value === undefined ? BigInt(saved) : operation(state.value, BigInt(saved))
        return state
      },
    },
  }
}

function bitStrings(operation: (a: string, b: string) => boolean): AggregateCode<{ value: string | undefined }> {
  return {
    strict: true,
    init: () => ({ value: undefined }),
    step(state, value: string) {
      const before = state.value
      if (before === undefined) {
        state.value = value
      } else {
        if (before.length !== value.length) {
          throw new DbError('string_data_length_mismatch', 'cannot AND bit strings of different sizes')
        }
        state.value = before.replace(/./g, (bit, i: number) => (operation(bit, value[i]) ? '1' : '0'))
      }
      return state
    },
    finish: (state) => state.value ?? null,
  }
}

const stringAgg: AggregateCode<{ text: string | undefined }> = {
  strict: false,
  init: () => ({ text: undefined }),
  step(state, value: string | null, delimiter: string | null) {
    if (value === null) return state
    state.text = state.text === undefined ? value : state.text + (delimiter ?? '') + value
    return state
  },
  finish: (state) => state.text ?? null,
}

const bytesAgg: AggregateCode<{ parts: Uint8Array[] }> = {
  strict: false,
  init: () => ({ parts: [] }),
  step(state, value: Uint8Array | null, delimiter: Uint8Array | null) {
    if (value === null) return state
    if (state.parts.length > 0 && delimiter !== null) state.parts.push(delimiter)
    state.parts.push(value)
    return state
  },
  finish: (state) => (state.parts.length === 0 ? null : new Uint8Array(Buffer.concat(state.parts))),
}

interface Collected {
  readonly element: number
  readonly items: Value[]
}

const arrayAgg: AggregateCode<Collected> = {
  strict: false,
  init: (site) => ({ element: site.argTypes[0], items: [] }),
  step(state, value) {
    state.items.push(value)
    return state
  },
  finish: (state) => (state.items.length === 0 ? null : arrayOf(state.element, state.items.slice())),
}

/** array_agg of arrays: one more dimension; all must have the same shape. */
const arrayOfArrays: AggregateCode<{ arrays: SqlArray[] }> = {
  strict: false,
  init: () => ({ arrays: [] }),
  step(state, value: SqlArray | null) {
    if (value === null) throw new DbError('null_value_not_allowed', 'cannot accumulate null arrays')
    if (value.dimensions.length === 0) throw new DbError('array_subscript_error', 'cannot accumulate empty arrays')
    if (value.dimensions.length >= maxDimensions) {
      const message = `number of array dimensions (${value.dimensions.length + 1}) exceeds the maximum allowed (${maxDimensions})`
      throw new DbError('program_limit_exceeded', message)
    }
    const first = state.arrays[0]
    if (first !== undefined && String(first.dimensions) !== String(value.dimensions)) {
      throw new DbError('array_subscript_error', 'cannot accumulate arrays of different dimensionality')
    }
    state.arrays.push(value)
    return state
  },
  finish(state) {
    const first = state.arrays[0]
    if (first === undefined) return null
    const dimensions = [state.arrays.length, ...first.dimensions]
    const items = state.arrays.flatMap((array) => array.items as Value[])
    return new SqlArray(first.elementOid, dimensions, [1, ...first.lowerBounds], items)
  },
}

const maximum = extreme(1)
const minimum = extreme(-1)
const and = truths((state) => state.no === 0)
const or = truths((state) => state.yes > 0)

/** By name and argument types, or by name alone. */
export const aggregateCode: Record<string, AggregateCode> = {
  count: countRows,
  'sum(int2)': sumSmall,
  'sum(int4)': sumSmall,
  'sum(int8)': sumInt8,
  'sum(numeric)': sumNumeric,
  'sum(float4)': floatSum(true),
  'sum(float8)': floatSum(false),
  'sum(interval)': sumInterval,
  'avg(int2)': averageInteger,
  'avg(int4)': averageInteger,
  'avg(int8)': averageInteger,
  'avg(numeric)': averageNumeric,
  'avg(interval)': averageInterval,
  max: maximum,
  min: minimum,
  bool_and: and,
  every: and,
  bool_or: or,
  bit_and: bits((a, b) => a & b),
  bit_or: bits((a, b) => a | b),
  bit_xor: bits((a, b) => a ^ b),
  'bit_and(bit)': bitStrings((a, b) => a === '1' && b === '1'),
  'bit_or(bit)': bitStrings((a, b) => a === '1' || b === '1'),
  'bit_xor(bit)': bitStrings((a, b) => a !== b),
  'string_agg(text,text)': stringAgg,
  'string_agg(bytea,bytea)': bytesAgg,
  'array_agg(anynonarray)': arrayAgg,
  'array_agg(anyarray)': arrayOfArrays,
}

/** "sum(int4)": what tells overloads apart. */
export function aggregateKey(row: { readonly name: string; readonly args: readonly number[] }): string {
  return `${row.name}(${row.args.map((oid) => builtinType(oid).name).join(',')})`
}
