/**
 * A view: the state that a program's own code makes of the events of one or several stores, kept up to date.
 *
 *   view<Order>()({ name: 'total', version: 1, initial: 0, reduce: (sum, e) => sum + e.value.cents, commutative: true })
 *   view<Order>()({ name: 'per-customer', version: 1, key: (e) => e.value.customer,
 *                   initial: () => ({ orders: 0 }), reduce: (state) => ({ orders: state.orders + 1 }) })
 *   join<{ orders: Order; shipments: Shipment }>()({ name: 'open', version: 1, initial: () => ({ … }),
 *                   streams: { orders: { key: …, reduce: … }, shipments: { key: …, reduce: … } } })
 *
 * A reducer sees the events of its key in the order in which they happened (of their keys, which begin with the time),
 * whenever they came; what comes late makes the view fold again from the last snapshot before it. Where the order makes
 * no difference (`commutative`), a late event is simply folded in.
 *
 * Not here: folding (builder.ts), where states live (build-space.ts), views as JSON (definition.ts).
 */
import { DbError } from '../../../base/index.ts'
import { jsonText } from './json-text.ts'

/** An event as reducers see it. */
export interface ViewEvent<T> {
  readonly key: string
  /** When it happened: milliseconds since the Unix epoch, from the key. */
  readonly atMs: number
  /** Its position in the store. Differs between stores: a state that must be the same everywhere leaves it alone. */
  readonly position: number
  /** Hybrid timestamp, microseconds. */
  readonly timestamp: number
  readonly origin: string
  readonly contentType: string
  readonly bytes: Uint8Array
  /** JSON when the content type is one of JSON, otherwise the bytes. Parsed when first asked for; throws when malformed. */
  readonly value: T
}

/** What a view does with the events of one store. */
export interface ViewStream<T, S> {
  /** Name of the store. Absent: the only one that there is; of a join: the name of the stream. */
  readonly store?: string
  /**
   * Which of the view's states the event belongs to, at most 1 KiB as UTF-8; undefined when it concerns none. That there
   * was such a key is known even after its events were erased.
   */
  readonly key?: (event: ViewEvent<T>) => string | undefined
  /**
   * The state after the event. The given state may be changed and returned: it is the reducer's alone. Must depend on
   * nothing but its arguments, and return JSON (null, booleans, finite numbers, strings, arrays, plain objects).
   */
  readonly reduce: (state: S, event: ViewEvent<T>) => S
  /**
   * The state as if the event had never been, for erased events of commutative views: without it they fold again. The
   * view keeps a copy of its events' values for that, until they are erased.
   */
  readonly retract?: (state: S, event: ViewEvent<T>) => S
}

export interface View<S = any, A = any> {
  readonly name: string
  /** A positive integer; the view is made anew when it changes. Raise it with every change of the code's meaning. */
  readonly version: number
  /** One state a key, or one of all. */
  readonly keyed: boolean
  /** Reducers give the same state in whatever order they get the events. */
  readonly commutative: boolean
  /** The state before any event; fresh at each call. */
  readonly initial: () => S
  readonly streams: readonly ViewStream<any, S>[]
  /** What readers get of a state; the state itself when absent. Returns JSON. */
  readonly result?: (state: S) => A
  /** The text of which the view was made, when it was (definition.ts). */
  readonly definition?: unknown
}

interface Shape<S, A> {
  readonly name: string
  readonly version: number
  /** A value, or a function that makes one. */
  readonly initial: S | (() => S)
  readonly commutative?: boolean
  readonly result?: (state: S) => A
}

/** A view of one store's events, whose values are `T`. Errors: invalid_parameter_value. */
export function view<T>() {
  return <S, A = S>(shape: Shape<S, A> & ViewStream<T, S>): View<S, A> =>
    checked({
      ...described(shape),
      keyed: shape.key !== undefined,
      streams: [{ store: shape.store, key: shape.key, reduce: shape.reduce, retract: shape.retract }],
    })
}

/**
 * A view of several streams, which meet in one state a key: `T` has the type of each stream's values. Streams may be of
 * one store, too. Errors: invalid_parameter_value.
 */
export function join<T extends Record<string, unknown>>() {
  return <S, A = S>(
    shape: Shape<S, A> & { readonly streams: { readonly [N in keyof T]: ViewStream<T[N], S> } },
  ): View<S, A> => {
    const streams = Object.entries(shape.streams).map(([store, stream]) => ({
      store,
      ...(stream as ViewStream<any, S>),
    }))
    return checked({ ...described(shape), keyed: streams.some((s) => s.key !== undefined), streams })
  }
}

function described<S, A>(shape: Shape<S, A>) {
  const { name, version, initial, commutative, result } = shape
  const make = typeof initial === 'function' ? (initial as () => S) : () => structuredClone(initial)
  return { name, version, commutative: commutative ?? false, initial: make, result }
}

/** Streams are numbered with one character in keys. */
const maxStreams = 10

/** The view itself, when it can be one. Errors: invalid_parameter_value. */
export function checked<S, A>(view: View<S, A>): View<S, A> {
  const wrong = (what: string, hint: string) =>
    new DbError('invalid_parameter_value', `view "${view.name}": ${what}`, { hint })
  if (typeof view.name !== 'string' || !/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(view.name))
    throw wrong('not a name', 'Use 1 to 128 letters, digits, "_", "-" and ".", beginning with a letter, digit or "_".')
  if (!Number.isSafeInteger(view.version) || view.version < 1)
    throw wrong(`version ${view.version}`, 'Versions are integers from 1 upwards.')
  if (view.streams.length === 0 || view.streams.length > maxStreams)
    throw wrong(`${view.streams.length} streams`, `A view has 1 to ${maxStreams} streams.`)
  try {
    jsonText(view.initial())
  } catch (error) {
    throw wrong(`its initial state: ${(error as Error).message}`, 'States are JSON; so is the initial one.')
  }
  for (const stream of view.streams) {
    if (typeof stream.reduce !== 'function') throw wrong('no reducer', 'Give each stream a function `reduce`.')
    if ((stream.key !== undefined) !== view.keyed)
      throw wrong('streams with and without a key', 'Give all streams of a join a function `key`, or none.')
    if (stream.retract !== undefined && !view.commutative)
      throw wrong('`retract` in a view that is not commutative', 'Leave it out, or declare the view commutative.')
  }
  return view
}
