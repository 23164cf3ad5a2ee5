/**
 * Source text for expressions over the rows of a batch, for one row layout: straight-line code without calls where it
 * can be, with NULL kept apart from the value so that doubles stay doubles.
 *
 *   a + b > 10      const t1 = c4 + c7                       c4, c7: columns; n4, n7: whether they are NULL
 *                   const m1 = n4 || n7
 *                   if (!m1 && (t1 > 2147483647 || …)) …     the row is left to the row tier
 *                   … !m1 && t1 > 10 …
 *
 * Names in scope: b, v, s, w (the row's bytes, a view of them, where it begins, its first four bytes), and what loops
 * begin with (batch-kernel.ts).
 *
 * Not here: loops around it (batch-kernel.ts).
 */
import type { RowLayout } from '../../encoding/index.ts'
import type { Value } from '../types/type.ts'
import { type BatchExpr, type BatchInputs, columnsOf, type Form } from './batch-expression.ts'
import { inlines } from './batch-inline.ts'
import type { TableAccess } from './tables.ts'

/** A computed expression: code without effects that may be used more than once. */
export interface Piece {
  readonly form: Form
  /** The value when it is not NULL (something of the form otherwise); of 'value', null for NULL. */
  readonly code: string
  /** Code of a boolean; 'false' and 'true' when it is known. */
  readonly isNull: string
  /** Where a text lies in b; else `bytes` are its bytes, or it is only a string. */
  readonly range?: readonly [from: string, to: string]
  readonly bytes?: string
}

const zero: Record<Form, string> = { number: '0', boolean: 'false', text: 'null', value: 'null' }

function anyNull(pieces: readonly Piece[]): string {
  const parts = new Set(pieces.map((p) => p.isNull))
  parts.delete('false')
  return parts.has('true') ? 'true' : parts.size === 0 ? 'false' : [...parts].join(' || ')
}

/** The value as the row tier has it, null for NULL. */
export function nullable(p: Piece): string {
  const value = p.range === undefined ? p.code : `text(b, ${p.range[0]}, ${p.range[1]})`
  return p.isNull === 'false' || p.form === 'value'
    ? value
    : p.isNull === 'true'
      ? 'null'
      : `(${p.isNull} ? null : ${value})`
}

/** Code that is true when a boolean is neither false nor NULL. */
export function isTrue(p: Piece): string {
  return p.isNull === 'false' ? p.code : `!(${p.isNull}) && ${p.code}`
}

function isFalse(p: Piece): string {
  return p.isNull === 'false' ? `!${p.code}` : `!(${p.isNull}) && !${p.code}`
}

export class BatchCode {
  readonly lines: string[] = []
  readonly #access: TableAccess
  readonly #layout: RowLayout
  readonly #inputs: BatchInputs
  /** A statement that leaves the row to the row tier. */
  readonly #leave: string
  readonly #columns = new Map<number, Piece>()
  #names = 0

  constructor(access: TableAccess, layout: RowLayout, inputs: BatchInputs, leave: string) {
    this.#access = access
    this.#layout = layout
    this.#inputs = inputs
    this.#leave = leave
  }

  /** Whether anything of the rows is read. */
  get readsRows(): boolean {
    return this.#columns.size > 0
  }

  add(line: string): void {
    this.lines.push(line)
  }

  name(prefix: string): string {
    return `${prefix}${++this.#names}`
  }

  /** Loads the columns that expressions read; what is computed inside blocks finds them outside. */
  load(exprs: readonly BatchExpr[]): void {
    const columns = new Set<number>()
    for (const e of exprs) columnsOf(e, columns)
    for (const column of columns) {
      if (!this.#columns.has(column)) this.#columns.set(column, this.#column(column))
    }
  }

  /** Of an expression whose columns are loaded. */
  emit(e: BatchExpr): Piece {
    switch (e.kind) {
      case 'column':
        return this.#columns.get(e.column)!
      case 'input':
        return this.#input(e.input, e.form)
      case 'inline':
        return this.#inline(e)
      case 'call':
        return this.#call(e)
      case 'sametext':
        return this.#sameText(this.emit(e.left), this.emit(e.right), e.negated)
      case 'and':
      case 'or':
        return this.#connect(e)
      case 'not': {
        const a = this.emit(e.arg)
        return { form: 'boolean', code: `!${a.code}`, isNull: a.isNull }
      }
      case 'isnull': {
        const { isNull } = this.emit(e.arg)
        return { form: 'boolean', code: e.negated ? `!(${isNull})` : `(${isNull})`, isNull: 'false' }
      }
      case 'truth': {
        const a = this.emit(e.arg)
        const test = e.wanted === null ? `(${a.isNull})` : `(${e.wanted ? isTrue(a) : isFalse(a)})`
        return { form: 'boolean', code: e.negated ? `!${test}` : test, isNull: 'false' }
      }
      case 'case':
        return this.#case(e)
      case 'coalesce':
        return this.#coalesce(e)
      case 'among':
        return this.#among(this.emit(e.arg), `sets[${e.set}]`)
    }
  }

  #unless(isNull: string, condition: string): void {
    const test = isNull === 'false' ? condition : `!(${isNull}) && (${condition})`
    this.add(`if (${test}) ${this.#leave}`)
  }

  /** A name for NULL-ness that is asked for more than once. */
  #nullName(pieces: readonly Piece[]): string {
    const isNull = anyNull(pieces)
    if (/^\w+$/.test(isNull)) return isNull
    const name = this.name('m')
    this.add(`const ${name} = ${isNull}`)
    return name
  }

  #input(i: number, form: Form): Piece {
    const { present } = this.#inputs.inputs[i]
    if (form === 'value' || form === 'text') {
      const isNull = present ? 'false' : `(p[${i}] === null)`
      return { form, code: `p[${i}]`, isNull, bytes: form === 'text' ? `pb[${i}]` : undefined }
    }
    return { form, code: `p${i}`, isNull: present ? 'false' : `pn${i}` }
  }

  #inline(e: BatchExpr & { kind: 'inline' }): Piece {
    const inline = inlines.get(e.name)!
    const args = e.args.map((a) => this.emit(a))
    const isNull = this.#nullName(args)
    const [a, b] = args.map((p) => p.code)
    const t = this.name('t')
    this.add(`const ${t} = ${inline.code(a, b)}`)
    const unusable = inline.unusable?.(t, a, b)
    if (unusable !== undefined) this.#unless(isNull, unusable)
    return { form: inline.form, code: t, isNull }
  }

  /** Any strict function, called with what the row tier would give it. */
  #call(e: BatchExpr & { kind: 'call' }): Piece {
    const args = e.args.map((a) => this.emit(a))
    const values = args.map((p) => {
      const x = this.name('x')
      this.add(`const ${x} = ${nullable(p)}`)
      return x
    })
    const r = this.name('r')
    const test = values.map((x) => `${x} === null`).join(' || ') || 'false'
    this.add(`const ${r} = ${test} ? null : f[${e.call}](${[...values, 'types'].join(', ')})`)
    const isNull = `(${r} === null)`
    if (e.form === 'boolean') return { form: 'boolean', code: `(${r} === true)`, isNull }
    if (e.form === 'value' || e.form === 'text') return { form: e.form, code: r, isNull }
    this.#unless(isNull, `typeof ${r} !== 'number' || ${r} !== ${r}`)
    const t = this.name('t')
    this.add(`const ${t} = ${r} === null ? 0 : +${r}`)
    return { form: 'number', code: t, isNull }
  }

  #sameText(left: Piece, right: Piece, negated: boolean): Piece {
    const isNull = this.#nullName([left, right])
    const t = this.name('t')
    const [a, b] = left.range === undefined ? [right, left] : [left, right]
    let test: string
    if (a.range === undefined) test = `${nullable(a)} === ${nullable(b)}`
    else if (b.range !== undefined) test = `sameRange(b, ${a.range.join(', ')}, ${b.range.join(', ')})`
    else if (b.bytes !== undefined) test = `sameBytes(b, ${a.range.join(', ')}, ${b.bytes})`
    else test = `${nullable(a)} === ${nullable(b)}`
    this.add(`const ${t} = !(${isNull}) && ${negated ? '!' : ''}(${test})`)
    return { form: 'boolean', code: t, isNull }
  }

  /** AND and OR: what comes after the argument that decides is not computed. */
  #connect(e: BatchExpr & { kind: 'and' | 'or' }): Piece {
    const or = e.kind === 'or'
    const [t, m, q] = [this.name('t'), this.name('m'), this.name('q')]
    this.add(`let ${t} = ${!or}, ${m} = false`)
    this.add(`${q}: {`)
    for (const arg of e.args) {
      const a = this.emit(arg)
      this.add(`if (${or ? isTrue(a) : isFalse(a)}) { ${t} = ${or}; ${m} = false; break ${q} }`)
      if (a.isNull !== 'false') this.add(`if (${a.isNull}) ${m} = true`)
    }
    this.add('}')
    return { form: 'boolean', code: t, isNull: m }
  }

  /** A variable for what one of several branches computes. */
  #variable(form: Form): { piece: Piece; set: (p: Piece) => string } {
    const own: Form = form === 'text' ? 'value' : form
    const t = this.name('t')
    if (own === 'value') {
      this.add(`let ${t} = null`)
      return { piece: { form, code: t, isNull: `(${t} === null)` }, set: (p) => `${t} = ${nullable(p)}` }
    }
    const m = this.name('m')
    this.add(`let ${t} = ${zero[own]}, ${m} = true`)
    return { piece: { form, code: t, isNull: m }, set: (p) => `${t} = ${p.code}; ${m} = ${p.isNull}` }
  }

  #case(e: BatchExpr & { kind: 'case' }): Piece {
    const { piece, set } = this.#variable(e.form)
    const q = this.name('q')
    this.add(`${q}: {`)
    for (const { when, then } of e.whens) {
      const test = this.emit(when)
      this.add(`if (${isTrue(test)}) {`)
      this.add(`${set(this.emit(then))}; break ${q}`)
      this.add('}')
    }
    if (e.otherwise !== undefined) this.add(set(this.emit(e.otherwise)))
    this.add('}')
    return piece
  }

  #coalesce(e: BatchExpr & { kind: 'coalesce' }): Piece {
    const { piece, set } = this.#variable(e.form)
    const q = this.name('q')
    this.add(`${q}: {`)
    for (const arg of e.args) {
      const a = this.emit(arg)
      this.add(`if (!(${a.isNull})) { ${set(a)}; break ${q} }`)
    }
    this.add('}')
    return piece
  }

  #among(a: Piece, set: string): Piece {
    const t = this.name('t')
    const m = this.name('m')
    const { isNull } = a
    this.add(`const ${t} = !(${isNull}) && ${set}.has(${nullable(a)})`)
    this.add(`const ${m} = ${isNull} ? !${set}.empty : !${t} && ${set}.hasNull`)
    return { form: 'boolean', code: t, isNull: m }
  }

  #column(column: number): Piece {
    const access = this.#access
    const layout = this.#layout
    const position = access.positionsOf[layout.id][column - 1]
    if (position < 0) return this.#missing(column, access.missing[column - 1])
    const n = `n${column}`
    const c = `c${column}`
    const offset = layout.offsets[position]
    const at = `s + ${offset}`
    // The first byte of the bitmap has come with the layout's number.
    const bits = position < 8 ? `w & ${256 << position}` : `b[s + ${2 + (position >> 3)}] & ${1 << (position & 7)}`
    this.add(`const ${n} = (${bits}) !== 0`)
    const simple = simpleReads[layout.kinds[position]]
    if (simple !== undefined) {
      this.add(`const ${c} = ${simple(at)}`)
      if (layout.kinds[position].startsWith('f')) this.add(`if (${c} !== ${c}) ${this.#leave}`)
      return { form: layout.kinds[position] === 'bool' ? 'boolean' : 'number', code: c, isNull: n }
    }
    switch (layout.kinds[position]) {
      case 'i64':
      case 'timestamp': {
        const [h, l] = [`h${column}`, `l${column}`]
        this.add(`const ${h} = v.getInt32(${at}), ${l} = v.getUint32(${at} + 4)`)
        this.add(`let ${c} = ${h} * 4294967296 + ${l}`)
        const far = layout.kinds[position] === 'timestamp' ? farTimestamp(h, l, c) : ''
        this.add(`if (${h} >= 2097152 || ${h} < -2097152) { ${far} ${this.#leave} }`)
        return { form: 'number', code: c, isNull: n }
      }
      case 'date':
        this.add(`let ${c} = v.getInt32(${at})`)
        this.add(`if (${c} === 2147483647) ${c} = Infinity; else if (${c} === -2147483648) ${c} = -Infinity`)
        return { form: 'number', code: c, isNull: n }
      default:
        return this.#variableColumn(column, position, n)
    }
  }

  #variableColumn(column: number, position: number, n: string): Piece {
    const layout = this.#layout
    const index = layout.offsets[position]
    const base = layout.variableStart
    const ends = layout.endsStart + 4 * index
    const [from, to] = [`f${column}`, `e${column}`]
    this.add(`const ${from} = s + ${base}${index === 0 ? '' : ` + v.getUint32(s + ${ends - 4})`}`)
    this.add(`const ${to} = s + ${base} + v.getUint32(s + ${ends})`)
    if (formOf(this.#access.types[column - 1].oid) === 'text')
      return { form: 'text', code: 'null', isNull: n, range: [from, to] }
    const d = `d${column}`
    this.add(`const ${d} = ${n} ? null : codecs[${column - 1}].decode(b, ${from}, ${to})`)
    return { form: 'value', code: d, isNull: n }
  }

  /** Rows that are older than a column all have the same in it. */
  #missing(column: number, value: Value): Piece {
    const form = formOf(this.#access.types[column - 1].oid)
    if (value === null) return { form, code: zero[form], isNull: 'true' }
    const code = `missing[${column - 1}]`
    if (form === 'number' && (typeof value !== 'number' || Number.isNaN(value))) this.add(this.#leave)
    return { form, code: form === 'number' ? `+${code}` : code, isNull: 'false' }
  }
}

const simpleReads: Record<string, (at: string) => string> = {
  i32: (at) => `v.getInt32(${at})`,
  u32: (at) => `v.getUint32(${at})`,
  i16: (at) => `v.getInt16(${at})`,
  bool: (at) => `b[${at}] !== 0`,
  f64: (at) => `v.getFloat64(${at})`,
  f32: (at) => `v.getFloat32(${at})`,
}

/** The ends of the range are infinities; what else is beyond 2^53 is left. */
function farTimestamp(h: string, l: string, c: string): string {
  return (
    `if (${h} === 2147483647 && ${l} === 4294967295) ${c} = Infinity; ` +
    `else if (${h} === -2147483648 && ${l} === 0) ${c} = -Infinity; else`
  )
}

const numbers = new Set([20, 21, 23, 26, 700, 701, 1082, 1083, 1114, 1184])
const texts = new Set([25, 1043])

export function formOf(oid: number): Form {
  return numbers.has(oid) ? 'number' : oid === 16 ? 'boolean' : texts.has(oid) ? 'text' : 'value'
}
