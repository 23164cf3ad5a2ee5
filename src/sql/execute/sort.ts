/**
 * Sorting: in memory with one comparison per key, keeping only the first rows when a limit is known; beyond the memory
 * budget in sorted runs on disk that are merged while they are read.
 */
import { assert, END, ROW, type Step, WAIT, YIELD } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import type { File } from '../../io/index.ts'
import type { Type, Value } from '../types/type.ts'
import { limitOf, union } from './basic.ts'
import { type Eval, type Execution, type NodeDescription, Operator } from './execution.ts'
import { GradualSort } from './gradual-sort.ts'
import { RowSerializer } from './spill.ts'

export interface SortKey {
  readonly register: number
  readonly type: Type
  readonly descending: boolean
  readonly nullsFirst: boolean
  readonly text: string
}

export type RowOrder = (a: readonly Value[], b: readonly Value[]) => number

/** The order of rows whose cells at `positions` are the keys. */
export function rowOrder(keys: readonly SortKey[], positions: readonly number[]): RowOrder {
  const orders = keys.map((k) => cellOrder(k))
  if (orders.length === 1) {
    const [order] = orders
    const [p] = positions
    return (a, b) => order(a[p], b[p])
  }
  return (a, b) => {
    for (let i = 0; i < orders.length; i++) {
      const d = orders[i](a[positions[i]], b[positions[i]])
      if (d !== 0) return d
    }
    return 0
  }
}

function cellOrder(key: SortKey): (a: Value, b: Value) => number {
  const sign = key.descending ? -1 : 1
  const nullSign = key.nullsFirst ? -1 : 1
  const { type } = key
  const numeric = type.storage === 'i32' || type.storage === 'i16'
  if (numeric) {
    return (a, b) => {
      if (a === null) return b === null ? 0 : nullSign
      if (b === null) return -nullSign
      return (a - b) * sign
    }
  }
  return (a, b) => {
    if (a === null) return b === null ? 0 : nullSign
    if (b === null) return -nullSign
    const d = type.compare(a, b)
    return d < 0 ? -sign : d > 0 ? sign : 0
  }
}

export class Sort extends Operator {
  readonly input: Operator
  readonly keys: readonly SortKey[]
  /** LIMIT + OFFSET above, when known: only so many rows are kept. */
  readonly limit: Eval | undefined
  readonly offset: Eval | undefined
  /** Types of registers, for spilling. */
  readonly typeOfRegister: (register: number) => Type | undefined
  #registers: number[] = []
  #order: RowOrder | undefined
  #rows: Value[][] = []
  #sorting: GradualSort<Value[]> | undefined
  #filled = false
  #sorted = false
  #at = 0
  #bytes = 0
  #bound = Number.POSITIVE_INFINITY
  #started = false
  #runs: Run[] = []
  #merge: RunMerge | undefined
  #waiting: Promise<void> | undefined
  #failure: unknown
  /** How often it was opened or closed: a run that was written for a statement given up is removed. */
  #opened = 0
  #merging = false

  constructor(
    input: Operator,
    keys: readonly SortKey[],
    typeOfRegister: (register: number) => Type | undefined,
    limit?: Eval,
    offset?: Eval,
  ) {
    super()
    this.input = input
    this.keys = keys
    this.limit = limit
    this.offset = offset
    this.typeOfRegister = typeOfRegister
  }
  produces(): readonly number[] {
    return this.input.produces()
  }
  override inputs(): readonly Operator[] {
    return [this.input]
  }
  require(needed: ReadonlySet<number>): void {
    const all = union(needed, new Set(this.keys.map((k) => k.register)))
    const produced = new Set(this.input.produces())
    this.#registers = [...all].filter((r) => produced.has(r))
    this.#order = rowOrder(
      this.keys,
      this.keys.map((k) => this.#registers.indexOf(k.register)),
    )
    this.input.require(all)
  }
  open(x: Execution): void {
    this.#rows = []
    this.#sorting = undefined
    this.#filled = false
    this.#sorted = false
    this.#failure = undefined
    this.#waiting = undefined
    this.#opened++
    this.#at = 0
    this.#started = false
    this.#merging = false
    this.#merge = undefined
    this.input.open(x)
  }
  next(x: Execution): Step {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#waiting !== undefined) return this.#wait(x)
    if (!this.#sorted) {
      const step = this.#fill(x)
      if (step !== END) return step
    }
    if (this.#merging) return this.#nextMerged(x)
    if (this.#at >= this.#rows.length) return END
    const row = this.#rows[this.#at++]
    const registers = this.#registers
    for (let i = 0; i < registers.length; i++) x.r[registers[i]] = row[i]
    return ROW
  }
  #fill(x: Execution): Step {
    if (!this.#started) {
      this.#started = true
      const limit = limitOf(this.limit, x, 'LIMIT')
      this.#bound = limit === undefined ? Number.POSITIVE_INFINITY : limit + (limitOf(this.offset, x, 'OFFSET') ?? 0)
    }
    const registers = this.#registers
    const cell = 16 * registers.length + 40
    if (this.#sorting !== undefined) return this.#finishSorting(x)
    for (;;) {
      const step = this.#filled ? END : this.input.next(x)
      if (step === END) break
      if (step !== ROW) return step
      const row = new Array(registers.length)
      let bytes = cell
      for (let i = 0; i < registers.length; i++) {
        const v = x.r[registers[i]]
        row[i] = v
        if (typeof v === 'string') bytes += v.length
      }
      this.#rows.push(row)
      this.#bytes += bytes
      x.grow(bytes)
      if (this.#rows.length >= 2 * this.#bound + 1024) this.#cut(x, cell)
      if (this.#bytes > x.session.workMemory && this.#bound === Number.POSITIVE_INFINITY && this.#canSpill(x)) {
        return this.#finishSorting(x)
      }
      if ((this.#rows.length & 1023) === 0 && x.spent) return YIELD
    }
    this.#filled = true
    return this.#finishSorting(x)
  }
  /** Sorts the rows in memory: all that are left are then read or merged, too many written out. */
  #finishSorting(x: Execution): Step {
    this.#sorting ??= new GradualSort(this.#rows, this.#order!)
    const step = this.#sorting.step(x)
    if (step !== END) return step
    this.#rows = this.#sorting.rows
    this.#sorting = undefined
    if (!this.#filled) {
      this.#spill(x)
      return this.#wait(x)
    }
    this.#sorted = true
    if (this.#rows.length > this.#bound) this.#rows.length = this.#bound
    if (this.#runs.length > 0) {
      this.#merging = true
      this.#merge = new RunMerge(this.#runs, this.#rows, this.#order!)
    }
    return END
  }
  /** Drops what a limit will never show. */
  #cut(x: Execution, cell: number): void {
    this.#rows.sort(this.#order)
    const dropped = this.#rows.length - this.#bound
    this.#rows.length = this.#bound
    const bytes = Math.min(this.#bytes, dropped * cell)
    this.#bytes -= bytes
    x.shrink(bytes)
  }
  #canSpill(x: Execution): boolean {
    return x.session.spill.available && this.#registers.every((r) => this.typeOfRegister(r) !== undefined)
  }
  #spill(x: Execution): void {
    const rows = this.#rows
    this.#rows = []
    x.shrink(this.#bytes)
    this.#bytes = 0
    const serializer = new RowSerializer(this.#registers.map((r) => this.typeOfRegister(r)!))
    const opened = this.#opened
    this.#waiting = writeRun(x, rows, serializer).then(
      (run) => {
        if (opened !== this.#opened) {
          x.session.spill.remove(run.file).catch(() => {}) // then it goes at the next start
          return
        }
        this.#runs.push(run)
        this.#waiting = undefined
      },
      (error) => {
        if (opened !== this.#opened) return
        this.#failure = error
        this.#waiting = undefined
      },
    )
  }
  #wait(x: Execution): Step {
    const waiting = this.#waiting
    assert(waiting !== undefined, 'something to wait for')
    x.blocker = { ready: () => waiting }
    return WAIT
  }
  #nextMerged(x: Execution): Step {
    const merge = this.#merge!
    const row = merge.next()
    if (row === 'wait') {
      x.blocker = merge
      return WAIT
    }
    if (row === undefined) return END
    const registers = this.#registers
    for (let i = 0; i < registers.length; i++) x.r[registers[i]] = row[i]
    if ((++this.#at & 1023) === 0) void x.spent // raises when the statement is cancelled
    return ROW
  }
  close(x: Execution): void {
    this.input.close(x)
    this.#opened++
    this.#waiting = undefined
    this.#sorting = undefined
    this.#rows = []
    x.shrink(this.#bytes)
    this.#bytes = 0
    const { spill } = x.session
    const files = this.#runs.map((run) => run.file)
    this.#runs = []
    // A block that is being read comes to its end first. What cannot be removed now goes at the next start.
    const reading = this.#merge?.idle() ?? Promise.resolve()
    this.#merge = undefined
    if (files.length > 0) void reading.then(() => Promise.allSettled(files.map((file) => spill.remove(file))))
  }
  describe(): NodeDescription {
    return { name: 'Sort', details: [['Sort Key', this.keys.map((k) => k.text).join(', ')]] }
  }
}

interface Run {
  readonly file: File
  readonly bytes: number
  readonly serializer: RowSerializer
}

const blockBytes = 256 * 1024

async function writeRun(x: Execution, rows: readonly Value[][], serializer: RowSerializer): Promise<Run> {
  const file = await x.session.spill.create()
  const out = new ByteWriter(blockBytes * 2)
  let position = 0
  try {
    for (let i = 0; i < rows.length; i++) {
      serializer.write(rows[i], out)
      if (out.length >= blockBytes || i === rows.length - 1) {
        await file.write(out.buffer, 0, out.length, position)
        position += out.length
        out.reset()
      }
    }
  } catch (error) {
    await x.session.spill.remove(file).catch(() => {}) // the reason why it could not be written is told
    throw error
  }
  return { file, bytes: position, serializer }
}

/** Reads one run block by block. */
class RunReader {
  readonly run: Run
  row: Value[] | undefined
  loading: Promise<void> | undefined
  #buffer = Buffer.alloc(0)
  #view = new DataView(this.#buffer.buffer)
  #at = 0
  #position = 0

  constructor(run: Run) {
    this.run = run
  }
  /** Moves to the next row: true when `row` is set (undefined at the end), false while a block is loading. */
  advance(): boolean {
    const left = this.#buffer.length - this.#at
    const length = left >= 4 ? this.#view.getUint32(this.#at) : -1
    if (length >= 0 && left >= 4 + length) {
      this.row = this.run.serializer.read(this.#buffer, this.#view, this.#at)
      this.#at += 4 + length
      return true
    }
    if (this.#position >= this.run.bytes) {
      this.row = undefined
      return true
    }
    this.loading ??= this.#load(Math.max(blockBytes, length + 4))
    return false
  }
  async #load(count: number): Promise<void> {
    const rest = this.#buffer.subarray(this.#at)
    const size = Math.min(count, this.run.bytes - this.#position)
    const next = Buffer.alloc(rest.length + size)
    next.set(rest)
    await this.run.file.read(next, rest.length, size, this.#position)
    this.#position += size
    this.#buffer = next
    this.#view = new DataView(next.buffer, next.byteOffset, next.length)
    this.#at = 0
    this.loading = undefined
  }
}

/** Merges runs and the rows still in memory; few runs, so a scan over their heads finds the least. */
class RunMerge {
  readonly #readers: RunReader[]
  readonly #rows: readonly Value[][]
  readonly #order: RowOrder
  #at = 0
  #pending: RunReader[]

  constructor(runs: readonly Run[], rows: readonly Value[][], order: RowOrder) {
    this.#readers = runs.map((r) => new RunReader(r))
    this.#rows = rows
    this.#order = order
    this.#pending = [...this.#readers]
  }
  next(): readonly Value[] | undefined | 'wait' {
    this.#pending = this.#pending.filter((r) => !r.advance())
    if (this.#pending.length > 0) return 'wait'
    let best: readonly Value[] | undefined = this.#rows[this.#at]
    let from: RunReader | undefined
    for (const reader of this.#readers) {
      if (reader.row !== undefined && (best === undefined || this.#order(reader.row, best) < 0)) {
        best = reader.row
        from = reader
      }
    }
    if (best === undefined) return undefined
    if (from === undefined) this.#at++
    else this.#pending.push(from)
    return best
  }
  /** Resolves when nothing is being read. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#readers.map((r) => r.loading))
  }
  async ready(): Promise<void> {
    await Promise.all(this.#pending.map((r) => r.loading))
  }
}

export { YIELD }
