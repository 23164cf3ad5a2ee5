/**
 * Aggregates over ordered sets: percentiles and mode, and the ranks that a hypothetical row would have.
 *
 * Not here: the sorting (the executor steps rows in order).
 */
import { DbError } from '../../base/index.ts'
import { SqlArray } from '../types/array.ts'
import { formatFloat8 } from '../types/floats.ts'
import { addIntervals, type Interval, negateInterval } from '../types/interval.ts'
import type { Type, Value } from '../types/type.ts'
import type { AggregateCode } from './function.ts'
import { multiplyInterval } from './interval.ts'

interface Ordered {
  readonly element: number
  readonly values: Value[]
}

function checkFraction(fraction: number): void {
  if (!(fraction >= 0 && fraction <= 1)) {
    const message = `percentile value ${formatFloat8(fraction)} is not between 0 and 1`
    throw new DbError('numeric_value_out_of_range', message)
  }
}

function collecting(finish: (state: Ordered, fraction: number) => Value): AggregateCode<Ordered> {
  return {
    strict: true,
    init: (site) => ({ element: site.argTypes[site.argTypes.length - 1], values: [] }),
    step(state, value) {
      state.values.push(value)
      return state
    },
    finish(state, _context, fraction: number | null) {
      if (fraction === null || fraction === undefined) return null
      checkFraction(fraction)
      return state.values.length === 0 ? null : finish(state, fraction)
    },
  }
}

/** The form that takes an array of fractions and answers an array of the same shape. */
function manyOf(single: AggregateCode<Ordered>): AggregateCode<Ordered> {
  return {
    ...single,
    finish(state, context, fractions: SqlArray | null) {
      if (fractions === null || fractions === undefined || state.values.length === 0) return null
      const items = fractions.items.map((fraction) => single.finish(state, context, fraction))
      return new SqlArray(state.element, fractions.dimensions, fractions.lowerBounds, items)
    },
  }
}

function continuous<T>(between: (low: T, high: T, share: number) => T): AggregateCode<Ordered> {
  return collecting((state, fraction) => {
    const place = fraction * (state.values.length - 1)
    const low = Math.floor(place)
    const high = Math.ceil(place)
    if (low === high) return state.values[low]
    return between(state.values[low], state.values[high], place - low)
  })
}

const discrete = collecting((state, fraction) => {
  const row = Math.ceil(fraction * state.values.length)
  return state.values[Math.max(row, 1) - 1]
})

const continuousFloat = continuous((low: number, high: number, share) => low + share * (high - low))
const continuousInterval = continuous((low: Interval, high: Interval, share) =>
  addIntervals(low, multiplyInterval(addIntervals(high, negateInterval(low)), share)),
)

interface ModeState {
  readonly type: Type
  best: Value
  bestCount: number
  last: Value
  count: number
}

const mode: AggregateCode<ModeState> = {
  strict: true,
  init: (site, context) => ({
    type: context.types.type(site.argTypes[0]),
    best: null,
    bestCount: 0,
    last: null,
    count: 0,
  }),
  step(state, value) {
    if (state.last !== null && state.type.compare(state.last, value) === 0) {
      state.count++
    } else {
      state.last = value
      state.count = 1
    }
    if (state.count > state.bestCount) {
      state.best = state.last
      state.bestCount = state.count
    }
    return state
  },
  finish: (state) => state.best,
}

interface Place {
  rows: number
  before: number
  groupsBefore: number
  peers: number
}

function hypothetical(finish: (place: Place) => number): AggregateCode<Place> {
  return {
    strict: false,
    init: () => ({ rows: 0, before: 0, groupsBefore: 0, peers: 0 }),
    step(state, order: number, differs: boolean) {
      state.rows++
      if (order < 0) {
        state.before++
        if (differs || state.rows === 1) state.groupsBefore++
      } else if (order === 0) {
        state.peers++
      }
      return state
    },
    finish: (state) => finish(state),
  }
}

export const orderedSetCode: Record<string, AggregateCode> = {
  'percentile_cont(float8,float8)': continuousFloat,
  'percentile_cont(float8,interval)': continuousInterval,
  'percentile_cont(_float8,float8)': manyOf(continuousFloat),
  'percentile_cont(_float8,interval)': manyOf(continuousInterval),
  'percentile_disc(float8,anyelement)': discrete,
  'percentile_disc(_float8,anyelement)': manyOf(discrete),
  mode,
  rank: hypothetical((place) => place.before + 1),
  dense_rank: hypothetical((place) => place.groupsBefore + 1),
  percent_rank: hypothetical((place) => (place.rows === 0 ? 0 : place.before / place.rows)),
  cume_dist: hypothetical((place) => (place.before + place.peers + 1) / (place.rows + 1)),
}
