/**
 * SQL's functions of paths: jsonb_path_query and its kin, the operators @? and @@.
 *
 * Not here: running a path (jsonpath.ts).
 */
import { DbError } from '../../base/index.ts'
import { type Jsonb, JsonNull, JsonObject, objectOf } from '../types/jsonb.ts'
import type { JsonPath } from '../types/jsonpath.ts'
import type { FunctionMaker } from './function.ts'
import { type Item, isSuppressed, PathRun, pathError } from './jsonpath.ts'
import { DateTimeItem } from './jsonpath-datetime.ts'

/** One call: what the path finds, lazily, and how errors of the data count. */
interface Search {
  readonly items: Generator<Item>
  readonly strict: boolean
  /** Errors of the data give no answer instead of being raised. */
  readonly silent: boolean
}

const noVariables = objectOf([], [])

/** Variables and silence are optional arguments; the operators are silent and have no variables. */
function making(zoned: boolean, operator: boolean, answer: (search: Search) => unknown): FunctionMaker {
  return (site, context) => {
    const given = site.argTypes.length
    return (root: Jsonb, path: JsonPath, variables: any, silent: any) => {
      const own = operator ? undefined : given > 2 ? checkVariables(variables) : noVariables
      const items = new PathRun(path, root, own, context, zoned).items(path.path, root)
      return answer({ items, strict: path.strict, silent: operator || (given > 3 && silent === true) })
    }
  }
}

function checkVariables(variables: Jsonb): JsonObject {
  if (variables instanceof JsonObject) return variables
  throw new DbError('invalid_parameter_value', '"vars" argument is not an object', {
    detail: 'Jsonpath parameters should be encoded as key-value pairs of "vars" object.',
  })
}

function quietly<T>(silent: boolean, otherwise: T, body: () => T): T {
  if (!silent) return body()
  try {
    return body()
  } catch (error) {
    if (isSuppressed(error)) return otherwise
    throw error
  }
}

/** A result as jsonb: dates become their text. */
function asJsonb(item: Item): Jsonb {
  return item instanceof DateTimeItem ? item.text : item
}

function exists({ items, strict, silent }: Search): boolean | null {
  return quietly<boolean | null>(silent, null, () => {
    let found = false
    for (const _ of items) {
      found = true
      if (!strict) break
    }
    return found
  })
}

function match({ items, silent }: Search): boolean | null {
  return quietly<boolean | null>(silent, null, () => {
    const found = [...items]
    if (found.length === 1) {
      const [item] = found
      if (typeof item === 'boolean') return item
      if (item instanceof JsonNull) return null
    }
    throw pathError('singleton_sql_json_item_required', 'single boolean result is expected')
  })
}

function queryAll({ items, silent }: Search): Jsonb[] {
  return quietly<Jsonb[]>(silent, [], () => [...items].map(asJsonb))
}

export const jsonPathMakers: Record<string, FunctionMaker> = {
  jsonb_path_exists_opr: making(false, true, exists),
  jsonb_path_match_opr: making(false, true, match),
}
export const jsonPathSetMakers: Record<string, FunctionMaker> = {}
for (const [suffix, zoned] of [
  ['', false],
  ['_tz', true],
] as const) {
  jsonPathMakers[`jsonb_path_exists${suffix}`] = making(zoned, false, exists)
  jsonPathMakers[`jsonb_path_match${suffix}`] = making(zoned, false, match)
  jsonPathMakers[`jsonb_path_query_array${suffix}`] = making(zoned, false, queryAll)
  jsonPathMakers[`jsonb_path_query_first${suffix}`] = making(zoned, false, (search) => queryAll(search)[0] ?? null)
  jsonPathSetMakers[`jsonb_path_query${suffix}`] = making(zoned, false, queryAll)
}
