/**
 * Window functions. Each asks the partition, by row number, for what it needs.
 *
 * Not here: partitions and frames (the executor), aggregates used as window functions (aggregates*.ts).
 */
import { DbError } from '../../base/index.ts'
import type { CallSite, WindowCode, WindowPartition } from './function.ts'

const rowNumber: WindowCode = { init: () => undefined, value: (p) => p.current + 1 }
const rank: WindowCode = { init: () => undefined, value: (p) => p.peersStart + 1 }

interface DenseRank {
  groups: number
  start: number
}

const denseRank: WindowCode<DenseRank> = {
  init: () => ({ groups: 0, start: -1 }),
  value(p, state) {
    if (p.peersStart !== state.start) {
      state.groups++
      state.start = p.peersStart
    }
    return state.groups
  },
}

const percentRank: WindowCode = {
  init: () => undefined,
  value: (p) => (p.rows <= 1 ? 0 : p.peersStart / (p.rows - 1)),
}

const cumulativeDistribution: WindowCode = { init: () => undefined, value: (p) => p.peersEnd / p.rows }

/** The first rows % buckets buckets get one row more. */
const ntile: WindowCode = {
  init: () => undefined,
  value(p) {
    const buckets = p.argument(0, p.current) as number | null
    if (buckets === null) return null
    if (buckets <= 0) {
      throw new DbError('invalid_argument_for_ntile_function', 'argument of ntile must be greater than zero')
    }
    const size = Math.floor(p.rows / buckets)
    const larger = p.rows % buckets
    if (p.current < larger * (size + 1)) return Math.floor(p.current / (size + 1)) + 1
    return larger + Math.floor((p.current - larger * (size + 1)) / size) + 1
  },
}

/** lag and lead: the value some rows away, else the default. */
function shifted(direction: 1 | -1): WindowCode<CallSite> {
  return {
    init: (site) => site,
    value(p, site) {
      const count = site.argTypes.length
      const offset = count > 1 ? (p.argument(1, p.current) as number | null) : 1
      if (offset === null) return null
      const row = p.current + direction * offset
      if (row >= 0 && row < p.rows) return p.argument(0, row)
      return count > 2 ? p.argument(2, p.current) : null
    },
  }
}

const firstValue: WindowCode = {
  init: () => undefined,
  value: (p) => (p.frameRows === 0 ? null : p.argument(0, p.frameRow(0))),
}

const lastValue: WindowCode = {
  init: () => undefined,
  value: (p) => (p.frameRows === 0 ? null : p.argument(0, p.frameRow(p.frameRows - 1))),
}

function nth(p: WindowPartition): number | null {
  const n = p.argument(1, p.current) as number | null
  if (n !== null && n <= 0) {
    throw new DbError('invalid_argument_for_nth_value_function', 'argument of nth_value must be greater than zero')
  }
  return n
}

const nthValue: WindowCode = {
  init: () => undefined,
  value(p) {
    const n = nth(p)
    return n === null || n > p.frameRows ? null : p.argument(0, p.frameRow(n - 1))
  },
}

/** By prosrc. */
export const windowCode: Record<string, WindowCode> = {
  window_row_number: rowNumber,
  window_rank: rank,
  window_dense_rank: denseRank,
  window_percent_rank: percentRank,
  window_cume_dist: cumulativeDistribution,
  window_ntile: ntile,
  window_lag: shifted(-1),
  window_lag_with_offset: shifted(-1),
  window_lag_with_offset_and_default: shifted(-1),
  window_lead: shifted(1),
  window_lead_with_offset: shifted(1),
  window_lead_with_offset_and_default: shifted(1),
  window_first_value: firstValue,
  window_last_value: lastValue,
  window_nth_value: nthValue,
}
