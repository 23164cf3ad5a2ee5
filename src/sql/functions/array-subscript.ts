/**
 * Subscripts: a[i], a[i:j], and their assignment, as expressions and UPDATE … SET a[i] = x use them.
 *
 * Reading outside an array gives NULL (an element) or the empty array (a slice); assigning may make it larger, with
 * NULLs between.
 * Not here: binding of subscripts, jsonb subscripts (jsonb-change.ts).
 */
import { DbError } from '../../base/index.ts'
import { arrayOf, maxArrayItems, maxDimensions, SqlArray } from '../types/array.ts'
import type { Value } from '../types/type.ts'

/** Row-major offset of a position, or -1 outside. */
function offsetOf(array: SqlArray, subscripts: readonly number[]): number {
  let offset = 0
  for (let i = 0; i < subscripts.length; i++) {
    const place = subscripts[i] - array.lowerBounds[i]
    if (place < 0 || place >= array.dimensions[i]) return -1
    offset = offset * array.dimensions[i] + place
  }
  return offset
}

/** a[i][j]: NULL outside, or when the number of subscripts is not that of the dimensions. */
export function elementAt(array: SqlArray, subscripts: readonly number[]): Value {
  if (subscripts.length !== array.dimensions.length) return null
  const offset = offsetOf(array, subscripts)
  return offset < 0 ? null : array.items[offset]
}

/** a[l:u]…; an absent bound (undefined) is the array's own. The result is numbered from 1. */
export function sliceOf(
  array: SqlArray,
  lower: readonly (number | undefined)[],
  upper: readonly (number | undefined)[],
): SqlArray {
  const depth = array.dimensions.length
  const empty = arrayOf(array.elementOid, [])
  if (depth === 0 || lower.length > depth || lower.length > maxDimensions) return empty
  const from: number[] = []
  const sizes: number[] = []
  for (let i = 0; i < depth; i++) {
    const first = array.lowerBounds[i]
    const last = first + array.dimensions[i] - 1
    const low = i < lower.length ? Math.max(lower[i] ?? first, first) : first
    const high = i < lower.length ? Math.min(upper[i] ?? last, last) : last
    if (low > high) return empty
    from.push(low - first)
    sizes.push(high - low + 1)
  }
  const items: Value[] = []
  const walk = (level: number, offset: number) => {
    for (let i = 0; i < sizes[level]; i++) {
      const at = offset * array.dimensions[level] + from[level] + i
      if (level === depth - 1) items.push(array.items[at])
      else walk(level + 1, at)
    }
  }
  walk(0, 0)
  return new SqlArray(
    array.elementOid,
    sizes,
    sizes.map(() => 1),
    items,
  )
}

function wrongSubscripts(): DbError {
  return new DbError('array_subscript_error', 'wrong number of array subscripts')
}

/** The array with one element set; a NULL array (null) counts as empty. */
export function assignElement(
  array: SqlArray | null,
  subscripts: readonly number[],
  value: Value,
  element: number,
): SqlArray {
  if (array === null || array.dimensions.length === 0) {
    return new SqlArray(
      element,
      subscripts.map(() => 1),
      [...subscripts],
      [value],
    )
  }
  if (subscripts.length !== array.dimensions.length) throw wrongSubscripts()
  let target = array
  if (array.dimensions.length === 1) target = extended(array, subscripts[0], subscripts[0])
  const offset = offsetOf(target, subscripts)
  if (offset < 0) throw new DbError('array_subscript_error', 'array subscript out of range')
  const items = target.items.slice()
  items[offset] = value
  return new SqlArray(target.elementOid, target.dimensions, target.lowerBounds, items)
}

/** A one-dimensional array made to reach from `low` to `high`, filled up with NULLs. */
function extended(array: SqlArray, low: number, high: number): SqlArray {
  const first = array.lowerBounds[0]
  const last = first + array.items.length - 1
  const newFirst = Math.min(first, low)
  const newLast = Math.max(last, high)
  if (newFirst === first && newLast === last) return array
  const count = newLast - newFirst + 1
  if (count > maxArrayItems) {
    throw new DbError('program_limit_exceeded', `array size exceeds the maximum allowed (${maxArrayItems})`)
  }
  const before: Value[] = Array(first - newFirst).fill(null)
  const after: Value[] = Array(newLast - last).fill(null)
  return new SqlArray(array.elementOid, [count], [newFirst], [...before, ...array.items, ...after])
}

/** The array with a slice replaced by the items of `source`, which must have enough of them. */
export function assignSlice(
  array: SqlArray | null,
  lower: readonly (number | undefined)[],
  upper: readonly (number | undefined)[],
  source: SqlArray,
  element: number,
): SqlArray {
  if (array === null || array.dimensions.length === 0) return sliceIntoEmpty(lower, upper, source, element)
  const depth = array.dimensions.length
  if (lower.length > depth) throw wrongSubscripts()
  const low = array.lowerBounds.map((first, i) => lower[i] ?? first)
  const high = array.lowerBounds.map((first, i) => upper[i] ?? first + array.dimensions[i] - 1)
  if (low.some((value, i) => value > high[i])) {
    throw new DbError('array_subscript_error', 'upper bound cannot be less than lower bound')
  }
  const count = low.reduce((product, value, i) => product * (high[i] - value + 1), 1)
  if (source.items.length < count) throw new DbError('array_subscript_error', 'source array too small')
  const target = depth === 1 ? extended(array, low[0], high[0]) : array
  const items = target.items.slice()
  const place = low.slice()
  for (let i = 0; i < count; i++) {
    const offset = offsetOf(target, place)
    if (offset < 0) throw new DbError('array_subscript_error', 'array subscript out of range')
    items[offset] = source.items[i]
    for (let level = depth - 1; level >= 0; level--) {
      if (++place[level] <= high[level]) break
      place[level] = low[level]
    }
  }
  return new SqlArray(target.elementOid, target.dimensions, target.lowerBounds, items)
}

function sliceIntoEmpty(
  lower: readonly (number | undefined)[],
  upper: readonly (number | undefined)[],
  source: SqlArray,
  element: number,
): SqlArray {
  const sizes = lower.map((low, i) => {
    const high = upper[i]
    if (high === undefined || (low === undefined && high === undefined)) {
      throw new DbError('array_subscript_error', 'array slice subscript must provide both boundaries', {
        detail: 'When assigning to a slice of an empty array value, slice boundaries must be fully specified.',
      })
    }
    if (high < (low ?? 1)) throw new DbError('array_subscript_error', 'upper bound cannot be less than lower bound')
    return high - (low ?? 1) + 1
  })
  const count = sizes.reduce((product, size) => product * size, 1)
  if (source.items.length < count) throw new DbError('array_subscript_error', 'source array too small')
  return new SqlArray(
    element,
    sizes,
    lower.map((low) => low ?? 1),
    source.items.slice(0, count),
  )
}
