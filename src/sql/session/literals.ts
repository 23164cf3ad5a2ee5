/**
 * Statements that differ only in their literals share a plan. A lexer cuts numbers and strings out of the text; what is
 * left is the key. The first statement with a key is bound as it stands; those literals that reached its bound tree as
 * constants become parameters of their final type. The others (positions in ORDER BY, type modifiers, …) stay part of
 * what must match.
 *
 * Only statements on one table take part: a plan of a join may rightly depend on the values.
 */
import { forEachChild, mapChildren } from '../bind/scope.ts'
import { likeOperator, likeRange } from '../plan/like-prefix.ts'
import type { Const, Expr, Query } from '../query.ts'
import type { Type, TypeLookup } from '../types/type.ts'

export interface Literal {
  /** Value as the constant's text: digits, or the string's contents. */
  readonly text: string
  readonly start: number
  readonly end: number
  raw(statement: string): string
}

export interface Literals {
  readonly key: string
  readonly items: readonly Literal[]
}

class Cut implements Literal {
  readonly text: string
  readonly start: number
  readonly end: number
  constructor(text: string, start: number, end: number) {
    this.text = text
    this.start = start
    this.end = end
  }
  raw(statement: string): string {
    return statement.slice(this.start, this.end)
  }
}

const zero = 48
const nine = 57
const quote = 39

function isWord(c: number): boolean {
  return (c >= 97 && c <= 122) || (c >= 65 && c <= 90) || c === 95 || c > 127 || c === 36
}

/** Undefined for statements that the lexer leaves alone: comments, E'' and $$ strings, several statements. */
export function literalKey(text: string): Literals | undefined {
  const items: Literal[] = []
  let key = ''
  let from = 0
  let i = 0
  const n = text.length
  while (i < n) {
    const c = text.charCodeAt(i)
    if (isWord(c)) {
      const start = i
      while (i < n) {
        const d = text.charCodeAt(i)
        if (!isWord(d) && !(d >= zero && d <= nine)) break
        i++
      }
      // A letter right before a quote makes another kind of string; a dollar quotes.
      if (text.charCodeAt(i) === quote || text.charCodeAt(start) === 36) return undefined
      continue
    }
    if (c >= zero && c <= nine) {
      const start = i
      let dots = 0
      while (i < n) {
        const d = text.charCodeAt(i)
        if (d === 46) dots++
        else if (d < zero || d > nine) break
        i++
      }
      const next = text.charCodeAt(i)
      if (dots > 1 || isWord(next)) return undefined
      const literal = text.slice(start, i)
      // Integers of different widths are different types, and so keys.
      const kind = dots > 0 || literal.length > 18 ? '#n' : literal.length > 9 ? '#b' : '#i'
      if (literal.length === 10 || (literal.length === 19 && dots === 0)) return undefined
      key += text.slice(from, start) + kind
      items.push(new Cut(literal, start, i))
      from = i
      continue
    }
    if (c === quote) {
      const start = i++
      let doubled = false
      for (;;) {
        const end = text.indexOf("'", i)
        if (end < 0) return undefined
        i = end + 1
        if (text.charCodeAt(i) !== quote) break
        doubled = true
        i++
      }
      const body = text.slice(start + 1, i - 1)
      key += `${text.slice(from, start)}#s`
      items.push(new Cut(doubled ? body.replaceAll("''", "'") : body, start, i))
      from = i
      continue
    }
    if (c === 34) {
      const end = text.indexOf('"', i + 1)
      if (end < 0) return undefined
      i = end + 1
      continue
    }
    if (c === 45 && text.charCodeAt(i + 1) === 45) return undefined
    if (c === 47 && text.charCodeAt(i + 1) === 42) return undefined
    // A semicolon may end the text, not stand within it.
    if (c === 59 && text.slice(i + 1).trim() !== '') return undefined
    i++
  }
  if (items.length === 0) return undefined
  return { key: key + text.slice(from), items }
}

export interface Lifted {
  readonly query: Query
  readonly parameters: readonly { readonly literal: number; readonly type: Type; readonly typmod: number }[]
  readonly fixed: readonly { readonly literal: number; readonly text: string }[]
}

/** The query with its literals as parameters $1…, undefined when the statement is not of the simple kind. */
export function liftLiterals(query: Query, literals: Literals, text: string, types: TypeLookup): Lifted | undefined {
  if (!simple(query)) return undefined
  const parameters: { literal: number; type: Type; typmod: number }[] = []
  const used = new Set<number>()
  let failed = false
  const lift = (e: Expr): Expr => {
    if (e.kind === 'const' && e.at !== undefined && e.text !== undefined) {
      const literal = literals.items.findIndex((l) => l.start === e.at)
      if (literal < 0 || !liftable(e) || literals.items[literal].text !== e.text || used.has(literal)) {
        if (literal >= 0 && used.has(literal)) failed = true
        return e
      }
      used.add(literal)
      parameters.push({ literal, type: types.type(e.type), typmod: e.typmod })
      return { kind: 'param', number: parameters.length, type: e.type, typmod: e.typmod }
    }
    // What a pattern begins with says which index serves.
    if (
      e.kind === 'func' &&
      e.operator === likeOperator &&
      e.args[1].kind === 'const' &&
      likeRange(e.args[1].text ?? '')
    )
      return { ...e, args: [lift(e.args[0]), e.args[1]] }
    return mapChildren(e, lift)
  }
  const out: Query = {
    ...query,
    where: query.where === undefined ? undefined : lift(query.where),
    targets: query.targets.map((t) => ({ ...t, expr: lift(t.expr) })),
    limit: query.limit === undefined ? undefined : lift(query.limit),
    offset: query.offset === undefined ? undefined : lift(query.offset),
  }
  if (failed || parameters.length === 0) return undefined
  const fixed = literals.items.map((l, i) => ({ literal: i, text: l.raw(text) })).filter((f) => !used.has(f.literal))
  return { query: out, parameters, fixed }
}

/** Dates like 'now' and names of objects are resolved when the plan is made. */
function liftable(e: Const): boolean {
  return !(e.type >= 2202 && e.type <= 2206) && e.type !== 24 && e.type !== 4089 && e.type !== 4096 && e.type !== 705
}

function simple(query: Query): boolean {
  if (query.entries.length > 1 || query.ctes.length > 0 || query.setOperation !== undefined || query.groupBy.length > 0)
    return false
  if (
    query.hasAggregates ||
    query.hasSrf ||
    query.windows.length > 0 ||
    query.distinct !== undefined ||
    query.orderBy.length > 1
  )
    return false
  if (query.entries.length === 1 && query.entries[0].kind !== 'relation') return false
  if (query.modify?.conflict !== undefined) return false
  let plain = true
  const visit = (e: Expr): void => {
    if (e.kind === 'sublink') plain = false
    forEachChild(e, visit)
  }
  for (const t of query.targets) visit(t.expr)
  if (query.where) visit(query.where)
  return plain
}
