/**
 * Views as JSON, for those who cannot hand over code:
 *
 *   { "name": "per-customer", "version": 1, "key": "/customer",
 *     "aggregates": { "orders": "count", "cents": { "sum": "/cents" }, "last": { "max": "/at" } } }
 *
 * Places in an event's value are JSON pointers (RFC 6901). What is not there, or is not of a type that an aggregate can
 * use, is passed over, as NULL is in SQL. All aggregates are commutative: sums are exact decimals, and `first` and `last`
 * remember which event they are of.
 *
 * Not here: the aggregates (aggregate.ts).
 */
import { DbError } from '../../../base/index.ts'
import { type Aggregate, type AggregateName, aggregates } from './aggregate.ts'
import { checked, type View, type ViewEvent } from './view.ts'

export interface ViewDefinition {
  readonly name: string
  readonly version: number
  /** Name of a store; the only one when absent. */
  readonly store?: string
  /** Pointer to what events are grouped by: a string, number or boolean. One state of all when absent. */
  readonly key?: string
  /** By the name that readers get: "count", or an aggregate's name with a pointer. */
  readonly aggregates: Readonly<Record<string, 'count' | Partial<Readonly<Record<AggregateName, string>>>>>
}

/** Errors: invalid_parameter_value, which says what is wrong and where. */
export function viewFromDefinition(json: unknown): View {
  const definition = validated(json)
  const keyAt = definition.key === undefined ? undefined : pointer(definition.key)
  const parts = Object.entries(definition.aggregates).map(([name, spec]) => {
    const [[kind, at]] = spec === 'count' ? [['count', undefined] as const] : Object.entries(spec)
    return {
      name,
      aggregate: aggregates[kind as AggregateName] as Aggregate<any>,
      at: at === undefined ? undefined : pointer(at),
    }
  })
  type State = Record<string, any>
  const fold = (step: 'add' | 'remove') => (state: State, event: ViewEvent<unknown>) => {
    const value = jsonOf(event)
    for (const { name, aggregate, at } of parts) {
      const found = at === undefined ? true : at(value)
      if (found !== undefined && found !== null) state[name] = aggregate[step]!(state[name], found, event.key)
    }
    return state
  }
  return checked<State, State>({
    name: definition.name,
    version: definition.version,
    keyed: keyAt !== undefined,
    commutative: true,
    initial: () => Object.fromEntries(parts.map(({ name, aggregate }) => [name, aggregate.empty()])),
    result: (state) => Object.fromEntries(parts.map(({ name, aggregate }) => [name, aggregate.result(state[name])])),
    streams: [
      {
        store: definition.store,
        key: keyAt && ((event) => keyText(keyAt(jsonOf(event)))),
        reduce: fold('add'),
        retract: parts.every((p) => p.aggregate.remove !== undefined) ? fold('remove') : undefined,
      },
    ],
    definition,
  })
}

/** No code can be put right here: an event that is no JSON is one in which nothing is found. */
function jsonOf(event: ViewEvent<unknown>): unknown {
  try {
    return event.value instanceof Uint8Array ? undefined : event.value
  } catch {
    return undefined
  }
}

const longestKey = 340

function keyText(value: unknown): string | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return typeof value === 'string' && value.length <= longestKey ? value : undefined
}

function pointer(text: string): (value: unknown) => unknown {
  const path = text
    .split('/')
    .slice(1)
    .map((p) => p.replaceAll('~1', '/').replaceAll('~0', '~'))
  return (value) => {
    for (const step of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
      value = (value as Record<string, unknown>)[step]
    }
    return value
  }
}

const members = ['name', 'version', 'store', 'key', 'aggregates']

function validated(json: unknown): ViewDefinition {
  const wrong = (what: string, hint: string) =>
    new DbError('invalid_parameter_value', `the definition of the view: ${what}`, { hint })
  const object = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!object(json)) throw wrong('it is no JSON object', `Give an object with ${members.join(', ')}.`)
  const unknown = Object.keys(json).find((name) => !members.includes(name))
  if (unknown !== undefined) throw wrong(`unknown member "${unknown}"`, `Members are ${members.join(', ')}.`)
  const { name, version, store, key, aggregates: specs } = json
  if (typeof name !== 'string') throw wrong('"name" is no string', 'Name the view.')
  if (typeof version !== 'number') throw wrong('"version" is no number', 'Begin with version 1.')
  if (store !== undefined && typeof store !== 'string') throw wrong('"store" is no string', 'Name a store.')
  const pointing = (value: unknown, where: string) => {
    if (typeof value === 'string' && /^(\/([^~/]|~[01])*)*$/.test(value)) return
    throw wrong(`${where} is no JSON pointer`, 'Pointers look like "/customer" or "/lines/0/price" (RFC 6901).')
  }
  if (key !== undefined) pointing(key, '"key"')
  if (!object(specs) || Object.keys(specs).length === 0) {
    throw wrong(
      '"aggregates" is no object with members',
      'For example { "orders": "count", "cents": { "sum": "/cents" } }.',
    )
  }
  for (const [as, spec] of Object.entries(specs)) {
    if (as === '__proto__') throw wrong('an aggregate cannot be named "__proto__"', 'Choose another name.')
    if (spec === 'count') continue
    const kinds = object(spec) ? Object.entries(spec) : []
    if (kinds.length !== 1 || !Object.hasOwn(aggregates, kinds[0][0])) {
      throw wrong(
        `aggregate "${as}" is not one`,
        `It is "count", or an object with one of ${Object.keys(aggregates).join(', ')} and a JSON pointer.`,
      )
    }
    pointing(kinds[0][1], `"${kinds[0][0]}" of aggregate "${as}"`)
  }
  return { name, version, store, key, aggregates: specs } as ViewDefinition
}
