/**
 * Window functions. Input arrives sorted by partition and order keys; one partition at a time is kept, each function is
 * computed for its rows, and the rows go on with the results in registers.
 *
 * Moving frames of aggregates undo rows that left when the aggregate can, else are computed from the frame's start.
 */
import { DbError, END, ROW, type Step } from '../../base/index.ts'
import type { AggregateCode, CallSite, WindowCode, WindowPartition } from '../functions/function.ts'
import type { Frame } from '../query.ts'
import type { Type, Value } from '../types/type.ts'
import { type Eval, type Execution, type NodeDescription, Operator } from './execution.ts'
import type { SortKey } from './sort.ts'

export interface WindowFunction {
  readonly window: WindowCode | undefined
  readonly aggregate: AggregateCode | undefined
  readonly site: CallSite
  readonly args: readonly Eval[]
  readonly filter: Eval | undefined
  readonly output: number
  readonly uses: ReadonlySet<number>
}

export interface WindowOptions {
  readonly partition: readonly { readonly register: number; readonly type: Type }[]
  readonly order: readonly SortKey[]
  readonly frame: Frame
  readonly startOffset: Eval | undefined
  readonly endOffset: Eval | undefined
  /** RANGE offsets: in_range(value, base, offset, sub, less). */
  readonly startInRange: ((...args: any[]) => boolean) | undefined
  readonly endInRange: ((...args: any[]) => boolean) | undefined
  readonly functions: readonly WindowFunction[]
  readonly offsetUses: ReadonlySet<number>
}

export class WindowOperator extends Operator {
  readonly input: Operator
  readonly options: WindowOptions
  #registers: number[] = []
  #partitionAt: number[] = []
  #orderAt: number[] = []
  #rows: Value[][] = []
  #results: Value[][] = []
  #next: Value[] | undefined
  #at = 0
  #state: 'fill' | 'emit' | 'end' = 'fill'
  #inputEnded = false
  #bytes = 0

  constructor(input: Operator, options: WindowOptions) {
    super()
    this.input = input
    this.options = options
  }
  produces(): readonly number[] {
    return [...this.input.produces(), ...this.options.functions.map((f) => f.output)]
  }
  override inputs(): readonly Operator[] {
    return [this.input]
  }
  require(needed: ReadonlySet<number>): void {
    const { partition, order, functions, offsetUses } = this.options
    const all = new Set([
      ...needed,
      ...offsetUses,
      ...partition.map((p) => p.register),
      ...order.map((o) => o.register),
    ])
    for (const f of functions) for (const u of f.uses) all.add(u)
    const produced = new Set(this.input.produces())
    this.#registers = [...all].filter((r) => produced.has(r))
    this.#partitionAt = partition.map((p) => this.#registers.indexOf(p.register))
    this.#orderAt = order.map((o) => this.#registers.indexOf(o.register))
    this.input.require(all)
  }
  open(x: Execution): void {
    this.#rows = []
    this.#next = undefined
    this.#state = 'fill'
    this.#inputEnded = false
    this.input.open(x)
  }
  next(x: Execution): Step {
    for (;;) {
      if (this.#state === 'end') return END
      if (this.#state === 'emit') {
        if (this.#at < this.#rows.length) {
          this.#restore(x, this.#at)
          const results = this.#results[this.#at++]
          this.options.functions.forEach((f, i) => {
            x.r[f.output] = results[i]
          })
          return ROW
        }
        x.shrink(this.#bytes)
        this.#bytes = 0
        this.#rows = []
        this.#state = this.#inputEnded ? 'end' : 'fill'
        continue
      }
      const step = this.#fill(x)
      if (step !== END) return step
      if (this.#rows.length === 0) {
        this.#state = 'end'
        return END
      }
      this.#compute(x)
      this.#at = 0
      this.#state = 'emit'
    }
  }
  #fill(x: Execution): Step {
    if (this.#next !== undefined) {
      this.#rows.push(this.#next)
      this.#next = undefined
    }
    for (;;) {
      const step = this.input.next(x)
      if (step === END) {
        this.#inputEnded = true
        return END
      }
      if (step !== ROW) return step
      const row = this.#registers.map((r) => x.r[r])
      const bytes = 64 + 32 * row.length
      this.#bytes += bytes
      x.grow(bytes)
      const first = this.#rows[0]
      if (first !== undefined && !this.#samePartition(first, row)) {
        this.#next = row
        return END
      }
      this.#rows.push(row)
    }
  }
  #samePartition(a: readonly Value[], b: readonly Value[]): boolean {
    return this.options.partition.every((p, i) => same(a[this.#partitionAt[i]], b[this.#partitionAt[i]], p.type))
  }
  #restore(x: Execution, row: number): void {
    const values = this.#rows[row]
    for (let i = 0; i < this.#registers.length; i++) x.r[this.#registers[i]] = values[i]
  }
  #compute(x: Execution): void {
    const count = this.#rows.length
    const { functions } = this.options
    this.#results = this.#rows.map(() => new Array(functions.length))
    const args = functions.map((f) => f.args.map(() => new Array<Value>(count)))
    const passes = functions.map((f) => (f.filter === undefined ? undefined : new Array<boolean>(count)))
    for (let row = 0; row < count; row++) {
      this.#restore(x, row)
      functions.forEach((f, i) => {
        f.args.forEach((a, k) => {
          args[i][k][row] = a(x)
        })
        if (passes[i] !== undefined) passes[i]![row] = f.filter!(x) === true
      })
    }
    const peers = this.#peerGroups()
    const frames = new Frames(this.options, x, this.#rows, this.#orderAt, peers, (row) => this.#restore(x, row))
    functions.forEach((f, i) => {
      if (f.window !== undefined) this.#windowFunction(x, f, i, args[i], peers, frames)
      else this.#aggregate(x, f, i, args[i], passes[i], frames)
    })
  }
  /** The first row of each row's peer group. */
  #peerGroups(): Int32Array {
    const starts = new Int32Array(this.#rows.length)
    for (let i = 1; i < this.#rows.length; i++) {
      const a = this.#rows[i - 1]
      const b = this.#rows[i]
      const peer = this.options.order.every((o, k) => same(a[this.#orderAt[k]], b[this.#orderAt[k]], o.type))
      starts[i] = peer ? starts[i - 1] : i
    }
    return starts
  }
  #windowFunction(
    x: Execution,
    f: WindowFunction,
    index: number,
    args: readonly Value[][],
    peers: Int32Array,
    frames: Frames,
  ): void {
    const count = this.#rows.length
    const ends = peerEnds(peers)
    let current = 0
    const partition: WindowPartition = {
      rows: count,
      get current() {
        return current
      },
      get peersStart() {
        return peers[current]
      },
      get peersEnd() {
        return ends[current]
      },
      get frameRows() {
        return frames.rows(current)
      },
      frameRow: (n) => frames.row(current, n),
      argument: (i, row) => args[i][row],
    }
    const state = f.window!.init(f.site, x.types)
    for (current = 0; current < count; current++) this.#results[current][index] = f.window!.value(partition, state)
  }
  #aggregate(
    x: Execution,
    f: WindowFunction,
    index: number,
    args: readonly Value[][],
    passes: boolean[] | undefined,
    frames: Frames,
  ): void {
    const code = f.aggregate!
    let state = code.init(f.site, x.types)
    let start = 0
    let end = 0
    const usable = (row: number): boolean => {
      if (passes !== undefined && !passes[row]) return false
      return !code.strict || args.every((a) => a[row] !== null)
    }
    const step = (row: number): void => {
      if (usable(row)) state = code.step(state, ...args.map((a) => a[row]))
    }
    for (let row = 0; row < this.#rows.length; row++) {
      const from = frames.start(row)
      const to = Math.max(from, frames.end(row))
      if (frames.excludes) {
        state = code.init(f.site, x.types)
        for (let n = 0; n < frames.rows(row); n++) step(frames.row(row, n))
      } else {
        const restart = from < start || to < end || (from > start && code.unstep === undefined) || from >= end
        if (restart) {
          state = code.init(f.site, x.types)
          start = from
          end = from
        }
        for (; start < from; start++) if (usable(start)) state = code.unstep!(state, ...args.map((a) => a[start]))
        for (; end < to; end++) step(end)
      }
      this.#results[row][index] = code.finish(state, x.types)
    }
  }
  close(x: Execution): void {
    this.input.close(x)
    this.#rows = []
    this.#results = []
    x.shrink(this.#bytes)
    this.#bytes = 0
  }
  describe(): NodeDescription {
    return { name: 'WindowAgg' }
  }
}

function same(a: Value, b: Value, type: Type): boolean {
  if (a === null || b === null) return a === b
  return type.compare(a, b) === 0
}

function peerEnds(starts: Int32Array): Int32Array {
  const ends = new Int32Array(starts.length)
  for (let i = starts.length - 1; i >= 0; i--)
    ends[i] = i + 1 < starts.length && starts[i + 1] === starts[i] ? ends[i + 1] : i + 1
  return ends
}

/** Frame bounds of each row of a partition. */
class Frames {
  readonly #options: WindowOptions
  readonly #x: Execution
  readonly #rows: readonly Value[][]
  readonly #orderAt: readonly number[]
  readonly #peers: Int32Array
  readonly #peerEnds: Int32Array
  readonly #groupOf: Int32Array
  readonly #groupStarts: number[] = []
  readonly #startOffset: Value
  readonly #endOffset: Value

  constructor(
    options: WindowOptions,
    x: Execution,
    rows: readonly Value[][],
    orderAt: readonly number[],
    peers: Int32Array,
    restore: (row: number) => void,
  ) {
    this.#options = options
    this.#x = x
    this.#rows = rows
    this.#orderAt = orderAt
    this.#peers = peers
    this.#peerEnds = peerEnds(peers)
    this.#groupOf = new Int32Array(rows.length)
    for (let i = 0; i < rows.length; i++) {
      if (peers[i] === i) this.#groupStarts.push(i)
      this.#groupOf[i] = this.#groupStarts.length - 1
    }
    restore(0)
    this.#startOffset = this.#offset(options.startOffset, 'starting')
    this.#endOffset = this.#offset(options.endOffset, 'ending')
  }
  get excludes(): boolean {
    return this.#options.frame.exclude !== 'none'
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
    return this.#bound(row, this.#options.frame.start, this.#startOffset, this.#options.startInRange, true)
  }
  end(row: number): number {
    return this.#bound(row, this.#options.frame.end, this.#endOffset, this.#options.endInRange, false)
  }
  #bound(
    row: number,
    bound: Frame['start'],
    offset: Value,
    inRange: ((...args: any[]) => boolean) | undefined,
    isStart: boolean,
  ): number {
    const { mode } = this.#options.frame
    const count = this.#rows.length
    switch (bound.kind) {
      case 'unbounded preceding':
        return 0
      case 'unbounded following':
        return count
      case 'current':
        if (mode === 'rows') return isStart ? row : row + 1
        return isStart ? this.#peers[row] : this.#peerEnds[row]
    }
    const preceding = bound.kind === 'preceding'
    if (mode === 'rows') {
      const at = preceding ? row - Number(offset) : row + Number(offset)
      return Math.min(count, Math.max(0, isStart ? at : at + 1))
    }
    if (mode === 'groups') {
      const group = this.#groupOf[row] + (preceding ? -Number(offset) : Number(offset))
      const wanted = isStart ? group : group + 1
      if (wanted < 0) return 0
      return wanted >= this.#groupStarts.length ? count : this.#groupStarts[wanted]
    }
    return this.#rangeBound(row, preceding, offset, inRange!, isStart)
  }
  #rangeBound(
    row: number,
    preceding: boolean,
    offset: Value,
    inRange: (...args: any[]) => boolean,
    isStart: boolean,
  ): number {
    const at = this.#orderAt[0]
    const [key] = this.#options.order
    const base = this.#rows[row][at]
    if (base === null) return isStart ? this.#peers[row] : this.#peerEnds[row]
    const { descending } = key
    const count = this.#rows.length
    const sub = preceding !== descending
    // Values in order: for a start, skip those before base ± offset; for an end, take those up to it.
    let i = 0
    for (; i < count; i++) {
      const value = this.#rows[i][at]
      if (value === null) {
        if (key.nullsFirst) continue
        break
      }
      const less = isStart ? descending : !descending
      const inside = inRange(value, base, offset, sub, less, this.#x.types)
      if (isStart ? inside : !inside) break
    }
    return i
  }
  /** The frame's rows of a row, exclusions left out. */
  #list(row: number): { from: number; to: number; skipFrom: number; skipTo: number; keep: number } {
    const from = this.start(row)
    const to = Math.max(from, this.end(row))
    switch (this.#options.frame.exclude) {
      case 'current':
        return { from, to, skipFrom: row, skipTo: row + 1, keep: -1 }
      case 'group':
        return { from, to, skipFrom: this.#peers[row], skipTo: this.#peerEnds[row], keep: -1 }
      case 'ties':
        return { from, to, skipFrom: this.#peers[row], skipTo: this.#peerEnds[row], keep: row }
      default:
        return { from, to, skipFrom: 0, skipTo: 0, keep: -1 }
    }
  }
  rows(row: number): number {
    const f = this.#list(row)
    if (f.skipTo === f.skipFrom) return f.to - f.from
    let n = 0
    for (let i = f.from; i < f.to; i++) if (i < f.skipFrom || i >= f.skipTo || i === f.keep) n++
    return n
  }
  row(row: number, n: number): number {
    const f = this.#list(row)
    if (f.skipTo === f.skipFrom) return f.from + n
    for (let i = f.from; i < f.to; i++) {
      if (i >= f.skipFrom && i < f.skipTo && i !== f.keep) continue
      if (n-- === 0) return i
    }
    return -1
  }
}
