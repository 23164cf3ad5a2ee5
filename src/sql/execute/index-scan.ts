/**
 * Index scans over key ranges, and look-ups of single keys. Index entries hold the tail of the row's key; rows are fetched
 * by it. The primary key's entries are the rows themselves, so that ranges of it come in batches of rows.
 */
import { END, ROW, type Step, WAIT, YIELD } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import type { EngineCursor, EntryBatch } from '../../storage/index.ts'
import type { Value } from '../types/type.ts'
import type { Eval, Execution, NodeDescription } from './execution.ts'
import { BatchedScan, type ScanOptions } from './scan.ts'
import { after, type IndexAccess, type KeyCodec, storageSpan } from './tables.ts'

/** Bounds of an index scan. Values are computed when it opens, from parameters and outer rows. */
export interface IndexRange {
  /** Equality on the first columns. At most one is a list: `list` is its position, its value an array's items. */
  readonly equals: readonly Eval[]
  readonly list: number
  /** Bounds on the next column. */
  readonly lower: { readonly value: Eval; readonly inclusive: boolean } | undefined
  readonly upper: { readonly value: Eval; readonly inclusive: boolean } | undefined
  /** The next column must not be NULL (a bound implies it) or must be (IS NULL). */
  readonly isNull: boolean
  readonly text: string | undefined
  readonly uses: ReadonlySet<number>
}

export interface IndexScanOptions extends ScanOptions {
  /** Undefined: the table's own key. */
  readonly index: IndexAccess | undefined
  readonly range: IndexRange
  readonly reverse: boolean
  /** Every key column is given and the index is unique: at most one row per key. */
  readonly unique: boolean
}

interface KeySpan {
  readonly start: Uint8Array
  readonly end: Uint8Array | undefined
}

export class IndexScan extends BatchedScan {
  declare readonly options: IndexScanOptions
  readonly #codec: KeyCodec
  #spans: KeySpan[] = []
  #span = 0
  #cursor: EngineCursor | undefined
  #limit = 16
  readonly #rowKey = new ByteWriter(64)
  /** The mode in which the statement locks each row it finds; −1: it does not, or tests more than the key before. */
  lockMode = -1
  #fetching = false
  #pseudo = false
  readonly #key = new ByteWriter(64)
  /** For the unique case: whether the one look-up of the current span is done. */
  #pending: Uint8Array | undefined

  constructor(options: IndexScanOptions) {
    super(options)
    this.#codec = options.index?.codec ?? options.access.key
  }

  open(x: Execution): void {
    this.prepare()
    this.close()
    this.#pseudo = this.wantsPseudo
    this.#spans = this.#makeSpans(x)
    this.#span = 0
    this.#limit = 16
    this.#fetching = false
    this.#pending = undefined
    this.startBatches(x)
  }

  next(x: Execution): Step {
    if (this.selects) return this.nextSelected(x)
    const { filter, filterSuspends } = this.options
    for (;;) {
      if (!this.held) {
        const step = this.options.unique ? this.#nextUnique(x) : this.#nextEntry(x)
        if (step !== ROW) return step
      }
      if (filter === undefined) return ROW
      this.held = filterSuspends
      const pass = filter(x)
      this.held = false
      if (pass === true) return ROW
    }
  }

  close(): void {
    this.#cursor?.close()
    this.#cursor = undefined
  }

  /** One look-up a span, without a cursor. */
  #nextUnique(x: Execution): Step {
    for (;;) {
      if (this.#pending === undefined) {
        if (this.#span >= this.#spans.length) return END
        this.#pending = this.#spans[this.options.reverse ? this.#spans.length - 1 - this.#span : this.#span].start
        this.#span++
        this.#fetching = false
      }
      if (this.options.index !== undefined && !this.#fetching) {
        const step = x.tx.get(this.#pending)
        if (step === WAIT) return this.#wait(x)
        if (step === END) {
          this.#pending = undefined
          continue
        }
        const { found } = x.tx
        this.#setRowKey(found.slab.bytes, found.valueStart, found.valueEnd)
        this.#pending = this.#rowKey.copy()
        this.#fetching = true
      }
      const step = this.lockMode < 0 ? x.tx.get(this.#pending) : x.tx.getLocked(this.#pending, this.lockMode)
      if (step === WAIT) return this.#wait(x)
      const key = this.#pending
      this.#pending = undefined
      if (step === END) continue
      this.#loadFound(x, key)
      return ROW
    }
  }

  #nextEntry(x: Execution): Step {
    for (;;) {
      if (!this.#fetching && this.at >= this.count) {
        const step = this.fill(x)
        if (step !== ROW) return step
      }
      if (this.options.index === undefined) {
        this.load(x, this.at++)
        return ROW
      }
      const { batch } = this
      const i = this.at
      if (!this.#fetching) {
        this.#setRowKey(batch.slabs[batch.slab[i]].bytes, batch.valueStart[i], batch.valueEnd[i])
        this.#fetching = true
      }
      const key = this.#rowKey.bytes
      const step = x.tx.get(key)
      if (step === WAIT) return this.#wait(x)
      this.#fetching = false
      this.at++
      if (step === END) continue
      this.#loadFound(x, key)
      return ROW
    }
  }

  /** The next entries of the index, or rows when it is the table's own order. */
  fill(x: Execution): Step {
    for (;;) {
      if (this.#cursor === undefined) {
        if (this.#span >= this.#spans.length) return END
        const span = this.#spans[this.options.reverse ? this.#spans.length - 1 - this.#span : this.#span]
        this.#span++
        this.#cursor = x.tx.cursor(span, this.options.reverse)
      }
      if (x.spent) return YIELD
      // Few rows are asked for at first: most index scans are short.
      const step = this.#cursor.next(this.#limit)
      if (step === WAIT) {
        x.blocker = this.#cursor
        return WAIT
      }
      this.#limit = Math.min(1024, this.#limit * 4)
      this.at = 0
      this.count = step === ROW ? this.batch.count : 0
      if (step === ROW) return ROW
      this.close()
    }
  }

  get batch(): EntryBatch {
    return this.#cursor!.batch
  }

  load(x: Execution, i: number): void {
    const { batch } = this
    const slab = batch.slabs[batch.slab[i]]
    this.decoder!.decode(x.r, slab.bytes, slab.view, batch.valueStart[i])
    if (this.#pseudo) this.pseudo(x, () => slab.bytes.slice(batch.keyStart[i], batch.keyEnd[i]), batch.timestamps[i])
  }

  #wait(x: Execution): Step {
    x.blocker = x.tx.blocker
    return WAIT
  }

  #loadFound(x: Execution, key: Uint8Array): void {
    const { found } = x.tx
    this.decoder!.decode(x.r, found.slab.bytes, found.slab.view, found.valueStart)
    if (this.#pseudo) this.pseudo(x, () => key.slice(), found.timestamp)
  }

  #setRowKey(bytes: Uint8Array, start: number, end: number): void {
    this.#rowKey.reset()
    this.#rowKey.u32(this.options.access.descriptor.storage)
    this.#rowKey.range(bytes, start, end)
  }

  #makeSpans(x: Execution): KeySpan[] {
    const { range } = this.options
    const values: Value[] = range.equals.map((e) => e(x))
    if (range.list < 0) {
      const span = this.#makeSpan(x, values)
      return span === undefined ? [] : [span]
    }
    const list = values[range.list]
    if (list === null) return []
    const spans: KeySpan[] = []
    for (const item of list.items) {
      values[range.list] = item
      const span = this.#makeSpan(x, values)
      if (span !== undefined) spans.push(span)
    }
    spans.sort((a, b) => compareBytes(a.start, b.start))
    return spans.filter((s, i) => i === 0 || compareBytes(s.start, spans[i - 1].start) !== 0)
  }

  #makeSpan(x: Execution, values: readonly Value[]): KeySpan | undefined {
    const key = this.#key
    this.#codec.start(key)
    for (let i = 0; i < values.length; i++) {
      if (values[i] === null || values[i] === undefined) return undefined
      this.#codec.write(i, values[i], key)
    }
    const { range } = this.options
    const prefix = key.copy()
    if (this.options.unique) return { start: prefix, end: undefined }
    if (range.isNull) {
      this.#codec.write(values.length, null, key)
      const start = key.copy()
      return { start, end: after(start) }
    }
    if (range.lower === undefined && range.upper === undefined) {
      if (values.length === 0) return storageSpan(this.#codec.storage)
      return { start: prefix, end: after(prefix) }
    }
    return this.#bounded(x, prefix, values.length)
  }

  #bounded(x: Execution, prefix: Uint8Array, column: number): KeySpan | undefined {
    const { lower, upper } = this.options.range
    const { descending } = this.#codec.columns[column]
    const low = lower === undefined ? undefined : lower.value(x)
    const high = upper === undefined ? undefined : upper.value(x)
    if (low === null || high === null) return undefined
    const encode = (value: Value): Uint8Array => {
      const key = this.#key
      key.reset()
      key.raw(prefix)
      this.#codec.write(column, value, key)
      return key.copy()
    }
    // In a descending column the bounds trade places; NULLs carry another marker, so both ends stay clear of them.
    const [first, last] = descending ? [upper, lower] : [lower, upper]
    const [firstValue, lastValue] = descending ? [high, low] : [low, high]
    let start = marked(prefix, 1)
    let end: Uint8Array | undefined = marked(prefix, 2)
    if (first !== undefined) {
      const at = encode(firstValue)
      start = first.inclusive ? at : (after(at) ?? at)
    }
    if (last !== undefined) {
      const at = encode(lastValue)
      end = last.inclusive ? after(at) : at
    }
    if (end !== undefined && compareBytes(start, end) >= 0) return undefined
    return { start, end }
  }

  describe(): NodeDescription {
    const { index, range, reverse, access } = this.options
    const name = index?.descriptor.name ?? access.primary?.descriptor.name ?? access.descriptor.name
    const details: [string, string][] = range.text === undefined ? [] : [['Index Cond', range.text]]
    details.push(...this.details())
    return {
      name: `${this.scanName('Index Scan')}${reverse ? ' Backward' : ''}`,
      target: `using ${name} ${this.label}`,
      details,
    }
  }
}

function marked(prefix: Uint8Array, marker: number): Uint8Array {
  const out = new Uint8Array(prefix.length + 1)
  out.set(prefix)
  out[prefix.length] = marker
  return out
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length)
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return a[i] - b[i]
  return a.length - b.length
}
