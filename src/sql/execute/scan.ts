/**
 * Access to tables: what all scans do, and scans of whole tables.
 *
 * A scan decodes the columns the plan reads into their registers, tests its own condition, and remembers the row's key
 * for those above that lock or change it.
 *
 * Not here: scans of key ranges (index-scan.ts).
 */
import { END, ROW, type Step, WAIT, YIELD } from '../../base/index.ts'
import type { EngineCursor, EntryBatch } from '../../storage/index.ts'
import { gathered } from '../../transaction/index.ts'
import type { RemoteWork } from '../plan/remote-program.ts'
import type { BatchFilter } from './batch-filter.ts'
import { RowDecoder } from './decoder.ts'
import { type Eval, type Execution, type NodeDescription, Operator } from './execution.ts'
import { storageSpan, type TableAccess } from './tables.ts'

export interface ScanOptions {
  readonly access: TableAccess
  /** Alias shown by EXPLAIN. */
  readonly alias: string
  /** Register of each column read, by attribute number; filled while planning, final before the first open. */
  readonly registers: Map<number, number>
  readonly filter: Eval | undefined
  readonly filterText: string | undefined
  readonly filterUses: ReadonlySet<number>
  /** What other nodes that hold the rows may do with them before they answer. */
  readonly remote: RemoteWork | undefined
  /** The condition may suspend (it has a sub-plan). */
  readonly filterSuspends: boolean
  /** What can be tested a batch at a time; undefined: nothing, or not worth it. */
  readonly batch: BatchFilter | undefined
}

/** Attribute numbers of the pseudo columns, as in plan/compile.ts. */
const presenceColumn = -100
const keyColumn = -101
const xminColumn = -2
const tableoidColumn = -6

export abstract class TableScan extends Operator {
  readonly options: ScanOptions
  decoder: RowDecoder | undefined
  readonly keyRegister: () => number
  #xmin = -1
  #tableoid = -1
  #key = -1
  #ready = false
  /** After a suspended condition: the same row is tested again. */
  protected held = false

  constructor(options: ScanOptions) {
    super()
    this.options = options

    this.keyRegister = () => this.#key
  }

  produces(): readonly number[] {
    return [...this.options.registers.values()]
  }

  require(_needed: ReadonlySet<number>): void {}

  protected prepare(): void {
    if (this.#ready) return
    this.#ready = true
    const columns: number[] = []
    const registers: number[] = []
    for (const [column, register] of this.options.registers) {
      if (column > 0) {
        columns.push(column)
        registers.push(register)
      }
    }
    this.decoder = new RowDecoder(this.options.access, columns, registers)
    this.#xmin = this.options.registers.get(xminColumn) ?? -1
    this.#tableoid = this.options.registers.get(tableoidColumn) ?? -1
    this.#key = this.options.registers.get(keyColumn) ?? -1
  }

  /** Sets the pseudo columns that the plan asks for. */
  protected pseudo(x: Execution, key: () => Uint8Array, timestamp: number): void {
    const presence = this.options.registers.get(presenceColumn)
    if (presence !== undefined) x.r[presence] = true
    if (this.#xmin >= 0) x.r[this.#xmin] = timestamp % 0x1_0000_0000
    if (this.#tableoid >= 0) x.r[this.#tableoid] = this.options.access.descriptor.oid
    if (this.#key >= 0) x.r[this.#key] = key()
  }

  protected get wantsPseudo(): boolean {
    return this.#key >= 0 || this.#xmin >= 0 || this.#tableoid >= 0 || this.options.registers.has(presenceColumn)
  }

  protected details(): [string, string][] {
    const { filterText, remote } = this.options
    const out: [string, string][] = filterText === undefined ? [] : [['Filter', filterText]]
    if (remote !== undefined && remote.text !== '') out.push(['Remote Filter', remote.text])
    return out
  }

  protected get label(): string {
    const { descriptor } = this.options.access
    return `on ${descriptor.name}${this.options.alias === descriptor.name ? '' : ` ${this.options.alias}`}`
  }
}

/** What stands for rows of a group: texts of its keys, saved states. */
export type GatheredRow = readonly [keys: readonly (string | null)[], states: readonly unknown[]]

/** A scan whose rows come in batches, which may be tested or taken together. */
export abstract class BatchedScan extends TableScan {
  /** Set when the current row is none, but stands for rows that were gathered elsewhere. */
  gathered: GatheredRow | undefined
  /** The next of `count` rows of the batch. */
  protected at = 0
  protected count = 0
  /** Rows of the batch are tested together; `at` and `count` then run over those that passed. */
  protected selects = false

  /** Brings the next batch. */
  abstract fill(x: Execution): Step
  /** The batch that `fill` has brought. */
  abstract get batch(): EntryBatch
  /** Puts row `i` of the batch into the registers. */
  abstract load(x: Execution, i: number): void

  /** To be called by `open`. */
  protected startBatches(x: Execution): void {
    const { batch } = this.options
    this.at = 0
    this.count = 0
    this.selects = batch !== undefined && batch.tests.length > 0 && batch.open(x)
    this.held = false
  }

  /** Whoever has read batches so far leaves the rest of the current one, from row `i` on, to `next`. */
  resume(i: number): void {
    this.selects = false
    this.at = i
  }

  /** As `next`, by way of the batch's tests. */
  protected nextSelected(x: Execution): Step {
    const { batch, filterSuspends } = this.options
    const filter = this.options.filter!
    const { rows, whole } = batch!
    for (;;) {
      if (!this.held) {
        while (this.at >= this.count) {
          const step = this.fill(x)
          if (step !== ROW) return step
          this.count = batch!.select(this.batch, x.types)
        }
        const row = rows[this.at++]
        this.load(x, row < 0 ? ~row : row)
        if (this.gathered !== undefined || (whole && row >= 0)) return ROW
      }
      this.held = filterSuspends
      const pass = filter(x)
      this.held = false
      if (pass === true) return ROW
    }
  }

  /** "Batch Index Scan" of "Index Scan". */
  protected scanName(plain: string): string {
    return (this.options.batch?.tests.length ?? 0) > 0 ? `Batch ${plain}` : plain
  }
}

export class SeqScan extends BatchedScan {
  #cursor: EngineCursor | undefined
  #ended = false
  #pseudo = false
  #gathers = false

  open(x: Execution): void {
    this.prepare()
    this.#pseudo = this.wantsPseudo
    const { access, remote } = this.options
    this.#gathers = remote?.gathers === true
    this.gathered = undefined
    const program = remote === undefined || remote.empty ? undefined : () => remote.program(x)
    this.#cursor = x.tx.cursor(storageSpan(access.descriptor.storage), false, program)
    this.#ended = false
    this.startBatches(x)
  }

  next(x: Execution): Step {
    if (this.selects) return this.nextSelected(x)
    const filter = this.options.filter
    const suspends = this.options.filterSuspends
    for (;;) {
      if (!this.held) {
        if (this.at >= this.count) {
          const step = this.fill(x)
          if (step !== ROW) return step
        }
        this.load(x, this.at++)
      }
      if (filter === undefined || this.gathered !== undefined) return ROW
      this.held = suspends
      const pass = filter(x)
      this.held = false
      if (pass === true) return ROW
    }
  }

  get batch(): EntryBatch {
    return this.#cursor!.batch
  }

  load(x: Execution, i: number): void {
    const { batch } = this
    const slab = batch.slabs[batch.slab[i]]
    if (this.#gathers) {
      const value = () => Buffer.from(slab.bytes.subarray(batch.valueStart[i], batch.valueEnd[i])).toString()
      this.gathered = batch.timestamps[i] === gathered ? JSON.parse(value()) : undefined
      if (this.gathered !== undefined) return
    }
    this.decoder!.decode(x.r, slab.bytes, slab.view, batch.valueStart[i])
    if (this.#pseudo) this.pseudo(x, () => slab.bytes.slice(batch.keyStart[i], batch.keyEnd[i]), batch.timestamps[i])
  }

  fill(x: Execution): Step {
    if (this.#ended) return END
    if (x.spent) return YIELD
    const step = this.#cursor!.next()
    if (step === WAIT) {
      x.blocker = this.#cursor
      return WAIT
    }
    this.at = 0
    this.count = step === ROW ? this.batch.count : 0
    this.#ended = step === END
    return step
  }

  close(): void {
    this.#cursor?.close()
    this.#cursor = undefined
  }

  describe(): NodeDescription {
    return { name: this.scanName('Seq Scan'), target: this.label, details: this.details() }
  }
}
