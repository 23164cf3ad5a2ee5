/**
 * Grouping and aggregation right over a table's batches: the loop that reads the rows also tests them, finds their groups
 * and adds to their accumulators, without registers or an operator in between.
 *
 *   cursor ──► batch ──► loop ──────────────► groups in typed arrays ──► results
 *                          └─ a row it leaves ─► the row tier's expressions ─┘
 *
 * When the groups have no room they go to the row tier's operator, which goes on with the rows that are left, and spills.
 * So do they when groups come gathered from other nodes.
 *
 * Not here: the loop (batch-kernel.ts), the groups (batch-groups.ts), the row tier (aggregate.ts).
 */
import { DbError, END, ROW, type Step } from '../../base/index.ts'
import type { Value } from '../types/type.ts'
import type { Aggregation } from './aggregate.ts'
import type { Form } from './batch-expression.ts'
import { layoutOf } from './batch-filter.ts'
import { BatchGroups } from './batch-groups.ts'
import { type AggregateKernel, type AggregateProgram, aggregateKernel } from './batch-kernel.ts'
import { type Execution, type NodeDescription, Operator } from './execution.ts'
import type { BatchedScan } from './scan.ts'

export class BatchAggregation extends Operator {
  readonly scan: BatchedScan
  /** The same in the row tier: it has the expressions, and takes over. */
  readonly rowTier: Aggregation
  readonly program: AggregateProgram
  readonly #forms: readonly Form[]
  readonly #kernels: (AggregateKernel | undefined)[] = []
  #groups: BatchGroups | undefined
  #batchAt = 0
  #count = 0
  #filled = false
  #delegated = false
  #emitted = 0
  #bytes = 0

  constructor(scan: BatchedScan, rowTier: Aggregation, program: AggregateProgram) {
    super()
    this.scan = scan
    this.rowTier = rowTier
    this.program = program
    this.#forms = program.keys.map((key) => key.form)
  }

  produces(): readonly number[] {
    return this.rowTier.produces()
  }

  require(): void {
    this.rowTier.require()
  }

  open(x: Execution): void {
    this.rowTier.open(x)
    this.#delegated = !this.program.inputs.open(x)
    this.#batchAt = 0
    this.#count = 0
    this.#filled = false
    this.#emitted = 0
    if (this.#delegated) return
    const { calls } = this.rowTier.options
    const own = this.program.calls
    this.#groups = new BatchGroups(
      this.#forms,
      own.flatMap((c) => c.accumulator?.initial ?? []),
      own.map((c) => c.accumulator === undefined),
      (i) => calls[i].code.init(calls[i].site, x.types),
    )
    if (this.#forms.length === 0) this.#groups.find()
  }

  next(x: Execution): Step {
    if (!this.#filled && !this.#delegated) {
      const step = this.#fill(x)
      if (step !== END) return step
    }
    if (this.#delegated) return this.rowTier.next(x)
    if (this.#emitted === this.#groups!.count) return END
    this.#emit(x, this.#emitted++)
    return ROW
  }

  close(x: Execution): void {
    this.rowTier.close(x)
    this.#release(x)
  }

  /** END when all rows are in the groups, or when the row tier goes on. */
  #fill(x: Execution): Step {
    const groups = this.#groups!
    // What has no room is sorted on disk by the row tier; groups that come gathered stay in memory.
    const spills = this.#forms.length > 0 && this.rowTier.options.gathering === undefined
    for (;;) {
      if (this.#batchAt === this.#count) {
        const step = this.scan.fill(x)
        if (step === END) break
        if (step !== ROW) return step
        this.#batchAt = 0
        this.#count = this.scan.batch.count
      }
      while (this.#batchAt < this.#count) this.#advance(x, groups)
      const { bytes } = groups
      x.grow(bytes - this.#bytes)
      this.#bytes = bytes
      if (spills && bytes > x.session.workMemory) {
        this.scan.resume(this.#batchAt)
        this.#handOver(x)
        return END
      }
    }
    if (this.rowTier.hasGroups) this.#handOver(x)
    else {
      this.#filled = true
      this.scan.close(x)
    }
    return END
  }

  /** Lets the loop for the next row's layout run, and does itself what that leaves. */
  #advance(x: Execution, groups: BatchGroups): void {
    const { batch } = this.scan
    const layout = layoutOf(batch, this.#batchAt)
    const kernel = this.#kernel(layout)
    if (kernel !== undefined) {
      this.#batchAt = this.#run(kernel, x, groups)
      if (this.#batchAt === this.#count || layoutOf(batch, this.#batchAt) !== layout) return
    }
    this.#takeRow(x, groups, this.#batchAt++)
  }

  /** A row that a function raises an error for is left to the row tier, which raises what comes first. */
  #run(kernel: AggregateKernel, x: Execution, groups: BatchGroups): number {
    groups.at = -1
    try {
      return kernel(this.scan.batch, this.#batchAt, this.#count, groups, x.types)
    } catch (error) {
      if (!(error instanceof DbError) || groups.at < 0) throw error
      return groups.at
    }
  }

  #kernel(layout: number): AggregateKernel | undefined {
    const { program } = this
    if (layout >= program.access.layouts.length) return undefined
    this.#kernels[layout] ??= aggregateKernel(program, layout)
    return this.#kernels[layout]
  }

  /** One row by way of registers, as the row tier does it. */
  #takeRow(x: Execution, groups: BatchGroups, i: number): void {
    const { scan, program } = this
    const { keys, calls } = this.rowTier.options
    scan.load(x, i)
    if (scan.gathered !== undefined) {
      this.rowTier.takeGathered(x, scan.gathered)
      return
    }
    const { filter } = scan.options
    if (filter !== undefined && filter(x) !== true) return
    for (let k = 0; k < keys.length; k++) groups.key[k] = groups.codeOf(k, keys[k].input(x))
    const group = groups.find()
    let at = group * groups.stride
    for (let c = 0; c < calls.length; c++) {
      const call = calls[c]
      const { accumulator } = program.calls[c]
      const start = at
      at += accumulator?.initial.length ?? 0
      if (call.filter !== undefined && call.filter(x) !== true) continue
      const args: Value[] = call.args.map((a) => a(x))
      if (call.strict && args.includes(null)) continue
      if (accumulator !== undefined) accumulator.take(groups.acc, start, groups.wide, args[0])
      else {
        const objects = groups.objects[c]!
        objects[group] = call.code.step(objects[group], ...args)
      }
    }
  }

  /** The states of a group as the row tier keeps them. */
  #states(x: Execution, group: number): any[] {
    const groups = this.#groups!
    let at = group * groups.stride
    return this.rowTier.options.calls.map(({ code, site }, c) => {
      const { accumulator } = this.program.calls[c]
      if (accumulator === undefined) return groups.objects[c]![group]
      const state = code.init(site, x.types)
      accumulator.save(groups.acc, at, groups.wide, state)
      at += accumulator.initial.length
      return state
    })
  }

  #emit(x: Execution, group: number): void {
    const { keys, calls } = this.rowTier.options
    for (let k = 0; k < keys.length; k++) x.r[keys[k].output] = this.#groups!.valueOf(k, group)
    const states = this.#states(x, group)
    for (let c = 0; c < calls.length; c++) x.r[calls[c].output] = calls[c].code.finish(states[c], x.types)
  }

  #handOver(x: Execution): void {
    const groups = this.#groups!
    for (let group = 0; group < groups.count; group++) {
      const keys = this.#forms.map((_, k) => groups.valueOf(k, group))
      this.rowTier.adopt(x, keys, this.#states(x, group))
    }
    this.#delegated = true
    this.#release(x)
  }

  #release(x: Execution): void {
    x.shrink(this.#bytes)
    this.#bytes = 0
    this.#groups = undefined
  }

  describe(): NodeDescription {
    const groups = this.rowTier.describe().details ?? []
    const rows = this.scan.describe()
    return { name: 'Batch Aggregate', target: rows.target, details: [...groups, ...(rows.details ?? [])] }
  }
}
