/**
 * Functions and operators of arrays.
 *
 * Not here: subscripts and slices in expressions (plan/compile-composite.ts), unnest (sets.ts), comparison
 * (comparisons.ts).
 */
import { DbError } from '../../base/index.ts'
import { arrayOf, maxArrayItems, maxDimensions, SqlArray } from '../types/array.ts'
import { textOid } from '../types/oids.ts'
import type { Type, TypeContext, Value } from '../types/type.ts'
import type { CallSite, FunctionCode, FunctionMaker } from './function.ts'
import { int4Range } from './integer.ts'

/** The type of the items of the array argument at `position`. */
function elementType(site: CallSite, context: TypeContext, position: number): Type {
  return context.types.type(context.types.type(site.argTypes[position]).element)
}

function tooLarge(): DbError {
  return new DbError('program_limit_exceeded', `array size exceeds the maximum allowed (${maxArrayItems})`)
}

function append(array: SqlArray | null, item: Value, element: number): SqlArray {
  if (array === null || array.dimensions.length === 0) return arrayOf(element, [item])
  if (array.dimensions.length !== 1)
    throw new DbError('data_exception', 'argument must be empty or one-dimensional array')
  const lower = array.lowerBounds[0]
  if (lower + array.items.length > 0x7fffffff) throw int4Range()
  return new SqlArray(array.elementOid, [array.items.length + 1], [lower], [...array.items, item])
}

function prepend(item: Value, array: SqlArray | null, element: number): SqlArray {
  if (array === null || array.dimensions.length === 0) return arrayOf(element, [item])
  if (array.dimensions.length !== 1)
    throw new DbError('data_exception', 'argument must be empty or one-dimensional array')
  // The lower bound stays what it was, as PostgreSQL does for its fixed arrays.
  return new SqlArray(array.elementOid, [array.items.length + 1], [array.lowerBounds[0]], [item, ...array.items])
}

function incompatible(detail: string): DbError {
  return new DbError('array_subscript_error', 'cannot concatenate incompatible arrays', { detail })
}

function concatenate(a: SqlArray | null, b: SqlArray | null): SqlArray | null {
  if (a === null || b === null) return a ?? b
  const depthA = a.dimensions.length
  const depthB = b.dimensions.length
  if (depthA === 0) return b
  if (depthB === 0) return a
  const items = [...a.items, ...b.items]
  if (depthA === depthB) {
    for (let i = 1; i < depthA; i++) {
      if (a.dimensions[i] !== b.dimensions[i] || a.lowerBounds[i] !== b.lowerBounds[i]) {
        throw incompatible('Arrays with differing element dimensions are not compatible for concatenation.')
      }
    }
    const dimensions = [a.dimensions[0] + b.dimensions[0], ...a.dimensions.slice(1)]
    return new SqlArray(a.elementOid, dimensions, a.lowerBounds, items)
  }
  const [outer, inner] = depthA === depthB + 1 ? [a, b] : [b, a]
  if (outer.dimensions.length !== inner.dimensions.length + 1) {
    throw incompatible(`Arrays of ${depthA} and ${depthB} dimensions are not compatible for concatenation.`)
  }
  for (let i = 0; i < inner.dimensions.length; i++) {
    if (outer.dimensions[i + 1] !== inner.dimensions[i] || outer.lowerBounds[i + 1] !== inner.lowerBounds[i]) {
      throw incompatible('Arrays with differing dimensions are not compatible for concatenation.')
    }
  }
  const dimensions = [outer.dimensions[0] + 1, ...outer.dimensions.slice(1)]
  return new SqlArray(a.elementOid, dimensions, outer.lowerBounds, items)
}

/** Position of an item as a subscript; null when absent. */
function positionIn(array: SqlArray | null, item: Value, start: number | null, type: Type): number | null {
  if (array === null || array.dimensions.length === 0) return null
  checkFlat(array, 'searching for elements in multidimensional arrays is not supported')
  if (start === null) throw new DbError('null_value_not_allowed', 'initial position must not be null')
  const lower = array.lowerBounds[0]
  for (let i = Math.max(start - lower, 0); i < array.items.length; i++) {
    if (same(type, array.items[i], item)) return i + lower
  }
  return null
}

function checkFlat(array: SqlArray, message: string): void {
  if (array.dimensions.length > 1) throw new DbError('feature_not_supported', message)
}

/** IS NOT DISTINCT FROM. */
function same(type: Type, a: Value, b: Value): boolean {
  if (a === null || b === null) return a === b
  return type.compare(a, b) === 0
}

function positions(array: SqlArray | null, item: Value, type: Type): SqlArray | null {
  if (array === null) return null
  checkFlat(array, 'searching for elements in multidimensional arrays is not supported')
  const found: number[] = []
  array.items.forEach((value, i) => {
    if (same(type, value, item)) found.push(i + array.lowerBounds[0])
  })
  return arrayOf(23, found)
}

function remove(array: SqlArray | null, item: Value, type: Type): SqlArray | null {
  if (array === null || array.dimensions.length === 0) return array
  checkFlat(array, 'removing elements from multidimensional arrays is not supported')
  const items = array.items.filter((value) => !same(type, value, item))
  if (items.length === array.items.length) return array
  if (items.length === 0) return arrayOf(array.elementOid, [])
  return new SqlArray(array.elementOid, [items.length], array.lowerBounds, items)
}

function replace(array: SqlArray | null, from: Value, to: Value, type: Type): SqlArray | null {
  if (array === null) return null
  const items = array.items.map((value) => (same(type, value, from) ? to : value))
  return new SqlArray(array.elementOid, array.dimensions, array.lowerBounds, items)
}

function dimension(array: SqlArray, n: number): number | undefined {
  return n >= 1 && n <= array.dimensions.length ? n - 1 : undefined
}

/** Keys of the non-null items, for set tests; quicker than comparing each with each. */
function keys(array: SqlArray, type: Type): Set<unknown> {
  const out = new Set<unknown>()
  for (const item of array.items) if (item !== null) out.add(type.key(item))
  return out
}

function contains(a: SqlArray, b: SqlArray, type: Type): boolean {
  if (b.items.includes(null)) return false
  const have = keys(a, type)
  return b.items.every((item) => have.has(type.key(item)))
}

function overlaps(a: SqlArray, b: SqlArray, type: Type): boolean {
  const have = keys(a, type)
  return b.items.some((item) => item !== null && have.has(type.key(item)))
}

function fill(value: Value, sizes: SqlArray | null, bounds: SqlArray | null | undefined, element: number): SqlArray {
  if (sizes === null || bounds === null) {
    throw new DbError('null_value_not_allowed', 'dimension array or low bound array cannot be null')
  }
  if (sizes.dimensions.length > 1 || (bounds?.dimensions.length ?? 0) > 1) {
    throw new DbError('array_subscript_error', 'wrong number of array subscripts', {
      detail: 'Dimension array must be one dimensional.',
    })
  }
  if (sizes.items.includes(null) || bounds?.items.includes(null))
    throw new DbError('null_value_not_allowed', 'dimension values cannot be null')
  if (sizes.items.length > maxDimensions) {
    const message = `number of array dimensions (${sizes.items.length}) exceeds the maximum allowed (${maxDimensions})`
    throw new DbError('program_limit_exceeded', message)
  }
  if (bounds !== undefined && bounds.items.length !== sizes.items.length) {
    throw new DbError('array_subscript_error', 'wrong number of array subscripts', {
      detail: 'Low bound array has different size than dimensions array.',
    })
  }
  const dimensions = sizes.items as number[]
  const count = dimensions.reduce((product, size) => product * size, dimensions.length === 0 ? 0 : 1)
  if (count === 0) return arrayOf(element, [])
  if (count < 0 || count > maxArrayItems) throw tooLarge()
  const lower = bounds === undefined ? dimensions.map(() => 1) : (bounds.items as number[])
  return new SqlArray(element, dimensions, lower, Array(count).fill(value))
}

function trimEnd(array: SqlArray, count: number): SqlArray {
  const length = array.dimensions[0] ?? 0
  if (count < 0 || count > length) {
    throw new DbError('array_subscript_error', `number of elements to trim must be between 0 and ${length}`)
  }
  if (count === length) return arrayOf(array.elementOid, [])
  const each = array.items.length / length
  const dimensions = [length - count, ...array.dimensions.slice(1)]
  return new SqlArray(
    array.elementOid,
    dimensions,
    dimensions.map(() => 1),
    array.items.slice(0, (length - count) * each),
  )
}

/** string_to_array: no delimiter splits into characters, an empty one does not split. */
export function splitText(text: string, delimiter: string | null, nullText: string | null): (string | null)[] {
  if (text === '') return []
  const parts = delimiter === null ? [...text] : delimiter === '' ? [text] : text.split(delimiter)
  return nullText === null ? parts : parts.map((part) => (part === nullText ? null : part))
}

function bucketOf(value: Value, thresholds: SqlArray, type: Type): number {
  if (thresholds.dimensions.length > 1)
    throw new DbError('array_subscript_error', 'thresholds must be one-dimensional array')
  if (thresholds.items.includes(null)) {
    throw new DbError('null_value_not_allowed', 'thresholds array must not contain NULLs')
  }
  let low = 0
  let high = thresholds.items.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (type.compare(value, thresholds.items[middle]) < 0) high = middle
    else low = middle + 1
  }
  return low
}

function joining(withNull: boolean): FunctionMaker {
  return (site, context) => {
    const type = elementType(site, context, 0)
    return (array: SqlArray | null, delimiter: string | null, nullText: string | null) => {
      if (array === null || delimiter === null) return null
      let out = ''
      let first = true
      for (const item of array.items) {
        const text = item !== null ? type.format(item, context) : withNull ? nullText : null
        if (text === null) continue
        out += first ? text : delimiter + text
        first = false
      }
      return out
    }
  }
}

/** Makers that need the element type of argument `position`. */
function withElement(position: number, code: (type: Type) => FunctionCode): FunctionMaker {
  return (site, context) => code(elementType(site, context, position))
}

export const arrayMakers: Record<string, FunctionMaker> = {
  array_append: (site) => (a, item) => append(a, item, site.argTypes[1]),
  array_prepend: (site) => (item, a) => prepend(item, a, site.argTypes[0]),
  array_position: withElement(0, (type) => (a, item) => positionIn(a, item, 1 - 0x80000000, type)),
  array_position_start: withElement(0, (type) => (a, item, start) => positionIn(a, item, start, type)),
  array_positions: withElement(0, (type) => (a, item) => positions(a, item, type)),
  array_remove: withElement(0, (type) => (a, item) => remove(a, item, type)),
  array_replace: withElement(0, (type) => (a, from, to) => replace(a, from, to, type)),
  arraycontains: withElement(0, (type) => (a, b) => contains(a, b, type)),
  arraycontained: withElement(0, (type) => (a, b) => contains(b, a, type)),
  arrayoverlap: withElement(0, (type) => (a, b) => overlaps(a, b, type)),
  array_fill: (site) => (value, sizes) => fill(value, sizes, undefined, site.argTypes[0]),
  array_fill_with_lower_bounds: (site) => (value, sizes, bounds) => fill(value, sizes, bounds, site.argTypes[0]),
  array_to_text: joining(false),
  array_to_text_null: joining(true),
  width_bucket_array: withElement(1, (type) => (value, thresholds) => bucketOf(value, thresholds, type)),
}

export const arrayCode: Record<string, FunctionCode> = {
  array_cat: concatenate,
  array_ndims: (a: SqlArray) => (a.dimensions.length === 0 ? null : a.dimensions.length),
  array_dims: (a: SqlArray) =>
    a.dimensions.length === 0
      ? null
      : a.dimensions.map((size, i) => `[${a.lowerBounds[i]}:${a.lowerBounds[i] + size - 1}]`).join(''),
  array_length(a: SqlArray, n: number) {
    const at = dimension(a, n)
    return at === undefined ? null : a.dimensions[at]
  },
  array_lower(a: SqlArray, n: number) {
    const at = dimension(a, n)
    return at === undefined ? null : a.lowerBounds[at]
  },
  array_upper(a: SqlArray, n: number) {
    const at = dimension(a, n)
    return at === undefined ? null : a.lowerBounds[at] + a.dimensions[at] - 1
  },
  array_cardinality: (a: SqlArray) => a.items.length,
  trim_array: trimEnd,
  text_to_array: (text: string | null, delimiter: string | null) =>
    text === null ? null : arrayOf(textOid, splitText(text, delimiter, null)),
  text_to_array_null: (text: string | null, delimiter: string | null, nullText: string | null) =>
    text === null ? null : arrayOf(textOid, splitText(text, delimiter, nullText)),
}
