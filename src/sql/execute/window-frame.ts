/**
 * Which rows of a partition are a row's peers and its frame. Rows are asked about in their order, so bounds that depend
 * on values only ever move forward; to go back to an earlier row starts them anew.
 *
 * Not here: what is computed over a frame (window.ts).
 */
import { DbError } from '../../base/index.ts'
import type { Frame } from '../query.ts'
import type { Value } from '../types/type.ts'
import type { Eval, Execution } from './execution.ts'
import type { SortKey } from './sort.ts'
import type { PartitionRows } from './window-rows.ts'

/** Groups of rows that are equal in the window's order: where each begins. */
export class PeerGroups {
  #starts = new Int32Array(16)
  #count = 0
  #last = 0

  add(firstRow: number): void {
    if (this.#count === this.#starts.length) {
      const larger = new Int32Array(this.#count * 2)
      larger.set(this.#starts)
      this.#starts = larger
    }
    this.#starts[this.#count++] = firstRow
  }
  get count(): number {
    return this.#count
  }
  /** Bytes kept. */
  get bytes(): number {
    return this.#starts.byteLength
  }
  start(group: number): number {
    return this.#starts[group]
  }
  /** @param rows of the partition. */
  end(group: number, rows: number): number {
    return group + 1 < this.#count ? this.#starts[group + 1] : rows
  }
  of(row: number): number {
    const starts = this.#starts
    const next = this.#last + 1
    if (row >= starts[this.#last]) {
      if (next >= this.#count || row < starts[next]) return this.#last
      if (next + 1 >= this.#count || row < starts[next + 1]) {
        this.#last = next
        return next
      }
    }
    let low = 0
    let high = this.#count - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (starts[middle] <= row) low = middle
      else high = middle - 1
    }
    this.#last = low
    return low
  }
}

type InRange = (...args: any[]) => boolean

export interface FrameOptions {
  readonly frame: Frame
  readonly order: readonly SortKey[]
  readonly startOffset: Eval | undefined
  readonly endOffset: Eval | undefined
  /** RANGE offsets: in_range(value, base, offset, sub, less). */
  readonly startInRange: InRange | undefined
  readonly endInRange: InRange | undefined
}

/** How far the search for a bound has come. */
interface Pointer {
  row: number
  at: number
}

export class Frames {
  readonly #options: FrameOptions
  readonly #x: Execution
  readonly #rows: PartitionRows
  readonly #orderAt: number
  readonly #peers: PeerGroups
  readonly #startOffset: Value
  readonly #endOffset: Value
  readonly #startPointer: Pointer = { row: 0, at: 0 }
  readonly #endPointer: Pointer = { row: 0, at: 0 }

  /** @param orderAt where in a row the value stands that RANGE offsets are relative to. */
  constructor(options: FrameOptions, x: Execution, rows: PartitionRows, orderAt: number, peers: PeerGroups) {
    this.#options = options
    this.#x = x
    this.#rows = rows
    this.#orderAt = orderAt
    this.#peers = peers
    this.#startOffset = this.#offset(options.startOffset, 'starting')
    this.#endOffset = this.#offset(options.endOffset, 'ending')
  }
  get excludes(): boolean {
    return this.#options.frame.exclude !== 'none'
  }
  peersStart(row: number): number {
    return this.#peers.start(this.#peers.of(row))
  }
  peersEnd(row: number): number {
    return this.#peers.end(this.#peers.of(row), this.#rows.count)
  }
  #offset(e: Eval | undefined, which: string): Value {
    if (e === undefined) return undefined
    const value = e(this.#x)
    if (value === null) throw new DbError('null_value_not_allowed', `frame ${which} offset must not be null`)
    if (this.#options.frame.mode !== 'range' && value < 0) {
      throw new DbError('invalid_preceding_or_following_size', `frame ${which} offset must not be negative`)
    }
    return value
  }
  start(row: number): number {
    return this.#bound(row, this.#options.frame.start, true)
  }
  end(row: number): number {
    return this.#bound(row, this.#options.frame.end, false)
  }
  #bound(row: number, bound: Frame['start'], isStart: boolean): number {
    const { mode } = this.#options.frame
    const count = this.#rows.count
    switch (bound.kind) {
      case 'unbounded preceding':
        return 0
      case 'unbounded following':
        return count
      case 'current':
        if (mode === 'rows') return isStart ? row : row + 1
        return isStart ? this.peersStart(row) : this.peersEnd(row)
    }
    const offset = isStart ? this.#startOffset : this.#endOffset
    const preceding = bound.kind === 'preceding'
    if (mode === 'rows') {
      const at = preceding ? row - Number(offset) : row + Number(offset)
      return Math.min(count, Math.max(0, isStart ? at : at + 1))
    }
    if (mode === 'groups') {
      const group = this.#peers.of(row) + (preceding ? -Number(offset) : Number(offset))
      const wanted = isStart ? group : group + 1
      if (wanted < 0) return 0
      return wanted >= this.#peers.count ? count : this.#peers.start(wanted)
    }
    return this.#rangeBound(row, preceding, offset, isStart)
  }
  #rangeBound(row: number, preceding: boolean, offset: Value, isStart: boolean): number {
    const { startInRange, endInRange, order } = this.#options
    const inRange = (isStart ? startInRange : endInRange)!
    const at = this.#orderAt
    const base = this.#rows.get(this.#x, row)[at]
    if (base === null) return isStart ? this.peersStart(row) : this.peersEnd(row)
    const [{ descending, nullsFirst }] = order
    const count = this.#rows.count
    const sub = preceding !== descending
    const less = isStart ? descending : !descending
    // Values in order: for a start, skip those before base ± offset; for an end, take those up to it.
    const pointer = isStart ? this.#startPointer : this.#endPointer
    if (row < pointer.row) pointer.at = 0
    pointer.row = row
    for (; pointer.at < count; pointer.at++) {
      const value = this.#rows.get(this.#x, pointer.at)[at]
      if (value === null) {
        if (nullsFirst) continue
        break
      }
      const inside = inRange(value, base, offset, sub, less, this.#x.types)
      if (isStart ? inside : !inside) break
    }
    return pointer.at
  }
  /** Whether EXCLUDE takes a row out of another one's frame. */
  excluded(row: number, other: number): boolean {
    switch (this.#options.frame.exclude) {
      case 'current':
        return other === row
      case 'group':
        return other >= this.peersStart(row) && other < this.peersEnd(row)
      case 'ties':
        return other !== row && other >= this.peersStart(row) && other < this.peersEnd(row)
      default:
        return false
    }
  }
  /** How many rows a row's frame has, exclusions left out. */
  rows(row: number): number {
    const from = this.start(row)
    const to = Math.max(from, this.end(row))
    if (!this.excludes) return to - from
    let n = 0
    for (let i = from; i < to; i++) if (!this.excluded(row, i)) n++
    return n
  }
  /** The n-th row of a row's frame. */
  row(row: number, n: number): number {
    const from = this.start(row)
    if (!this.excludes) return from + n
    const to = Math.max(from, this.end(row))
    let left = n
    for (let i = from; i < to; i++) {
      if (this.excluded(row, i)) continue
      if (left-- === 0) return i
    }
    return -1
  }
}
