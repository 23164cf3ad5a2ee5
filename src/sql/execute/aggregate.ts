/**
 * Grouping and aggregation. Group keys and aggregate arguments are in registers when a row arrives; results go to
 * registers of their own. Hash aggregation keeps a state per group; over sorted input one group at a time suffices,
 * and that is what becomes of the groups that the memory has no room for (hash-overflow.ts).
 *
 * Grouping sets run side by side, each with its own table; keys that a set leaves out are NULL in its rows. What their
 * tables have no room for is sorted with the number of its set as the first key.
 */
import { END, ROW, type Step } from '../../base/index.ts'
import type { AggregateCode, CallSite } from '../functions/function.ts'
import { plainContext, type Type, type Value } from '../types/type.ts'
import { type Eval, type Execution, type NodeDescription, Operator } from './execution.ts'
import { overflow } from './hash-overflow.ts'
import type { GatheredRow, SeqScan } from './scan.ts'
import { type RowOrder, rowOrder, type SortKey } from './sort.ts'

export interface AggregateCall {
  readonly code: AggregateCode
  readonly site: CallSite
  readonly args: readonly Eval[]
  readonly filter: Eval | undefined
  readonly distinct: boolean
  readonly argTypes: readonly Type[]
  /** ORDER BY inside the call, or WITHIN GROUP: positions in `args` of the sort keys, after the real arguments. */
  readonly order: readonly SortKey[]
  readonly orderArgs: readonly Eval[]
  /** WITHIN GROUP: how many of `args` are direct. */
  readonly direct: number | undefined
  readonly output: number
  readonly uses: ReadonlySet<number>
  readonly strict: boolean
  /** rank(…) WITHIN GROUP and its like: rows are compared with the row that the direct arguments make. */
  readonly hypothetical: boolean
  readonly text: string
}

export interface GroupKey {
  readonly input: Eval
  readonly output: number
  readonly type: Type
  readonly uses: ReadonlySet<number>
  readonly text: string
}

/** Groups by their keys: a map of maps, one level a key, so that nothing is put together for a look-up. */
class GroupTable {
  readonly groups: Group[] = []
  readonly #types: readonly Type[]
  readonly #root = new Map<any, any>()

  constructor(types: readonly Type[]) {
    this.#types = types
  }

  find(values: readonly Value[]): Group | undefined {
    const types = this.#types
    const n = types.length
    if (n === 0) return this.groups[0]
    let level: any = this.#root
    for (let i = 0; i < n; i++) {
      const v = values[i]
      level = level.get(v === null ? null : types[i].key(v))
      if (level === undefined) return undefined
    }
    return level
  }

  add(values: readonly Value[], group: Group): void {
    this.groups.push(group)
    const types = this.#types
    let level = this.#root
    for (let i = 0; i < types.length; i++) {
      const v = values[i]
      const key = v === null ? null : types[i].key(v)
      if (i === types.length - 1) level.set(key, group)
      else {
        let next = level.get(key)
        if (next === undefined) {
          next = new Map()
          level.set(key, next)
        }
        level = next
      }
    }
  }
}

/** The state of one group. */
class Group {
  readonly keys: Value[]
  readonly states: any[]
  /** Rows kept for ordered and distinct aggregates. */
  readonly kept: (Value[][] | undefined)[]
  readonly seen: (Set<any> | undefined)[]
  /** Direct arguments of ordered-set aggregates, from the first row. */
  readonly direct: (Value[] | undefined)[]
  readonly carried: Value[]

  constructor(keys: Value[], count: number, carried: Value[]) {
    this.keys = keys
    this.states = new Array(count)
    this.kept = []
    this.seen = []
    this.direct = []
    this.carried = carried
  }
}

export interface GroupingSet {
  /** Which of the keys it groups by. */
  readonly keys: readonly number[]
  /** GROUPING() bits by call. */
  readonly grouping: readonly number[]
}

export interface AggregateOptions {
  readonly keys: readonly GroupKey[]
  readonly calls: readonly AggregateCall[]
  readonly sets: readonly GroupingSet[]
  readonly groupingRegisters: readonly number[]
  /** With grouping sets: where the number of a row's set stands when it is sorted. */
  readonly setKey: GroupKey | undefined
  /** Registers that follow from the keys and are taken from a group's first row. */
  readonly carried: readonly number[]
  /** Input arrives sorted by the keys: groups end when the key changes. One set only. */
  readonly sorted: boolean
  /** The input, when it may bring gathered rows among others. */
  readonly gathering: SeqScan | undefined
  /** Types of registers, for spilling. */
  readonly typeOfRegister: (register: number) => Type | undefined
}

export class Aggregation extends Operator {
  readonly input: Operator
  readonly options: AggregateOptions
  #tables: GroupTable[] = []
  #at = 0
  #set = 0
  #filled = false
  #current: Group | undefined
  #bytes = 0
  #done = false
  /** Groups that had no room, one at a time. */
  #rest: Operator | undefined
  readonly #orders: readonly (RowOrder | undefined)[]

  constructor(input: Operator, options: AggregateOptions) {
    super()
    this.input = input
    this.options = options
    this.#orders = options.calls.map((c) =>
      c.order.length === 0
        ? undefined
        : rowOrder(
            c.order,
            c.order.map((_, i) => (c.direct === undefined ? c.args.length : 0) + i),
          ),
    )
  }
  produces(): readonly number[] {
    const { keys, calls, groupingRegisters, carried } = this.options
    return [...keys.map((k) => k.output), ...calls.map((c) => c.output), ...groupingRegisters, ...carried]
  }
  override inputs(): readonly Operator[] {
    return [this.input]
  }
  require(): void {
    const all = new Set<number>(this.options.carried)
    for (const k of this.options.keys) for (const u of k.uses) all.add(u)
    for (const c of this.options.calls) for (const u of c.uses) all.add(u)
    this.input.require(all)
  }
  open(x: Execution): void {
    this.#tables = this.options.sets.map((s) => new GroupTable(s.keys.map((k) => this.options.keys[k].type)))
    this.#at = 0
    this.#set = 0
    this.#filled = false
    this.#current = undefined
    this.#done = false
    this.input.open(x)
  }
  next(x: Execution): Step {
    if (this.options.sorted) return this.#nextSorted(x)
    if (!this.#filled) {
      const step = this.#rest === undefined ? this.#fill(x) : END
      if (step !== END) return step
      if (this.#rest !== undefined) {
        const step = this.#rest.next(x)
        if (step !== END) return step
        this.#rest.close(x)
        this.#rest = undefined
      }
      this.#filled = true
      this.input.close(x)
      this.#addEmptyGroups(x)
    }
    for (;;) {
      const groups = this.#tables[this.#set]?.groups
      if (groups === undefined) return END
      if (this.#at < groups.length) {
        this.#emit(x, groups[this.#at++], this.#set)
        return ROW
      }
      this.#set++
      this.#at = 0
    }
  }
  #fill(x: Execution): Step {
    const { keys, sets } = this.options
    const plain = sets.length === 1 && sets[0].keys.length === keys.length
    const table = this.#tables[0]
    const values: Value[] = new Array(keys.length)
    // A group that had no room could come gathered later, and would be there twice: what is gathered stays in memory.
    const spills = keys.length > 0 && this.options.gathering === undefined
    let limit = spills ? x.session.workMemory : Number.POSITIVE_INFINITY
    for (;;) {
      const step = this.input.next(x)
      if (step !== ROW) return step
      const gathered = this.options.gathering?.gathered
      if (gathered !== undefined) {
        this.takeGathered(x, gathered)
        continue
      }
      for (let i = 0; i < keys.length; i++) values[i] = keys[i].input(x)
      if (plain) this.#step(x, table.find(values) ?? this.#add(x, 0, values))
      else {
        for (let s = 0; s < sets.length; s++) {
          const own = sets[s].keys.map((k) => values[k])
          this.#step(x, this.#tables[s].find(own) ?? this.#add(x, s, own))
        }
      }
      if (this.#bytes <= limit) continue
      this.#rest = this.#overflow(x)
      if (this.#rest !== undefined) return END
      limit = Number.POSITIVE_INFINITY
    }
  }
  /** Groups that were made elsewhere: they are few, and kept whatever memory there is. */
  takeGathered(x: Execution, [texts, saved]: GatheredRow): void {
    const { keys, calls } = this.options
    const plain = plainContext(x.types)
    const values = keys.map(({ type }, i) => (texts[i] === null ? null : type.parse(texts[i]!, -1, plain)))
    const { states } = this.#tables[0].find(values) ?? this.#add(x, 0, values)
    for (let i = 0; i < calls.length; i++) states[i] = calls[i].code.partial!.merge(states[i], saved[i], plain)
  }
  /** Takes a group over with its states; one that is here already is merged with it. Of plain grouping only. */
  adopt(x: Execution, values: readonly Value[], states: readonly any[]): void {
    const { calls } = this.options
    const known = this.#tables[0].find(values)
    const plain = plainContext(x.types)
    const own = known ?? this.#add(x, 0, values)
    for (let i = 0; i < calls.length; i++) {
      const { partial } = calls[i].code
      own.states[i] =
        known === undefined ? states[i] : partial!.merge(own.states[i], partial!.save(states[i], plain), plain)
    }
  }
  /** Whether there are groups, made elsewhere as long as no row was taken here. */
  get hasGroups(): boolean {
    return this.#tables[0].groups.length > 0
  }
  /** From now on only groups that are in the table grow; the rows of others are sorted and grouped after. */
  #overflow(x: Execution): Operator | undefined {
    const { calls, carried, sets, setKey, typeOfRegister } = this.options
    const keys = setKey === undefined ? this.options.keys : [setKey, ...this.options.keys]
    const needed = new Set(carried)
    for (const c of calls) for (const u of c.uses) needed.add(u)
    const sorted = overflow(x, {
      input: this.input,
      keys: keys.map((k) => ({ register: k.output, type: k.type })),
      needed,
      typeOfRegister,
      tables: sets.length,
      take: setKey === undefined ? this.#takePlain() : this.#takeForSet(setKey),
    })
    if (sorted === undefined) return undefined
    const rest = new Aggregation(sorted, {
      ...this.options,
      keys: keys.map((k) => ({ ...k, input: (x) => x.r[k.output] })),
      sorted: true,
    })
    rest.open(x)
    return rest
  }
  /** Takes rows of groups that are in the table; others' keys are put where the sort finds them. */
  #takePlain(): (x: Execution) => boolean {
    const { keys } = this.options
    const [table] = this.#tables
    const values: Value[] = new Array(keys.length)
    return (x) => {
      for (let i = 0; i < keys.length; i++) values[i] = keys[i].input(x)
      const group = table.find(values)
      if (group !== undefined) this.#step(x, group)
      else for (let i = 0; i < keys.length; i++) x.r[keys[i].output] = values[i]
      return group !== undefined
    }
  }
  #takeForSet(setKey: GroupKey): (x: Execution, set: number) => boolean {
    const { keys, sets } = this.options
    const values: Value[] = new Array(keys.length)
    return (x, set) => {
      if (set === 0) for (let i = 0; i < keys.length; i++) values[i] = keys[i].input(x)
      const chosen = sets[set].keys
      const group = this.#tables[set].find(chosen.map((k) => values[k]))
      if (group !== undefined) {
        this.#step(x, group)
        return true
      }
      for (const k of keys) x.r[k.output] = null
      for (const k of chosen) x.r[keys[k].output] = values[k]
      x.r[setKey.output] = set
      return false
    }
  }
  /** @param own the values of the set's own keys, in their order. */
  #add(x: Execution, set: number, own: readonly Value[]): Group {
    const chosen = this.options.sets[set].keys
    const values: Value[] = this.options.keys.map(() => null)
    chosen.forEach((k, i) => {
      values[k] = own[i]
    })
    const group = this.#newGroup(x, values)
    this.#tables[set].add(own, group)
    const bytes = 120 + 32 * this.options.calls.length
    this.#bytes += bytes
    x.grow(bytes)
    return group
  }
  #newGroup(x: Execution, values: Value[]): Group {
    const { calls, carried } = this.options
    const group = new Group(
      values,
      calls.length,
      carried.map((c) => x.r[c]),
    )
    for (let i = 0; i < calls.length; i++) {
      group.states[i] = calls[i].code.init(calls[i].site, x.types)
      if (this.#orders[i] !== undefined) group.kept[i] = []
      if (calls[i].distinct) group.seen[i] = new Set()
    }
    return group
  }
  #step(x: Execution, group: Group): void {
    const { calls } = this.options
    const { states } = group
    for (let i = 0; i < calls.length; i++) {
      const call = calls[i]
      if (call.filter !== undefined && call.filter(x) !== true) continue
      const { args, code } = call
      if (group.kept[i] !== undefined || call.distinct) {
        this.#keepRow(x, group, i)
        continue
      }
      if (args.length === 1) {
        const v = args[0](x)
        if (v !== null || !call.strict) states[i] = code.step(states[i], v)
      } else if (args.length === 0) states[i] = code.step(states[i])
      else if (args.length === 2) {
        const a = args[0](x)
        const b = args[1](x)
        if (!call.strict || (a !== null && b !== null)) states[i] = code.step(states[i], a, b)
      } else {
        const values = args.map((a) => a(x))
        if (!call.strict || !values.includes(null)) states[i] = code.step(states[i], ...values)
      }
    }
  }
  #keepRow(x: Execution, group: Group, i: number): void {
    const call = this.options.calls[i]
    if (call.direct !== undefined) {
      group.direct[i] ??= call.args.map((a) => a(x))
      this.#push(
        x,
        group.kept[i]!,
        call.orderArgs.map((o) => o(x)),
      )
      return
    }
    const values = call.args.map((a) => a(x))
    if (call.strict && values.includes(null)) return
    if (call.distinct) {
      const key = values.map((v, k) => keyPart(v, call.argTypes[k])).join('')
      if (group.seen[i]!.has(key)) return
      group.seen[i]!.add(key)
    }
    const kept = group.kept[i]
    if (kept === undefined) group.states[i] = call.code.step(group.states[i], ...values)
    else this.#push(x, kept, [...values, ...call.orderArgs.map((o) => o(x))])
  }
  #push(x: Execution, kept: Value[][], row: Value[]): void {
    kept.push(row)
    const bytes = 48 + 16 * row.length
    this.#bytes += bytes
    x.grow(bytes)
  }
  #finish(x: Execution, group: Group, i: number): Value {
    const call = this.options.calls[i]
    const kept = group.kept[i]
    let state = group.states[i]
    if (kept === undefined) return call.code.finish(state, x.types)
    kept.sort(this.#orders[i])
    if (call.direct === undefined) {
      for (const row of kept) state = call.code.step(state, ...row.slice(0, call.args.length))
      return call.code.finish(state, x.types)
    }
    const direct = group.direct[i] ?? call.args.map((a) => a(x))
    if (call.hypothetical) {
      const order = this.#orders[i]!
      let before: Value[] | undefined
      for (const row of kept) {
        state = call.code.step(state, order(row, direct), before === undefined || order(before, row) !== 0)
        before = row
      }
    } else for (const row of kept) if (!call.strict || row[0] !== null) state = call.code.step(state, ...row)
    return call.code.finish(state, x.types, ...direct)
  }
  #emit(x: Execution, group: Group, set: number): void {
    const { keys, calls, groupingRegisters, sets, carried } = this.options
    for (let i = 0; i < keys.length; i++) x.r[keys[i].output] = group.keys[i]
    for (let i = 0; i < carried.length; i++) x.r[carried[i]] = group.carried[i]
    for (let i = 0; i < groupingRegisters.length; i++) x.r[groupingRegisters[i]] = sets[set].grouping[i]
    for (let i = 0; i < calls.length; i++) x.r[calls[i].output] = this.#finish(x, group, i)
  }
  /** The set of a group that came out of the sort. */
  #setOf(group: Group): number {
    return this.options.setKey === undefined ? 0 : group.keys[0]
  }
  /** A set without keys has one row even when nothing came in. */
  #addEmptyGroups(x: Execution): void {
    const { sets } = this.options
    for (let s = 0; s < sets.length; s++) {
      if (sets[s].keys.length === 0 && this.#tables[s].groups.length === 0) this.#add(x, s, [])
    }
  }
  #nextSorted(x: Execution): Step {
    const { keys } = this.options
    if (this.#done) return END
    for (;;) {
      const step = this.input.next(x)
      if (step !== ROW && step !== END) return step
      if (step === END) {
        this.#done = true
        if (this.#current === undefined) {
          if (keys.length > 0) return END
          this.#current = this.#newGroup(x, [])
        }
        this.#emit(x, this.#current, this.#setOf(this.#current))
        return ROW
      }
      const values = keys.map((k) => k.input(x))
      const group = this.#current
      if (group === undefined) this.#current = this.#newGroup(x, values)
      else if (!values.every((v, i) => sameKey(v, group.keys[i], keys[i].type))) {
        x.shrink(this.#bytes)
        this.#bytes = 0
        this.#current = this.#newGroup(x, values)
        this.#step(x, this.#current)
        this.#emit(x, group, this.#setOf(group))
        return ROW
      }
      this.#step(x, this.#current!)
    }
  }
  close(x: Execution): void {
    if (this.#rest !== undefined) this.#rest.close(x)
    else if (!this.#filled) this.input.close(x)
    this.#rest = undefined
    this.#tables = []
    this.#current = undefined
    x.shrink(this.#bytes)
    this.#bytes = 0
  }
  describe(): NodeDescription {
    const { keys, sets, sorted } = this.options
    const name =
      sets.length > 1 ? 'MixedAggregate' : keys.length === 0 ? 'Aggregate' : sorted ? 'GroupAggregate' : 'HashAggregate'
    const details: [string, string][] = keys.length === 0 ? [] : [['Group Key', keys.map((k) => k.text).join(', ')]]
    const remote = this.options.calls.map((c) => c.text).join(', ')
    if (this.options.gathering !== undefined) details.push(['Remote Aggregate', remote === '' ? 'groups' : remote])
    return { name, details }
  }
}

function sameKey(a: Value, b: Value, type: Type): boolean {
  if (a === null || b === null) return a === b
  return type.key(a) === type.key(b)
}

/** A key's part that no other sequence of parts can look like. */
export function keyPart(value: Value, type: Type): string {
  if (value === null || value === undefined) return 'n'
  const key = type.key(value)
  return typeof key === 'string' ? `s${key.length}:${key}` : `v${String(key)};`
}

/** DISTINCT by hashing; rows that the memory has no room for are sorted (hash-overflow.ts). */
export class HashDistinct extends Operator {
  readonly input: Operator
  readonly columns: readonly { readonly register: number; readonly type: Type }[]
  #seen = new Set<string>()
  #bytes = 0
  #needed = new Set<number>()
  #rest: Operator | undefined
  #limit = 0
  readonly typeOfRegister: (register: number) => Type | undefined

  constructor(
    input: Operator,
    columns: readonly { readonly register: number; readonly type: Type }[],
    typeOfRegister: (register: number) => Type | undefined,
  ) {
    super()
    this.input = input
    this.columns = columns
    this.typeOfRegister = typeOfRegister
  }
  produces(): readonly number[] {
    return this.input.produces()
  }
  override inputs(): readonly Operator[] {
    return [this.input]
  }
  require(needed: ReadonlySet<number>): void {
    this.#needed = new Set([...needed, ...this.columns.map((c) => c.register)])
    this.input.require(this.#needed)
  }
  open(x: Execution): void {
    this.#seen = new Set()
    this.#limit = x.session.workMemory
    this.input.open(x)
  }
  next(x: Execution): Step {
    if (this.#rest !== undefined) return this.#rest.next(x)
    for (;;) {
      const step = this.input.next(x)
      if (step !== ROW) return step
      const key = this.#key(x)
      if (this.#seen.has(key)) continue
      this.#seen.add(key)
      const bytes = 64 + key.length
      this.#bytes += bytes
      x.grow(bytes)
      if (this.#bytes > this.#limit) this.#overflow(x)
      return ROW
    }
  }
  #key(x: Execution): string {
    let key = ''
    for (const c of this.columns) key += keyPart(x.r[c.register], c.type)
    return key
  }
  #overflow(x: Execution): void {
    const { input, columns, typeOfRegister } = this
    const take = () => this.#seen.has(this.#key(x))
    const sorted = overflow(x, { input, keys: columns, needed: this.#needed, typeOfRegister, take })
    this.#limit = Number.POSITIVE_INFINITY
    if (sorted === undefined) return
    this.#rest = new Unique(sorted, columns)
    this.#rest.open(x)
  }
  close(x: Execution): void {
    if (this.#rest !== undefined) this.#rest.close(x)
    else this.input.close(x)
    this.#rest = undefined
    this.#seen = new Set()
    x.shrink(this.#bytes)
    this.#bytes = 0
  }
  describe(): NodeDescription {
    return { name: 'HashAggregate' }
  }
}

/** DISTINCT and DISTINCT ON over input sorted by the columns: the first row of each run. */
export class Unique extends Operator {
  readonly input: Operator
  readonly columns: readonly { readonly register: number; readonly type: Type }[]
  #last: Value[] | undefined

  constructor(input: Operator, columns: readonly { readonly register: number; readonly type: Type }[]) {
    super()
    this.input = input
    this.columns = columns
  }
  produces(): readonly number[] {
    return this.input.produces()
  }
  override inputs(): readonly Operator[] {
    return [this.input]
  }
  require(needed: ReadonlySet<number>): void {
    this.input.require(new Set([...needed, ...this.columns.map((c) => c.register)]))
  }
  open(x: Execution): void {
    this.#last = undefined
    this.input.open(x)
  }
  next(x: Execution): Step {
    for (;;) {
      const step = this.input.next(x)
      if (step !== ROW) return step
      const row = this.columns.map((c) => x.r[c.register])
      const last = this.#last
      if (last !== undefined && row.every((v, i) => sameKey(v, last[i], this.columns[i].type))) continue
      this.#last = row
      return ROW
    }
  }
  close(x: Execution): void {
    this.input.close(x)
  }
  describe(): NodeDescription {
    return { name: 'Unique' }
  }
}
