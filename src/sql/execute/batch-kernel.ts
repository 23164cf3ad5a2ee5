/**
 * Loops over the rows of a batch, made for one query and one row layout.
 *
 *   filter      writes the numbers of the rows that pass into `out`; of a row that is left to the row tier, ~number
 *   aggregate   filters, finds each row's group and adds to its accumulators; stops at a row that is left
 *
 * Both stop at a row of another layout. Loops of the same text share their compiled code.
 *
 * Not here: the code of expressions (batch-code.ts), what is done about rows that are left (batch-filter.ts,
 * batch-aggregate.ts).
 */
import type { EntryBatch } from '../../storage/index.ts'
import { type Accumulator, carry, overflowed } from '../functions/accumulators.ts'
import { decodeUtf8 } from '../types/code-points.ts'
import type { TypeContext } from '../types/type.ts'
import { BatchCode, isTrue, nullable, type Piece } from './batch-code.ts'
import type { BatchExpr, BatchInputs } from './batch-expression.ts'
import { type BatchGroups, mixSource, nullKey } from './batch-groups.ts'
import type { TableAccess } from './tables.ts'

/** How far a filter has come: entries in `out`, and the row that a function may raise an error for. */
export interface FilterState {
  count: number
  at: number
}

/**
 * Handles rows from `from` until `to` or one of another layout, which it returns. An error that a function raises for row
 * `state.at` is thrown; the row is not among those in `out`.
 */
export type FilterKernel = (
  batch: EntryBatch,
  from: number,
  to: number,
  out: Int32Array,
  state: FilterState,
  types: TypeContext,
) => number

/**
 * Handles rows from `from` until `to` or one that it cannot, which it returns. An error of a function is thrown, with
 * `groups.at` the row when nothing has been taken of it, else −1.
 */
export type AggregateKernel = (
  batch: EntryBatch,
  from: number,
  to: number,
  groups: BatchGroups,
  types: TypeContext,
) => number

export interface BatchCall {
  readonly args: readonly BatchExpr[]
  readonly filter: BatchExpr | undefined
  readonly strict: boolean
  /** Undefined: the group has an object, changed by `step`. */
  readonly accumulator: Accumulator | undefined
  readonly step: (state: any, ...args: any[]) => any
}

export interface AggregateProgram {
  readonly access: TableAccess
  readonly inputs: BatchInputs
  readonly tests: readonly BatchExpr[]
  readonly keys: readonly BatchExpr[]
  readonly calls: readonly BatchCall[]
  /** Among the rows may be groups that were made elsewhere. */
  readonly gathers: boolean
}

const made = new Map<string, (...environment: unknown[]) => any>()

/** A function of the given text, closed over what belongs to this plan. */
function make(access: TableAccess, inputs: BatchInputs, steps: readonly unknown[], source: string): any {
  let factory = made.get(source)
  if (factory === undefined) {
    const names = 'inputs, f, missing, codecs, steps, text, sameBytes, sameRange, carry, overflowed'
    factory = new Function(...names.split(', '), `return ${source}`) as () => any
    if (made.size > 1000) made.clear()
    made.set(source, factory)
  }
  const { missing, types } = access
  return factory(inputs, inputs.calls, missing, types, steps, decodeUtf8, sameBytes, sameRange, carry, overflowed)
}

function sameBytes(b: Uint8Array, from: number, to: number, other: Uint8Array): boolean {
  const n = to - from
  if (n !== other.length) return false
  for (let i = 0; i < n; i++) if (b[from + i] !== other[i]) return false
  return true
}

function sameRange(b: Uint8Array, from: number, to: number, other: number, otherEnd: number): boolean {
  if (to - from !== otherEnd - other) return false
  for (let i = from, j = other; i < to; i++, j++) if (b[i] !== b[j]) return false
  return true
}

/** What every loop begins with. Rows of which nothing is read need not be looked at, unless some may be none. */
function opening(inputs: BatchInputs, layout: number, reads: boolean): string {
  const hoisted = inputs.inputs.flatMap(({ form, present }, i) => {
    if (form !== 'number' && form !== 'boolean') return []
    const zero = form === 'number' ? '0' : 'false'
    return present ? [`const p${i} = p[${i}]`] : [`const pn${i} = p[${i}] === null, p${i} = pn${i} ? ${zero} : p[${i}]`]
  })
  const constants = `const { values: p, bytes: pb, members: sets } = inputs
  ${hoisted.join('\n')}`
  if (!reads) return `${constants}\n  for (let i = from; i < to; i++) {`
  return `const { slabs, slab, valueStart } = batch
  ${constants}
  let b = slabs[slab[from]].bytes, v = slabs[slab[from]].view, current = slab[from]
  for (let i = from; i < to; i++) {
    if (slab[i] !== current) { current = slab[i]; b = slabs[current].bytes; v = slabs[current].view }
    const s = valueStart[i]
    const w = v.getUint32(s)
    if (w >>> 16 !== ${layout}) LEAVE`
}

/** Tests one after the other; rows that fail one go no further. */
function emitTests(code: BatchCode, tests: readonly BatchExpr[]): void {
  for (const test of tests) {
    code.load([test])
    code.add(`if (!(${isTrue(code.emit(test))})) continue`)
  }
}

export function filterKernel(
  access: TableAccess,
  layout: number,
  inputs: BatchInputs,
  tests: readonly BatchExpr[],
): FilterKernel {
  const code = new BatchCode(access, access.layouts[layout], inputs, '{ out[count++] = ~i; continue }')
  if (inputs.calls.length > 0) code.add('state.count = count; state.at = i')
  emitTests(code, tests)
  const source = `function filter(batch, from, to, out, state, types) {
  let { count } = state
  ${opening(inputs, layout, true).replace('LEAVE', '{ state.count = count; return i }')}
    ${code.lines.join('\n    ')}
    out[count++] = i
  }
  state.count = count
  return to
}`
  return make(access, inputs, [], source)
}

export function aggregateKernel(program: AggregateProgram, layout: number): AggregateKernel {
  const { access, inputs, tests, keys, calls } = program
  if (tests.length + keys.length === 0 && !program.gathers && calls.every(countsRows)) return countKernel
  const code = new BatchCode(access, access.layouts[layout], inputs, 'return i')
  if (inputs.calls.length > 0) code.add('groups.at = i')
  emitTests(code, tests)
  code.load([...keys, ...calls.flatMap((c) => (c.filter === undefined ? c.args : [...c.args, c.filter]))])
  const names = keys.map((key, k) => emitKey(code, key, k))
  const taken = calls.map((call) => emitCall(code, call))
  emitFind(
    code,
    names,
    calls.reduce((n, c) => n + (c.accumulator?.initial.length ?? 0), 0),
  )
  let at = 0
  calls.forEach((call, i) => {
    emitTake(code, call, i, taken[i], at)
    at += call.accumulator?.initial.length ?? 0
  })
  const source = `function aggregate(batch, from, to, groups, types) {
  let { keys, acc, slots, mask } = groups
  const { wide, texts, objects } = groups
  let g = 0${names.map((_, k) => `, last${k} = NaN`).join('')}
  ${opening(inputs, layout, code.readsRows || program.gathers).replace('LEAVE', 'return i')}
    ${code.lines.join('\n    ')}
  }
  return to
}`
  const steps = calls.map((c) => c.step)
  return make(access, inputs, steps, source)
}

function countsRows({ args, filter, accumulator }: BatchCall): boolean {
  return args.length === 0 && filter === undefined && accumulator?.initial.length === 1
}

/** count(*) and nothing else. */
const countKernel: AggregateKernel = (_batch, from, to, groups) => {
  for (let i = 0; i < groups.stride; i++) groups.acc[i] += to - from
  return to
}

/** The double that stands for a key, as BatchGroups has it. */
function emitKey(code: BatchCode, key: BatchExpr, k: number): string {
  const p = code.emit(key)
  let own = p.code
  if (p.form === 'boolean') own = `(${p.code} ? 1 : 0)`
  else if (p.form === 'text')
    own = p.range === undefined ? `texts[${k}].numberOf(${p.code})` : `texts[${k}].number(b, ${p.range.join(', ')})`
  code.add(`const k${k} = ${p.isNull === 'false' ? own : `${p.isNull} ? ${nullKey} : ${own}`}`)
  return `k${k}`
}

/** What a call takes of a row: its arguments, and when it takes nothing. */
interface Taken {
  readonly args: readonly string[]
  readonly skip: string
}

function emitCall(code: BatchCode, call: BatchCall): Taken {
  if (call.filter === undefined) {
    const pieces = call.args.map((a) => code.emit(a))
    const args = pieces.map((p) => argument(code, call, p))
    return { args, skip: call.strict ? orNull(pieces) : 'false' }
  }
  const skip = code.name('skip')
  const names = call.args.map(() => code.name('a'))
  code.add(`let ${[`${skip} = true`, ...names.map((name) => `${name} = 0`)].join(', ')}`)
  code.add(`if (${isTrue(code.emit(call.filter))}) {`)
  const pieces = call.args.map((a) => code.emit(a))
  pieces.forEach((p, i) => {
    code.add(`${names[i]} = ${argument(code, call, p)}`)
  })
  code.add(`${skip} = ${call.strict ? orNull(pieces) : 'false'}`)
  code.add('}')
  return { args: names, skip }
}

function orNull(pieces: readonly Piece[]): string {
  const parts = pieces.map((p) => p.isNull).filter((n) => n !== 'false')
  return parts.length === 0 ? 'false' : parts.join(' || ')
}

function argument(code: BatchCode, call: BatchCall, p: Piece): string {
  if (call.accumulator !== undefined) return p.code
  const x = code.name('x')
  code.add(`const ${x} = ${nullable(p)}`)
  return x
}

function emitFind(code: BatchCode, names: readonly string[], stride: number): void {
  if (names.length > 0) {
    code.add(`if (${names.map((k, i) => `${k} !== last${i}`).join(' || ')}) {`)
    code.add('let h = 0')
    for (const k of names) code.add(mixSource(k))
    const same = names.map((k, i) => `keys[q * ${names.length} + ${i}] === ${k}`).join(' && ')
    code.add(`for (let at = h & mask; ; at = (at + 1) & mask) {
      const q = slots[at]
      if (q < 0) {
        ${names.map((k, i) => `groups.key[${i}] = ${k}`).join('; ')}
        g = groups.add(at)
        ;({ keys, acc, slots, mask } = groups)
        break
      }
      if (${same}) { g = q; break }
    }`)
    code.add(names.map((k, i) => `last${i} = ${k}`).join('; '))
    code.add('}')
  }
  code.add(`const o = g * ${stride}`)
}

function emitTake(code: BatchCode, call: BatchCall, i: number, taken: Taken, at: number): void {
  const take =
    call.accumulator === undefined
      ? `objects[${i}][g] = steps[${i}](${[`objects[${i}][g]`, ...taken.args].join(', ')})`
      : call.accumulator.source(`o + ${at}`, taken.args[0] ?? '')
  code.add(taken.skip === 'false' ? `{ ${take} }` : `if (!(${taken.skip})) { ${take} }`)
}
