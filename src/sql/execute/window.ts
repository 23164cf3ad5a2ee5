/**
 * Window functions. Input arrives sorted by partition and order keys; one partition at a time is kept, in memory or on
 * disk, and goes on row by row with the functions' results in registers.
 *
 *   a kept row   │ registers read above │ arguments of function 1, its filter │ arguments of function 2, … │
 *
 * Frames of aggregates move: rows that left are undone when the aggregate can, else it starts at the frame's start.
 * Work on a row may be broken off (a block must be read, the slice is over) and is taken up where it was.
 *
 * Not here: frames' bounds (window-frame.ts), where rows are kept (window-rows.ts).
 */
import { END, ROW, type Step, WAIT, YIELD } from '../../base/index.ts'
import type { AggregateCode, CallSite, WindowCode, WindowPartition } from '../functions/function.ts'
import { boolOid } from '../types/oids.ts'
import type { Type, Value } from '../types/type.ts'
import { type Eval, type Execution, type NodeDescription, Operator } from './execution.ts'
import { type FrameOptions, Frames, PeerGroups } from './window-frame.ts'
import { notHere, PartitionRows } from './window-rows.ts'

export interface WindowFunction {
  readonly window: WindowCode | undefined
  readonly aggregate: AggregateCode | undefined
  readonly site: CallSite
  readonly args: readonly Eval[]
  readonly filter: Eval | undefined
  readonly output: number
  readonly uses: ReadonlySet<number>
}

export interface WindowOptions extends FrameOptions {
  readonly partition: readonly { readonly register: number; readonly type: Type }[]
  readonly functions: readonly WindowFunction[]
  readonly offsetUses: ReadonlySet<number>
  /** Types of registers, for spilling. */
  readonly typeOfRegister: (register: number) => Type | undefined
}

/** Thrown where the slice is over. */
const turn = Symbol('turn')
/** Rows between two looks at the clock. */
const look = 1024

export class WindowOperator extends Operator {
  readonly input: Operator
  readonly options: WindowOptions
  #registers: number[] = []
  #partitionAt: number[] = []
  #orderAt: number[] = []
  /** Where each function's arguments begin in a kept row. */
  #argsAt: number[] = []
  #types: readonly Type[] | undefined
  #rows: PartitionRows | undefined
  #peers = new PeerGroups()
  #peerBytes = 0
  #frames: Frames | undefined
  #calls: Call[] = []
  #first: Value[] | undefined
  #previous: Value[] | undefined
  /** A row of the input is in the registers and not kept yet. */
  #arrived = false
  /** The first row of the next partition. */
  #next: Value[] | undefined
  /** All of the partition is there. */
  #whole = false
  #at = 0
  #call = 0
  #work = 0
  #inputEnded = false

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
    let at = this.#registers.length
    this.#argsAt = functions.map((f) => {
      const start = at
      at += f.args.length + (f.filter === undefined ? 0 : 1)
      return start
    })
    this.input.require(all)
  }
  open(x: Execution): void {
    this.#types = this.#spillTypes(x)
    this.#first = undefined
    this.#next = undefined
    this.#arrived = false
    this.#inputEnded = false
    this.input.open(x)
  }
  /** The types of a kept row's cells; undefined where it cannot go to disk. */
  #spillTypes(x: Execution): readonly Type[] | undefined {
    if (!x.session.spill.available) return undefined
    const { typeOfRegister, functions } = this.options
    const { types } = x.types
    const cells = this.#registers.map((r) => typeOfRegister(r))
    for (const f of functions) {
      cells.push(...f.args.map((_, i) => types.type(f.site.argTypes[i])))
      if (f.filter !== undefined) cells.push(types.type(boolOid))
    }
    return cells.includes(undefined) ? undefined : (cells as Type[])
  }
  next(x: Execution): Step {
    const rows = this.#rows
    if (rows?.waiting) return this.#wait(x, rows)
    try {
      for (;;) {
        if (this.#frames !== undefined) {
          if (this.#at < this.#rows!.count) return this.#emit(x)
          this.#endPartition(x)
        }
        if (!this.#whole) {
          const step = this.#fill(x)
          if (step !== END) return step
          if (this.#rows === undefined) return END
          this.#whole = true
        }
        this.#begin(x)
      }
    } catch (thrown) {
      if (thrown === notHere) return this.#wait(x, this.#rows!)
      if (thrown === turn) return YIELD
      throw thrown
    }
  }
  #wait(x: Execution, rows: PartitionRows): Step {
    x.blocker = rows
    return WAIT
  }
  /** Takes in a partition. END: it is whole, or there is none. */
  #fill(x: Execution): Step {
    if (this.#next !== undefined) {
      const row = this.#next
      this.#next = undefined
      this.#keep(x, row)
    }
    for (;;) {
      if (this.#inputEnded) return END
      if (!this.#arrived) {
        const step = this.input.next(x)
        if (step === END) {
          this.#inputEnded = true
          return END
        }
        if (step !== ROW) return step
        this.#arrived = true
      }
      const row = this.#take(x)
      this.#arrived = false
      if (this.#first !== undefined && !this.#samePartition(this.#first, row)) {
        this.#next = row
        return END
      }
      this.#keep(x, row)
      const rows = this.#rows!
      if (rows.full(x)) {
        rows.spill(x)
        return this.#wait(x, rows)
      }
      if (rows.count % look === 0 && x.spent) return YIELD
    }
  }
  #take(x: Execution): Value[] {
    const row: Value[] = this.#registers.map((r) => x.r[r])
    for (const f of this.options.functions) {
      for (const a of f.args) row.push(a(x))
      if (f.filter !== undefined) row.push(f.filter(x) === true)
    }
    return row
  }
  #keep(x: Execution, row: Value[]): void {
    if (this.#first === undefined) {
      this.#first = row
      this.#rows = new PartitionRows(this.#types)
      this.#peers = new PeerGroups()
      this.#peers.add(0)
    } else if (!this.#arePeers(this.#previous!, row)) this.#peers.add(this.#rows!.count)
    const grown = this.#peers.bytes - this.#peerBytes
    this.#peerBytes += grown
    x.grow(grown)
    this.#previous = row
    this.#rows!.push(x, row)
  }
  #samePartition(a: readonly Value[], b: readonly Value[]): boolean {
    return this.options.partition.every((p, i) => same(a[this.#partitionAt[i]], b[this.#partitionAt[i]], p.type))
  }
  #arePeers(a: readonly Value[], b: readonly Value[]): boolean {
    return this.options.order.every((o, k) => same(a[this.#orderAt[k]], b[this.#orderAt[k]], o.type))
  }
  #restore(x: Execution, row: number): void {
    const values = this.#rows!.get(x, row)
    for (let i = 0; i < this.#registers.length; i++) x.r[this.#registers[i]] = values[i]
  }
  #begin(x: Execution): void {
    this.#restore(x, 0)
    const rows = this.#rows!
    const frames = new Frames(this.options, x, rows, this.#orderAt[0], this.#peers)
    this.#calls = this.options.functions.map((f, i) =>
      f.window === undefined
        ? new MovingAggregate(f, this.#argsAt[i], rows, frames, () => this.#working(x))
        : new PartitionCall(f, this.#argsAt[i], rows, frames),
    )
    this.#at = 0
    this.#call = 0
    this.#frames = frames
  }
  #working(x: Execution): void {
    if (++this.#work % look === 0 && x.spent) throw turn
  }
  /** Computes what is left of the row under way, and hands it on. */
  #emit(x: Execution): Step {
    const { functions } = this.options
    for (; this.#call < functions.length; this.#call++)
      this.#calls[this.#call].result = this.#calls[this.#call].compute(x, this.#at)
    this.#restore(x, this.#at)
    for (let i = 0; i < functions.length; i++) x.r[functions[i].output] = this.#calls[i].result
    this.#call = 0
    this.#at++
    return ROW
  }
  #endPartition(x: Execution): void {
    this.#rows?.close(x)
    this.#rows = undefined
    this.#frames = undefined
    this.#calls = []
    this.#whole = false
    this.#first = undefined
    this.#previous = undefined
    x.shrink(this.#peerBytes)
    this.#peerBytes = 0
  }
  close(x: Execution): void {
    this.input.close(x)
    this.#endPartition(x)
  }
  describe(): NodeDescription {
    return { name: 'WindowAgg' }
  }
}

function same(a: Value, b: Value, type: Type): boolean {
  if (a === null || b === null) return a === b
  return type.compare(a, b) === 0
}

/** A function over one partition: asked for its value at each row in turn. */
interface Call {
  result: Value
  /** Throws `notHere` and `turn`, and goes on where it was when asked again. */
  compute(x: Execution, row: number): Value
}

class PartitionCall implements Call {
  result: Value
  readonly #call: WindowFunction
  readonly #partition: WindowPartition
  #state: unknown
  #begun = false
  #x: Execution | undefined
  #current = 0

  constructor(call: WindowFunction, argsAt: number, rows: PartitionRows, frames: Frames) {
    this.#call = call
    const current = () => this.#current
    const at = (row: number) => rows.get(this.#x!, row)
    this.#partition = {
      rows: rows.count,
      get current() {
        return current()
      },
      get peersStart() {
        return frames.peersStart(current())
      },
      get peersEnd() {
        return frames.peersEnd(current())
      },
      get frameRows() {
        return frames.rows(current())
      },
      frameRow: (n) => frames.row(current(), n),
      argument: (i, row) => at(row)[argsAt + i],
    }
  }
  compute(x: Execution, row: number): Value {
    this.#x = x
    this.#current = row
    if (!this.#begun) this.#state = this.#call.window!.init(this.#call.site, x.types)
    this.#begun = true
    return this.#call.window!.value(this.#partition, this.#state)
  }
}

class MovingAggregate implements Call {
  result: Value
  readonly #call: WindowFunction
  readonly #argsAt: number
  readonly #rows: PartitionRows
  readonly #frames: Frames
  readonly #working: () => void
  #state: unknown
  /** The state holds the rows from `#start` to `#end`. */
  #start = 0
  #end = 0
  /** The row under way, and its frame. */
  #row = -1
  #from = 0
  #to = 0
  /** The result is that of the state. */
  #finished = false

  constructor(call: WindowFunction, argsAt: number, rows: PartitionRows, frames: Frames, working: () => void) {
    this.#call = call
    this.#argsAt = argsAt
    this.#rows = rows
    this.#frames = frames
    this.#working = working
  }
  compute(x: Execution, row: number): Value {
    const code = this.#call.aggregate!
    const frames = this.#frames
    if (this.#row !== row) this.#enter(x, row)
    for (; this.#start < this.#from; this.#start++) {
      this.#working()
      const args = this.#argsOf(x, this.#start)
      if (args !== undefined) this.#state = code.unstep!(this.#state, ...args)
      this.#finished = false
    }
    for (; this.#end < this.#to; this.#end++) {
      this.#working()
      if (frames.excludes && frames.excluded(row, this.#end)) continue
      const args = this.#argsOf(x, this.#end)
      if (args !== undefined) this.#state = code.step(this.#state, ...args)
      this.#finished = false
    }
    if (this.#finished) return this.result
    this.#finished = true
    return code.finish(this.#state, x.types)
  }
  /** Begins a row: decides whether its frame goes on from the last one's. */
  #enter(x: Execution, row: number): void {
    const code = this.#call.aggregate!
    const from = this.#frames.start(row)
    const to = Math.max(from, this.#frames.end(row))
    const anew =
      this.#row < 0 ||
      this.#frames.excludes ||
      from < this.#start ||
      to < this.#end ||
      (from > this.#start && code.unstep === undefined) ||
      (from >= this.#end && from > this.#start)
    if (anew) {
      this.#state = code.init(this.#call.site, x.types)
      this.#start = from
      this.#end = from
      this.#finished = false
    }
    this.#from = from
    this.#to = to
    this.#row = row
  }
  /** The arguments at a row; undefined when it does not count. */
  #argsOf(x: Execution, row: number): Value[] | undefined {
    const values = this.#rows.get(x, row)
    const { args, filter, aggregate } = this.#call
    const at = this.#argsAt
    if (filter !== undefined && values[at + args.length] !== true) return undefined
    const own = values.slice(at, at + args.length)
    return aggregate!.strict && own.includes(null) ? undefined : own
  }
}
