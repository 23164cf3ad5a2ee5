/**
 * Joins: nested loop, hash and merge. Left, right, full, semi and anti joins null-extend or filter by registers: a side
 * without a match has all its registers set to null.
 */
import { END, ROW, type Step, YIELD } from '../../base/index.ts'
import type { Type, Value } from '../types/type.ts'
import { type Condition, union } from './basic.ts'
import { type Eval, type Execution, type NodeDescription, Operator } from './execution.ts'

export type JoinType = 'inner' | 'left' | 'right' | 'full' | 'semi' | 'anti'

const typeNames: Record<JoinType, string> = {
  inner: '',
  left: ' Left',
  right: ' Right',
  full: ' Full',
  semi: ' Semi',
  anti: ' Anti',
}

abstract class Join extends Operator {
  readonly type: JoinType
  readonly left: Operator
  readonly right: Operator
  protected leftRegisters: number[] = []
  protected rightRegisters: number[] = []

  constructor(type: JoinType, left: Operator, right: Operator) {
    super()
    this.type = type
    this.left = left
    this.right = right
  }
  produces(): readonly number[] {
    if (this.type === 'semi' || this.type === 'anti') return this.left.produces()
    return [...this.left.produces(), ...this.right.produces()]
  }
  override inputs(): readonly Operator[] {
    return [this.left, this.right]
  }
  protected keep(needed: ReadonlySet<number>): void {
    const l = new Set(this.left.produces())
    const r = new Set(this.right.produces())
    this.leftRegisters = [...needed].filter((n) => l.has(n))
    this.rightRegisters = [...needed].filter((n) => r.has(n))
  }
  /** `require` of joins by keys. */
  protected requireKeyed(
    needed: ReadonlySet<number>,
    keys: readonly JoinKey[],
    condition: Condition | undefined,
  ): void {
    const all = new Set(condition === undefined ? needed : union(needed, condition.uses))
    const l = new Set(all)
    const r = new Set(all)
    for (const k of keys) {
      for (const u of k.leftUses) l.add(u)
      for (const u of k.rightUses) r.add(u)
    }
    this.left.require(l)
    this.right.require(r)
    this.keep(all)
  }
  protected nullRight(x: Execution): void {
    for (const r of this.rightRegisters) x.r[r] = null
  }
  protected nullLeft(x: Execution): void {
    for (const r of this.leftRegisters) x.r[r] = null
  }
}

/** For each left row, the right side afresh: it may look up by the left row's values. */
export class NestedLoop extends Join {
  readonly condition: Condition | undefined
  readonly rightUses: ReadonlySet<number>
  #inRight = false
  #matched = false
  #held = false
  #count = 0

  /** @param rightUses registers of the left side that the right one reads. */
  constructor(
    type: 'inner' | 'left' | 'semi' | 'anti',
    left: Operator,
    right: Operator,
    condition: Condition | undefined,
    rightUses: ReadonlySet<number>,
  ) {
    super(type, left, right)
    this.condition = condition
    this.rightUses = rightUses
  }
  require(needed: ReadonlySet<number>): void {
    const all = this.condition === undefined ? new Set(needed) : union(needed, this.condition.uses)
    this.left.require(union(all, this.rightUses))
    this.right.require(all)
    this.keep(all)
  }
  open(x: Execution): void {
    this.#inRight = false
    this.#held = false
    this.left.open(x)
  }
  next(x: Execution): Step {
    const { type, condition } = this
    for (;;) {
      if (!this.#inRight) {
        const step = this.left.next(x)
        if (step !== ROW) return step
        this.right.open(x)
        this.#inRight = true
        this.#matched = false
      }
      if (!this.#held) {
        const step = this.right.next(x)
        if (step === END) {
          this.#inRight = false
          this.right.close(x)
          if (this.#matched || (type !== 'left' && type !== 'anti')) continue
          this.nullRight(x)
          return ROW
        }
        if (step !== ROW) return step
        if ((++this.#count & 4095) === 0 && x.spent) {
          this.#held = true
          return YIELD
        }
      }
      if (condition !== undefined) {
        this.#held = true
        const pass = condition.eval(x)
        this.#held = false
        if (pass !== true) continue
      }
      this.#held = false
      this.#matched = true
      if (type === 'inner' || type === 'left') return ROW
      this.#inRight = false
      this.right.close(x)
      if (type === 'semi') return ROW
    }
  }
  close(x: Execution): void {
    this.left.close(x)
    this.right.close(x)
    this.#inRight = false
  }
  describe(): NodeDescription {
    return {
      name: `Nested Loop${typeNames[this.type]}${this.type === 'inner' ? '' : ' Join'}`,
      details: this.condition === undefined ? [] : [['Join Filter', this.condition.text]],
    }
  }
}

export interface JoinKey {
  readonly left: Eval
  readonly right: Eval
  /** Gives equal keys for equal values of either side. */
  readonly leftType: Type
  readonly rightType: Type
  readonly leftUses: ReadonlySet<number>
  readonly rightUses: ReadonlySet<number>
}

/** Kept rows that share a key, as a linked list; `matched` for right and full joins. */
class BuildRow {
  readonly values: Value[]
  next: BuildRow | undefined
  matched = false

  constructor(values: Value[], next: BuildRow | undefined) {
    this.values = values
    this.next = next
  }
}

/** The right side in a hash table, the left side probes it. */
export class HashJoin extends Join {
  readonly keys: readonly JoinKey[]
  readonly condition: Condition | undefined
  readonly keyText: string
  #table: Map<any, BuildRow> | undefined
  #unmatchable: BuildRow | undefined
  #built = false
  #opened = false
  #chain: BuildRow | undefined
  #matched = false
  #probing = false
  #held = false
  #tail: Iterator<BuildRow> | undefined
  #bytes = 0
  #count = 0
  readonly #one: boolean

  constructor(
    type: JoinType,
    left: Operator,
    right: Operator,
    keys: readonly JoinKey[],
    condition: Condition | undefined,
    keyText: string,
  ) {
    super(type, left, right)
    this.keys = keys
    this.condition = condition
    this.keyText = keyText
    this.#one = keys.length === 1
  }
  require(needed: ReadonlySet<number>): void {
    this.requireKeyed(needed, this.keys, this.condition)
  }
  open(x: Execution): void {
    this.#table = new Map()
    this.#unmatchable = undefined
    this.#built = false
    this.#opened = false
    this.#chain = undefined
    this.#probing = false
    this.#held = false
    this.#tail = undefined
    this.right.open(x)
  }
  #key(x: Execution, side: 'left' | 'right'): any {
    if (this.#one) {
      const k = this.keys[0]
      const v = side === 'left' ? k.left(x) : k.right(x)
      return v === null ? undefined : (side === 'left' ? k.leftType : k.rightType).key(v)
    }
    let out = ''
    for (const k of this.keys) {
      const v = side === 'left' ? k.left(x) : k.right(x)
      if (v === null) return undefined
      const part = (side === 'left' ? k.leftType : k.rightType).key(v)
      out += typeof part === 'string' ? `${part.length}:${part}` : `${part};`
    }
    return out
  }
  #build(x: Execution): Step {
    const keepAll = this.type === 'right' || this.type === 'full'
    const registers = this.rightRegisters
    for (;;) {
      const step = this.right.next(x)
      if (step === END) return END
      if (step !== ROW) return step
      const key = this.#key(x, 'right')
      if (key === undefined && !keepAll) continue
      const values = new Array(registers.length)
      for (let i = 0; i < registers.length; i++) values[i] = x.r[registers[i]]
      const bytes = 80 + 16 * registers.length
      this.#bytes += bytes
      x.grow(bytes)
      if (key === undefined) this.#unmatchable = new BuildRow(values, this.#unmatchable)
      else this.#table!.set(key, new BuildRow(values, this.#table!.get(key)))
    }
  }
  next(x: Execution): Step {
    if (!this.#built) {
      const step = this.#build(x)
      if (step !== END) return step
      this.right.close(x)
      this.#built = true
      this.left.open(x)
      this.#opened = true
    }
    const { type, condition } = this
    const registers = this.rightRegisters
    for (;;) {
      if (this.#tail !== undefined) return this.#unmatched(x)
      if (!this.#probing) {
        const step = this.left.next(x)
        if (step === END) {
          if (type !== 'right' && type !== 'full') return END
          this.#tail = this.#remaining()
          continue
        }
        if (step !== ROW) return step
        const key = this.#key(x, 'left')
        this.#chain = key === undefined ? undefined : this.#table!.get(key)
        this.#probing = true
        this.#matched = false
      }
      while (this.#chain !== undefined) {
        const row = this.#chain
        if (!this.#held) {
          for (let i = 0; i < registers.length; i++) x.r[registers[i]] = row.values[i]
          if ((++this.#count & 4095) === 0 && x.spent) {
            this.#held = true
            return YIELD
          }
        }
        if (condition !== undefined) {
          this.#held = true
          const pass = condition.eval(x)
          this.#held = false
          if (pass !== true) {
            this.#chain = row.next
            continue
          }
        }
        this.#held = false
        row.matched = true
        this.#matched = true
        this.#chain = row.next
        if (type === 'semi') {
          this.#probing = false
          return ROW
        }
        if (type === 'anti') {
          this.#chain = undefined
          break
        }
        return ROW
      }
      this.#probing = false
      if (!this.#matched && (type === 'left' || type === 'full' || type === 'anti')) {
        this.nullRight(x)
        return ROW
      }
    }
  }
  *#remaining(): Iterator<BuildRow> {
    for (let row = this.#unmatchable; row !== undefined; row = row.next) yield row
    for (const chain of this.#table!.values()) {
      for (let row: BuildRow | undefined = chain; row !== undefined; row = row.next) if (!row.matched) yield row
    }
  }
  #unmatched(x: Execution): Step {
    const result = this.#tail!.next()
    if (result.done) return END
    this.nullLeft(x)
    const registers = this.rightRegisters
    for (let i = 0; i < registers.length; i++) x.r[registers[i]] = result.value.values[i]
    return ROW
  }
  close(x: Execution): void {
    if (this.#opened) this.left.close(x)
    if (!this.#built) this.right.close(x)
    this.#opened = false
    this.#table = undefined
    this.#unmatchable = undefined
    this.#chain = undefined
    this.#tail = undefined
    x.shrink(this.#bytes)
    this.#bytes = 0
  }
  describe(): NodeDescription {
    const details: [string, string][] = [['Hash Cond', this.keyText]]
    if (this.condition !== undefined) details.push(['Join Filter', this.condition.text])
    return { name: `Hash${typeNames[this.type]} Join`, details }
  }
}

/** Both sides sorted on the keys. Inner and left joins; right rows of equal keys are kept and read again. */
export class MergeJoin extends Join {
  readonly keys: readonly JoinKey[]
  readonly condition: Condition | undefined
  readonly keyText: string
  #rightState: 'start' | 'row' | 'end' = 'start'
  #rightKey: Value[] = []
  #group: Value[][] = []
  #groupKey: Value[] | undefined
  #pendingRow: Value[] | undefined
  #leftKey: Value[] | undefined
  #at = 0
  #matched = false
  #phase: 'left' | 'advance' | 'group' | 'emit' = 'left'

  constructor(
    type: 'inner' | 'left',
    left: Operator,
    right: Operator,
    keys: readonly JoinKey[],
    condition: Condition | undefined,
    keyText: string,
  ) {
    super(type, left, right)
    this.keys = keys
    this.condition = condition
    this.keyText = keyText
  }
  require(needed: ReadonlySet<number>): void {
    this.requireKeyed(needed, this.keys, this.condition)
  }
  open(x: Execution): void {
    this.#rightState = 'start'
    this.#group = []
    this.#groupKey = undefined
    this.#pendingRow = undefined
    this.#phase = 'left'
    this.left.open(x)
    this.right.open(x)
  }
  #compare(a: readonly Value[], b: readonly Value[]): number {
    for (let i = 0; i < this.keys.length; i++) {
      const d = this.keys[i].leftType.compare(a[i], b[i])
      if (d !== 0) return d
    }
    return 0
  }
  #readRight(x: Execution): Step {
    const step = this.right.next(x)
    if (step === ROW) {
      this.#rightKey = this.keys.map((k) => k.right(x))
      this.#pendingRow = this.rightRegisters.map((r) => x.r[r])
      this.#rightState = 'row'
    } else if (step === END) {
      this.#pendingRow = undefined
      this.#rightState = 'end'
    }
    return step
  }
  next(x: Execution): Step {
    for (;;) {
      switch (this.#phase) {
        case 'left': {
          const step = this.left.next(x)
          if (step !== ROW) return step
          this.#leftKey = this.keys.map((k) => k.left(x))
          this.#at = 0
          this.#matched = false
          const known =
            this.#groupKey !== undefined &&
            !this.#leftKey.includes(null) &&
            this.#compare(this.#leftKey, this.#groupKey) === 0
          this.#phase = known ? 'emit' : 'advance'
          break
        }
        case 'advance': {
          const step = this.#advance(x)
          if (step !== ROW && step !== END) return step
          break
        }
        case 'group': {
          const step = this.#readRight(x)
          if (step !== ROW && step !== END) return step
          // NULL is in no group, and in no type's order.
          const same = step === ROW && !this.#rightKey.includes(null)
          if (same && this.#compare(this.#groupKey!, this.#rightKey) === 0) {
            this.#group.push(this.#pendingRow!)
            break
          }
          this.#phase = 'emit'
          break
        }
        case 'emit': {
          while (this.#at < this.#group.length) {
            const row = this.#group[this.#at]
            for (let i = 0; i < row.length; i++) x.r[this.rightRegisters[i]] = row[i]
            // A condition that has to wait is asked again for the same row.
            const holds = this.condition === undefined || this.condition.eval(x) === true
            this.#at++
            if (!holds) continue
            this.#matched = true
            return ROW
          }
          this.#phase = 'left'
          if (!this.#matched && this.type === 'left') {
            this.nullRight(x)
            return ROW
          }
        }
      }
    }
  }
  /** Moves the right side up to the left key; begins a group of equal ones, or an empty group. */
  #advance(x: Execution): Step {
    this.#group = []
    this.#groupKey = undefined
    if (this.#leftKey!.includes(null)) {
      this.#phase = 'emit'
      return ROW
    }
    for (;;) {
      if (this.#rightState === 'start') {
        const step = this.#readRight(x)
        if (step !== ROW && step !== END) return step
      }
      if (this.#rightState === 'end') {
        this.#phase = 'emit'
        return END
      }
      const d = this.#rightKey.includes(null) ? 1 : this.#compare(this.#leftKey!, this.#rightKey)
      if (d < 0) {
        this.#phase = 'emit'
        return ROW
      }
      if (d === 0) {
        this.#groupKey = this.#rightKey
        this.#group.push(this.#pendingRow!)
        this.#phase = 'group'
        return ROW
      }
      const step = this.#readRight(x)
      if (step !== ROW && step !== END) return step
    }
  }
  close(x: Execution): void {
    this.left.close(x)
    this.right.close(x)
    this.#group = []
  }
  describe(): NodeDescription {
    const details: [string, string][] = [['Merge Cond', this.keyText]]
    if (this.condition !== undefined) details.push(['Join Filter', this.condition.text])
    return { name: `Merge${typeNames[this.type]} Join`, details }
  }
}
