/**
 * Runs SQL/JSON paths over jsonb.
 *
 * A path is a pipeline of generators, so that a search for one item does no more than it must. In lax mode accessors
 * open arrays where an object or scalar is wanted, wrap scalars where an array is, and swallow structural errors.
 * Predicates know three values; null is "unknown".
 * Not here: syntax (types/jsonpath-parser.ts), SQL's functions (jsonpath-functions.ts).
 */
import { DbError, type ErrorCode } from '../../base/index.ts'
import { compareText } from '../types/code-points.ts'
import { parseFloatText } from '../types/floats.ts'
import { type Jsonb, JsonNull, JsonObject, jsonNull, kindOf, objectOf } from '../types/jsonb.ts'
import type { ComparisonOperator, JsonPath, Path, PathHead, PathMethod, PathStep } from '../types/jsonpath.ts'
import {
  add,
  ceiling,
  compareNumeric,
  divide,
  floor,
  fromFloat,
  fromInteger,
  isFiniteNumeric,
  multiply,
  Numeric,
  negate,
  remainder,
  subtract,
  toFloat,
  truncate,
} from '../types/numeric.ts'
import type { TypeContext } from '../types/type.ts'
import { compareDateTimes, DateTimeItem, readDateTime } from './jsonpath-datetime.ts'
import { compileRegexp, xqueryFlags } from './regexp-match.ts'

/** What flows through a path: documents, and dates made by .datetime(). */
export type Item = Jsonb | DateTimeItem
type Truth = boolean | null

export function pathError(code: ErrorCode, message: string): DbError {
  return new DbError(code, message)
}

export class PathRun {
  readonly #strict: boolean
  readonly #root: Jsonb
  /** Undefined for the operators @? and @@, which have none to give: any is null there. */
  readonly #variables: JsonObject | undefined
  readonly #context: TypeContext
  readonly #zoned: boolean
  /** What `last` means: the length of the array being subscripted. */
  #length = -1

  constructor(path: JsonPath, root: Jsonb, variables: JsonObject | undefined, context: TypeContext, zoned: boolean) {
    this.#strict = path.strict
    this.#root = root
    this.#variables = variables
    this.#context = context
    this.#zoned = zoned
  }

  *items(path: Path, current: Item): Generator<Item> {
    yield* this.#from(path, 0, current)
  }

  /** Items of a path, from its head on. */
  *#from(path: Path, step: number, current: Item): Generator<Item> {
    for (const item of this.#head(path.head, current)) yield* this.#steps(path.steps, step, item)
  }

  *#steps(steps: readonly PathStep[], at: number, item: Item): Generator<Item> {
    if (at === steps.length) {
      yield item
      return
    }
    for (const next of this.#step(steps[at], item, !this.#strict)) yield* this.#steps(steps, at + 1, next)
  }

  *#head(head: PathHead, current: Item): Generator<Item> {
    switch (head.kind) {
      case 'root':
        yield this.#root
        return
      case 'current':
        yield current
        return
      case 'null':
        yield jsonNull
        return
      case 'true':
      case 'false':
        yield head.kind === 'true'
        return
      case 'string':
        yield head.text
        return
      case 'number':
        yield head.value
        return
      case 'last':
        yield fromInteger(this.#length - 1)
        return
      case 'variable':
        yield this.#variable(head.name)
        return
      case 'arithmetic':
        yield this.#arithmetic(head.operator, head.left, head.right, current)
        return
      case 'sign':
        for (const item of this.#opened(head.argument, current)) {
          if (!(item instanceof Numeric)) {
            throw pathError(
              'sql_json_number_not_found',
              `operand of unary jsonpath operator ${head.operator} is not a numeric value`,
            )
          }
          yield head.operator === '-' ? negate(item) : item
        }
        return
      default: {
        const truth = this.#truth(head, current)
        yield truth === null ? jsonNull : truth
      }
    }
  }

  #variable(name: string): Jsonb {
    if (this.#variables === undefined) return jsonNull
    const value = this.#variables.get(name)
    if (value === undefined) throw new DbError('undefined_object', `could not find jsonpath variable "${name}"`)
    return value
  }

  /** Items of an operand; in lax mode arrays are opened. */
  *#opened(path: Path, current: Item): Generator<Item> {
    for (const item of this.#from(path, 0, current)) {
      if (!this.#strict && Array.isArray(item)) yield* item
      else yield item
    }
  }

  #arithmetic(operator: string, left: Path, right: Path, current: Item): Numeric {
    const a = this.#operand(left, current, 'left', operator)
    const b = this.#operand(right, current, 'right', operator)
    switch (operator) {
      case '+':
        return add(a, b)
      case '-':
        return subtract(a, b)
      case '*':
        return multiply(a, b)
      case '/':
        return divide(a, b)
      default:
        return remainder(a, b)
    }
  }

  #operand(path: Path, current: Item, side: string, operator: string): Numeric {
    const found = [...this.#opened(path, current)]
    if (found.length !== 1 || !(found[0] instanceof Numeric)) {
      const message = `${side} operand of jsonpath operator ${operator} is not a single numeric value`
      throw pathError('singleton_sql_json_item_required', message)
    }
    return found[0]
  }

  /** One step from one item; `open`: an array where no array is wanted stands for its elements. */
  *#step(step: PathStep, item: Item, open: boolean): Generator<Item> {
    switch (step.kind) {
      case 'key':
        yield* this.#key(step.name, item, open)
        return
      case 'anyKey':
        yield* this.#anyKey(item, open)
        return
      case 'anyElement':
        if (Array.isArray(item)) yield* item
        else if (!this.#strict) yield item
        else
          throw pathError(
            'sql_json_array_not_found',
            'jsonpath wildcard array accessor can only be applied to an array',
          )
        return
      case 'elements':
        yield* this.#elements(step, item)
        return
      case 'descendants':
        yield* this.#descendants(step.from, step.to, item)
        return
      case 'filter':
        if (open && Array.isArray(item)) {
          for (const element of item) if (this.#test(step.condition, element) === true) yield element
        } else if (this.#test(step.condition, item) === true) {
          yield item
        }
        return
      case 'datetime':
        yield* this.#each(item, open, (one) => this.#datetime(step.template, one))
        return
      default:
        yield* this.#method(step.name, item, open)
    }
  }

  *#each(item: Item, open: boolean, apply: (item: Item) => Item): Generator<Item> {
    if (open && Array.isArray(item)) for (const element of item) yield apply(element)
    else yield apply(item)
  }

  *#key(name: string, item: Item, open: boolean): Generator<Item> {
    if (item instanceof JsonObject) {
      const value = item.get(name)
      if (value !== undefined) yield value
      else if (this.#strict) throw pathError('sql_json_member_not_found', `JSON object does not contain key "${name}"`)
    } else if (open && Array.isArray(item)) {
      for (const element of item) yield* this.#key(name, element, false)
    } else if (this.#strict) {
      throw pathError('sql_json_member_not_found', 'jsonpath member accessor can only be applied to an object')
    }
  }

  *#anyKey(item: Item, open: boolean): Generator<Item> {
    if (item instanceof JsonObject) yield* item.values
    else if (open && Array.isArray(item)) for (const element of item) yield* this.#anyKey(element, false)
    else if (this.#strict) {
      throw pathError('sql_json_object_not_found', 'jsonpath wildcard member accessor can only be applied to an object')
    }
  }

  *#elements(step: PathStep & { kind: 'elements' }, item: Item): Generator<Item> {
    if (!Array.isArray(item) && this.#strict) {
      throw pathError('sql_json_array_not_found', 'jsonpath array accessor can only be applied to an array')
    }
    const list = Array.isArray(item) ? item : [item as Jsonb]
    const outer = this.#length
    for (const { from, to } of step.ranges) {
      this.#length = list.length
      const first = this.#index(from, item)
      const last = to === undefined ? first : this.#index(to, item)
      this.#length = outer
      if (this.#strict && (first < 0 || first > last || last >= list.length)) {
        throw pathError('invalid_sql_json_subscript', 'jsonpath array subscript is out of bounds')
      }
      for (let i = Math.max(first, 0); i <= last && i < list.length; i++) yield list[i]
    }
  }

  #index(path: Path, current: Item): number {
    const found = [...this.#from(path, 0, current)]
    if (found.length !== 1 || !(found[0] instanceof Numeric)) {
      throw pathError('invalid_sql_json_subscript', 'jsonpath array subscript is not a single numeric value')
    }
    const index = toFloat(truncate(found[0], 0))
    if (Math.abs(index) > 0x7fffffff) {
      throw pathError('invalid_sql_json_subscript', 'jsonpath array subscript is out of integer range')
    }
    return index
  }

  /** All below an item, parents first, between two levels; Infinity as `from` means the leaves. */
  *#descendants(from: number, to: number, item: Item): Generator<Item> {
    const deepest = from === Number.POSITIVE_INFINITY
    const open: { readonly item: Item; readonly level: number }[] = [{ item, level: 0 }]
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const { item: here, level } = at
      const children = here instanceof JsonObject ? here.values : Array.isArray(here) ? here : []
      if (deepest ? children.length === 0 : level >= from && level <= to) yield here
      if (level >= to && !deepest) continue
      for (let i = children.length - 1; i >= 0; i--) open.push({ item: children[i], level: level + 1 })
    }
  }

  *#method(name: PathMethod, item: Item, open: boolean): Generator<Item> {
    switch (name) {
      case 'type':
        yield item instanceof DateTimeItem ? item.typeName : kindOf(item)
        return
      case 'size':
        if (Array.isArray(item)) yield fromInteger(item.length)
        else if (!this.#strict) yield fromInteger(1)
        else throw pathError('sql_json_array_not_found', 'jsonpath item method .size() can only be applied to an array')
        return
      case 'keyvalue':
        yield* this.#keyValue(item, open)
        return
      case 'double':
        yield* this.#each(item, open, toDouble)
        return
      default:
        yield* this.#each(item, open, (one) => numberMethod(name, one))
    }
  }

  *#keyValue(item: Item, open: boolean): Generator<Item> {
    if (open && Array.isArray(item)) {
      for (const element of item) yield* this.#keyValue(element, false)
      return
    }
    if (!(item instanceof JsonObject)) {
      throw pathError('sql_json_object_not_found', 'jsonpath item method .keyvalue() can only be applied to an object')
    }
    for (let i = 0; i < item.keys.length; i++) {
      yield objectOf(['id', 'key', 'value'], [fromInteger(0), item.keys[i], item.values[i]])
    }
  }

  #datetime(template: string | undefined, item: Item): DateTimeItem {
    if (typeof item !== 'string') {
      const message = 'jsonpath item method .datetime() can only be applied to a string'
      throw pathError('invalid_argument_for_sql_json_datetime_function', message)
    }
    return readDateTime(item, template, this.#context)
  }

  #test(condition: Path, current: Item): Truth {
    return this.#truth(condition.head, current)
  }

  #truth(head: PathHead, current: Item): Truth {
    switch (head.kind) {
      case 'and': {
        const left = this.#test(head.left, current)
        if (left === false) return false
        const right = this.#test(head.right, current)
        return right === true ? left : right
      }
      case 'or': {
        const left = this.#test(head.left, current)
        if (left === true) return true
        const right = this.#test(head.right, current)
        return right === false ? left : right
      }
      case 'not': {
        const argument = this.#test(head.argument, current)
        return argument === null ? null : !argument
      }
      case 'unknown':
        return this.#test(head.argument, current) === null
      case 'exists':
        return this.#exists(head.argument, current)
      case 'compare':
        return this.#some(head.left, head.right, current, (a, b) => this.#compare(head.operator, a, b))
      case 'starts':
        return this.#some(head.left, head.right, current, (a, b) =>
          typeof a === 'string' && typeof b === 'string' ? a.startsWith(b) : null,
        )
      case 'regex': {
        const regexp = compileRegexp(head.pattern, xqueryFlags(head.flags))
        return this.#some(head.argument, undefined, current, (a) => (typeof a === 'string' ? regexp.test(a) : null))
      }
      default:
        return null
    }
  }

  #exists(path: Path, current: Item): Truth {
    try {
      let found = false
      for (const _ of this.#from(path, 0, current)) {
        found = true
        if (!this.#strict) return true
      }
      return found
    } catch (error) {
      if (isSuppressed(error)) return null
      throw error
    }
  }

  /** True when the test holds for some pair; in strict mode an error or an unknown pair makes all unknown. */
  #some(left: Path, right: Path | undefined, current: Item, test: (a: Item, b: Item) => Truth): Truth {
    try {
      const others = right === undefined ? [jsonNull] : [...this.#opened(right, current)]
      let found = false
      let unknown = false
      for (const a of this.#opened(left, current)) {
        for (const b of others) {
          const truth = test(a, b)
          if (truth === null) {
            if (this.#strict) return null
            unknown = true
          } else if (truth) {
            if (!this.#strict) return true
            found = true
          }
        }
      }
      return found ? true : unknown ? null : false
    } catch (error) {
      if (isSuppressed(error)) return null
      throw error
    }
  }

  #compare(operator: ComparisonOperator, a: Item, b: Item): Truth {
    if (a instanceof DateTimeItem && b instanceof DateTimeItem) {
      const order = compareDateTimes(a, b, this.#zoned, this.#context)
      return order === null ? null : holds(operator, order)
    }
    if (a instanceof DateTimeItem || b instanceof DateTimeItem) return null
    const kind = kindOf(a)
    if (kind !== kindOf(b)) {
      if (a instanceof JsonNull || b instanceof JsonNull) return operator === '<>'
      return null
    }
    switch (kind) {
      case 'null':
        return holds(operator, 0)
      case 'boolean':
        return holds(operator, Number(a) - Number(b))
      case 'number':
        return holds(operator, compareNumeric(a as Numeric, b as Numeric))
      case 'string':
        return holds(operator, compareText(a as string, b as string))
      default:
        return null
    }
  }
}

function holds(operator: ComparisonOperator, order: number): boolean {
  switch (operator) {
    case '==':
      return order === 0
    case '<>':
      return order !== 0
    case '<':
      return order < 0
    case '<=':
      return order <= 0
    case '>':
      return order > 0
    default:
      return order >= 0
  }
}

function toDouble(item: Item): Item {
  if (item instanceof Numeric) {
    if (!Number.isFinite(toFloat(item))) {
      const message = 'numeric argument of jsonpath item method .double() is out of range for type double precision'
      throw pathError('non_numeric_sql_json_item', message)
    }
    return item
  }
  if (typeof item !== 'string') {
    const message = 'jsonpath item method .double() can only be applied to a string or numeric value'
    throw pathError('non_numeric_sql_json_item', message)
  }
  try {
    const value = fromFloat(parseFloatText(item, false), 15)
    if (isFiniteNumeric(value)) return value
  } catch (error) {
    if (!(error instanceof DbError)) throw error
  }
  const message =
    'string argument of jsonpath item method .double() is not a valid representation of a double precision number'
  throw pathError('non_numeric_sql_json_item', message)
}

function numberMethod(name: 'abs' | 'floor' | 'ceiling', item: Item): Numeric {
  if (!(item instanceof Numeric)) {
    const message = `jsonpath item method .${name}() can only be applied to a numeric value`
    throw pathError('non_numeric_sql_json_item', message)
  }
  if (name === 'floor') return floor(item)
  if (name === 'ceiling') return ceiling(item)
  return item.coefficient < 0 ? negate(item) : item
}

/** Errors of the data, which silent mode and predicates turn into unknown. */
export function isSuppressed(error: unknown): boolean {
  if (!(error instanceof DbError)) return false
  return error.sqlstate.startsWith('22')
}
