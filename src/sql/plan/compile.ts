/**
 * Bound expressions to closures over an execution's registers. A closure is made once per plan; constants are parsed
 * and folded here, functions looked up, so that running one is calls and loads only.
 *
 * `uses` collects the registers an expression reads, so that operators can tell what to keep.
 *
 * Not here: sub-queries (sublink.ts) and calls of user functions (routine.ts).
 */
import { DbError } from '../../base/index.ts'
import { functionRow } from '../bind/calls.ts'
import { errorAt } from '../bind/context.ts'
import { exprKey } from '../bind/scope.ts'
import type { Eval, Execution } from '../execute/execution.ts'
import type { CallSite, FunctionCode, FunctionRow } from '../functions/function.ts'
import { castBetween, codeOf } from '../functions/registry.ts'
import type { Case, Const, Expr, Func } from '../query.ts'
import type { Type, Value } from '../types/type.ts'
import { compileArray, compileField, compileRow, compileSubscript } from './compile-composite.ts'
import { compileRoutine } from './routine.ts'
import type { PlanScope } from './scope.ts'
import { compileSublink } from './sublink.ts'

export interface Compiled {
  readonly eval: Eval
  /** Registers it reads. */
  readonly uses: Set<number>
  /** The value, when it is known now. */
  readonly constant: { readonly value: Value } | undefined
  /** The register it is a plain copy of. */
  readonly register: number | undefined
  /** Contains a sub-plan, or something that other nodes are asked for: may suspend. */
  readonly suspends: boolean
  readonly volatile: boolean
}

/** Properties gathered while one expression is compiled. */
class Collector {
  readonly uses = new Set<number>()
  suspends = false
  volatile = false
}

export function compile(scope: PlanScope, expr: Expr): Compiled {
  const c = new Collector()
  const node = build(scope, expr, c)
  scope.builder.noteUses(c.uses)
  return {
    eval: node.eval,
    uses: c.uses,
    constant: node.constant,
    register: node.register,
    suspends: c.suspends,
    volatile: c.volatile,
  }
}

export interface Node {
  readonly eval: Eval
  readonly constant?: { readonly value: Value }
  readonly register?: number
}

export type Build = (expr: Expr) => Node

export function literal(value: Value): Node {
  return { eval: () => value, constant: { value } }
}

export function fromRegister(register: number, c: { uses: Set<number> }): Node {
  c.uses.add(register)
  return { eval: (x) => x.r[register], register }
}

function build(scope: PlanScope, expr: Expr, c: Collector): Node {
  if (scope.substitutions.size > 0 && expr.kind !== 'const' && expr.kind !== 'param') {
    const known = scope.substitutions.get(exprKey(expr))
    if (known !== undefined) return fromRegister(known, c)
  }
  const sub: Build = (e) => build(scope, e, c)
  switch (expr.kind) {
    case 'const':
      return literal(constantValue(scope, expr))
    case 'param': {
      const i = expr.number - 1
      return { eval: (x) => x.p[i] }
    }
    case 'var':
      return buildVar(scope, expr, c)
    case 'casevalue': {
      const register = scope.caseRegisters[scope.caseRegisters.length - 1]
      return fromRegister(register, c)
    }
    case 'func':
      return buildCall(scope, expr, sub, c)
    case 'and':
    case 'or':
      return buildBoolean(expr.kind, expr.args.map(sub))
    case 'not': {
      const a = sub(expr.arg).eval
      return {
        eval: (x) => {
          const v = a(x)
          return v === null ? null : !v
        },
      }
    }
    case 'isnull':
      return buildNullTest(expr, sub(expr.arg).eval)
    case 'booltest': {
      const a = sub(expr.arg).eval
      const wanted = expr.test === 'true' ? true : expr.test === 'false' ? false : null
      const negated = expr.negated
      return { eval: (x) => (a(x) === wanted) !== negated }
    }
    case 'distinct': {
      const equal = callable(scope, expr.func, [expr.left.type, expr.right.type], 16)
      const [l, r] = [sub(expr.left).eval, sub(expr.right).eval]
      const negated = expr.negated
      return {
        eval: (x) => {
          const a = l(x)
          const b = r(x)
          const distinct = a === null || b === null ? a !== b : !equal(a, b, x.types)
          return distinct !== negated
        },
      }
    }
    case 'nullif': {
      const equal = callable(scope, expr.func, [expr.left.type, expr.right.type], 16)
      const [l, r] = [sub(expr.left).eval, sub(expr.right).eval]
      return {
        eval: (x) => {
          const a = l(x)
          if (a === null) return null
          const b = r(x)
          return b !== null && equal(a, b, x.types) ? null : a
        },
      }
    }
    case 'case':
      return buildCase(scope, expr, sub)
    case 'coalesce': {
      const args = expr.args.map((a) => sub(a).eval)
      return {
        eval: (x) => {
          for (const a of args) {
            const v = a(x)
            if (v !== null) return v
          }
          return null
        },
      }
    }
    case 'minmax': {
      const args = expr.args.map((a) => sub(a).eval)
      const type = typeOf(scope, expr.type)
      const sign = expr.greatest ? 1 : -1
      return {
        eval: (x) => {
          let best: Value = null
          for (const a of args) {
            const v = a(x)
            if (v !== null && (best === null || type.compare(v, best) * sign > 0)) best = v
          }
          return best
        },
      }
    }
    case 'array':
      return compileArray(scope, expr, sub)
    case 'row':
      return compileRow(scope, expr, sub)
    case 'rowcompare': {
      const test = rowComparison(
        scope,
        expr.test,
        expr.funcs,
        expr.left.map((e) => e.type),
        expr.right.map((e) => e.type),
      )
      const l = expr.left.map((e) => sub(e).eval)
      const r = expr.right.map((e) => sub(e).eval)
      return {
        eval: (x) =>
          test(
            l.map((f) => f(x)),
            r.map((f) => f(x)),
            x,
          ),
      }
    }
    case 'subscript':
      return compileSubscript(scope, expr, sub)
    case 'field':
      return compileField(scope, expr, sub)
    case 'relabel':
      return buildRelabel(scope, expr, sub)
    case 'viatext':
      return buildViaText(scope, expr, sub)
    case 'arraycoerce':
      return buildArrayCoerce(scope, expr, c, sub)
    case 'domain':
      return buildDomain(scope, expr, c, sub)
    case 'anyall':
      return buildAnyAll(scope, expr, sub)
    case 'sublink':
      c.suspends = true
      c.volatile = true
      return compileSublink(scope, expr, sub, c.uses)
    case 'sqlvalue':
      return buildSqlValue(scope, expr)
    case 'nextval': {
      const sequence = expr.sequence
      c.volatile = true
      c.suspends = true
      return { eval: (x) => x.session.sequences.next(x, sequence) }
    }
    case 'collate':
      return sub(expr.arg)
    case 'agg':
    case 'window':
    case 'grouping':
    case 'srf':
      throw new DbError('internal_error', `${expr.kind} was not computed where it is needed`)
  }
}

export function typeOf(scope: PlanScope, oid: number): Type {
  return scope.builder.context.types.types.type(oid)
}

/** Shorter texts are parsed again sooner than remembered. Characters. */
const worthKeeping = 16
const parsed = new WeakMap<Const, { value: Value; type: Type }>()

/** The value of a literal; a long one is parsed once per literal node. */
export function constantValue(scope: PlanScope, expr: Const): Value {
  if (expr.text === undefined) return null
  const type = typeOf(scope, expr.type)
  const keep = expr.text.length >= worthKeeping
  const known = keep ? parsed.get(expr) : undefined
  if (known !== undefined && known.type === type) return known.value
  let value: Value
  try {
    value = type.parse(expr.text, expr.typmod, scope.builder.context.types)
  } catch (error) {
    if (error instanceof DbError) throw errorAt(scope.builder.context, expr.at, error)
    throw error
  }
  // Words like 'today' mean another value another time; other dates depend on settings at most.
  if (type.category === 'D' && /now|today|tomorrow|yesterday/i.test(expr.text)) scope.builder.reuse = 'never'
  else if (type.name.startsWith('reg')) sameCatalog(scope)
  else if (keep && type.category !== 'D' && type.category !== 'T') parsed.set(expr, { value, type })
  return value
}

function sameCatalog({ builder }: PlanScope): void {
  if (builder.reuse === 'always') builder.reuse = 'same-catalog'
}

function buildVar(scope: PlanScope, expr: Expr & { kind: 'var' }, c: Collector): Node {
  const owner = scope.outer(expr.up)
  const source = owner.source(expr.entry)
  if (source.kind === 'inlined') {
    if (expr.column === 0) {
      const items = source.exprs
      const names = owner.entry(expr.entry).columns.map((x) => x.name)
      return compileRow(source.scope, { kind: 'row', items, names, type: 2249, typmod: -1 }, (e) =>
        build(source.scope, e, c),
      )
    }
    return build(source.scope, source.exprs[expr.column - 1], c)
  }
  // A whole row is put together from its columns.
  if (expr.column === 0) {
    const entry = owner.entry(expr.entry)
    const live = entry.columns.map((col, i) => ({ col, number: i + 1 })).filter((e) => !e.col.dropped)
    const items = live.map(
      ({ col, number }): Expr => ({
        kind: 'var',
        up: 0,
        entry: expr.entry,
        column: number,
        type: col.type,
        typmod: col.typmod,
      }),
    )
    const row = compileRow(
      owner,
      { kind: 'row', items, names: live.map((e) => e.col.name), type: expr.type, typmod: -1 },
      (e) => build(owner, e, c),
    )
    const presence = owner.register(expr.entry, rowPresence)
    c.uses.add(presence)
    return { eval: (x) => (x.r[presence] === null ? null : row.eval(x)) }
  }
  if (owner.substitutions.size > 0 && expr.up > 0) {
    const known = owner.substitutions.get(exprKey({ ...expr, up: 0 }))
    if (known !== undefined) return fromRegister(known, c)
  }
  return fromRegister(owner.register(expr.entry, expr.column), c)
}

/** A pseudo column of every entry: null when an outer join found no row, so that a whole row is null then. */
export const rowPresence = -100

/** The key of the row, as bytes: what UPDATE, DELETE and row locks go by. */
export const rowKey = -101

function buildBoolean(kind: 'and' | 'or', args: readonly Node[]): Node {
  const evals = args.map((a) => a.eval)
  const decisive = kind === 'or'
  if (evals.length === 2) {
    const [a, b] = evals
    return {
      eval: (x) => {
        const l = a(x)
        if (l === decisive) return decisive
        const r = b(x)
        if (r === decisive) return decisive
        return l === null || r === null ? null : !decisive
      },
    }
  }
  return {
    eval: (x) => {
      let unknown = false
      for (let i = 0; i < evals.length; i++) {
        const v = evals[i](x)
        if (v === decisive) return decisive
        if (v === null) unknown = true
      }
      return unknown ? null : !decisive
    },
  }
}

function buildNullTest(expr: Expr & { kind: 'isnull' }, a: Eval): Node {
  const { negated } = expr
  if (!expr.row) return { eval: (x) => (a(x) === null) !== negated }
  // A row is null when all its fields are, and not null when none is.
  return {
    eval: (x) => {
      const v = a(x)
      if (v === null) return !negated
      return negated ? v.values.every((f: Value) => f !== null) : v.values.every((f: Value) => f === null)
    },
  }
}

function buildCase(scope: PlanScope, expr: Case, sub: Build): Node {
  let arg: Eval | undefined
  let register = -1
  if (expr.arg !== undefined) {
    arg = sub(expr.arg).eval
    register = scope.builder.allocate()
    scope.caseRegisters.push(register)
  }
  const whens = expr.whens.map((w) => sub(w.when).eval)
  if (expr.arg !== undefined) scope.caseRegisters.pop()
  const thens = expr.whens.map((w) => sub(w.then).eval)
  const otherwise = expr.otherwise === undefined ? undefined : sub(expr.otherwise).eval
  return {
    eval: (x) => {
      if (arg !== undefined) x.r[register] = arg(x)
      for (let i = 0; i < whens.length; i++) if (whens[i](x) === true) return thens[i](x)
      return otherwise === undefined ? null : otherwise(x)
    },
  }
}

/** The code of a function for these argument types. Raises feature_not_supported when there is none. */
export function callable(
  scope: PlanScope,
  func: number,
  argTypes: readonly number[],
  resultType: number,
  typmod = -1,
  more?: Pick<CallSite, 'variadicArray' | 'columns'>,
): FunctionCode {
  const { context } = scope.builder
  const row = functionRow(context, func)
  if (row === undefined) throw new DbError('undefined_function', `function with OID ${func} does not exist`)
  const user = context.names.catalog.function(func)
  if (user !== undefined) return compileRoutine(scope, user, argTypes, resultType)
  const code = codeOf(row, { argTypes, resultType, typmod, ...more }, context.types)
  if (code === undefined) throw new DbError('feature_not_supported', `function ${row.name} is not supported`)
  return code
}

function buildCall(scope: PlanScope, expr: Func, sub: Build, c: Collector): Node {
  const { context } = scope.builder
  const row = functionRow(context, expr.func)
  if (row === undefined) throw new DbError('undefined_function', `function with OID ${expr.func} does not exist`)
  const args = expr.args.map(sub)
  // VARIADIC array given to a function of VARIADIC "any": the binder says so by `variadic: false`.
  const site = { variadicArray: expr.variadic === false ? true : undefined, columns: expr.columns }
  const plain = callable(
    scope,
    expr.func,
    expr.args.map((a) => a.type),
    expr.type,
    expr.typmod,
    site,
  )
  // int2 becomes an oid by way of int4.
  const code: FunctionCode = row.source === 'i2toi4' && oidLike.has(expr.type) ? (v: number) => v >>> 0 : plain
  if (row.volatility === 'v') c.volatile = true
  // Waits inside the expression.
  if (/^(pg_advisory|pg_sleep|nextval|setval)/.test(row.source)) c.suspends = true
  const builtIn = context.names.catalog.function(expr.func) === undefined
  // What the body of a user's function has planned stays with the call.
  if (row.volatility !== 'i' && !builtIn) scope.builder.reuse = 'never'
  else if (row.volatility !== 'i') sameCatalog(scope)
  const node = builtIn ? callNode(row, code, args) : routineCall(row, code, args, c)
  if (row.volatility !== 'i' || !builtIn || args.some((a) => a.constant === undefined)) return node
  // All arguments are known: so is the result, unless it raises, which is left to the time it runs.
  try {
    return literal(node.eval({ types: context.types } as Execution))
  } catch (error) {
    if (error instanceof DbError) return node
    throw error
  }
}

function callNode(row: FunctionRow, code: FunctionCode, args: readonly Node[]): Node {
  const [a, b, d] = args.map((n) => n.eval)
  if (!row.strict) return anyCall(code, args)
  if (args.some((n) => n.constant?.value === null)) return literal(null)
  switch (args.length) {
    case 0:
      return { eval: (x) => code(x.types) }
    case 1: {
      const r = args[0].register
      if (r !== undefined)
        return {
          eval: (x) => {
            const v = x.r[r]
            return v === null ? null : code(v, x.types)
          },
        }
      return {
        eval: (x) => {
          const v = a(x)
          return v === null ? null : code(v, x.types)
        },
      }
    }
    case 2:
      return binaryCall(code, args[0], args[1])
    case 3:
      return {
        eval: (x) => {
          const u = a(x)
          const v = b(x)
          const w = d(x)
          return u === null || v === null || w === null ? null : code(u, v, w, x.types)
        },
      }
    default: {
      const evals = args.map((n) => n.eval)
      return {
        eval: (x) => {
          const values = evals.map((e) => e(x))
          return values.includes(null) ? null : code(...values, x.types)
        },
      }
    }
  }
}

/** A user's function also gets the execution, to run its body in. */
function routineCall(row: FunctionRow, code: FunctionCode, args: readonly Node[], c: Collector): Node {
  c.suspends = true
  const evals = args.map((n) => n.eval)
  const { strict } = row
  return {
    eval: (x) => {
      const values = evals.map((e) => e(x))
      return strict && values.includes(null) ? null : code(...values, x.types, x)
    },
  }
}

/** Two arguments, with registers and constants read without a call. */
function binaryCall(code: FunctionCode, left: Node, right: Node): Node {
  const l = left.register
  const r = right.register
  if (right.constant !== undefined) {
    const v = right.constant.value
    if (v === null) return literal(null)
    if (l !== undefined)
      return {
        eval: (x) => {
          const u = x.r[l]
          return u === null ? null : code(u, v, x.types)
        },
      }
    const a = left.eval
    return {
      eval: (x) => {
        const u = a(x)
        return u === null ? null : code(u, v, x.types)
      },
    }
  }
  if (l !== undefined && r !== undefined) {
    return {
      eval: (x) => {
        const u = x.r[l]
        const v = x.r[r]
        return u === null || v === null ? null : code(u, v, x.types)
      },
    }
  }
  const a = left.eval
  const b = right.eval
  return {
    eval: (x) => {
      // Both are computed before either is tested, as PostgreSQL: the second may raise.
      const u = a(x)
      const v = b(x)
      return u === null || v === null ? null : code(u, v, x.types)
    },
  }
}

function anyCall(code: FunctionCode, args: readonly Node[]): Node {
  const evals = args.map((n) => n.eval)
  if (evals.length === 1) return { eval: (x) => code(evals[0](x), x.types) }
  if (evals.length === 2) return { eval: (x) => code(evals[0](x), evals[1](x), x.types) }
  return { eval: (x) => code(...evals.map((e) => e(x)), x.types) }
}

function buildRelabel(scope: PlanScope, expr: Expr & { kind: 'relabel' }, sub: Build): Node {
  const arg = sub(expr.arg)
  const to = typeOf(scope, expr.type)
  const from = typeOf(scope, expr.arg.type)
  const retag = retagger(to, from)
  if (expr.coerce === undefined || expr.typmod < 0) return retag === undefined ? arg : mapped(arg, retag)
  const { typmod } = expr
  const explicit = expr.coerce === 'explicit'
  return mapped(arg, (v) => to.coerce(retag === undefined ? v : retag(v), typmod, explicit))
}

/** oid and the types of names of objects, which are oids. */
const oidLike = new Set([26, 24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191])

/** Arrays carry their element type: a binary-compatible cast changes only that. */
function retagger(to: Type, from: Type): ((v: Value) => Value) | undefined {
  // The same 32 bits, without a sign and with one.
  if (from.oid === 23 && oidLike.has(to.oid)) return (v) => v >>> 0
  if (to.oid === 23 && oidLike.has(from.oid)) return (v) => v | 0
  if (to === from || to.category !== 'A' || from.category !== 'A' || to.element === from.element) return undefined
  return (v) => Object.assign(Object.create(Object.getPrototypeOf(v)), v, { elementOid: to.element })
}

/** A strict unary step, folded when its argument is constant. */
function mapped(arg: Node, map: (v: Value, x: Execution) => Value): Node {
  if (arg.constant !== undefined && map.length === 1) {
    return literal(arg.constant.value === null ? null : map(arg.constant.value, undefined as never))
  }
  const a = arg.eval
  return {
    eval: (x) => {
      const v = a(x)
      return v === null ? null : map(v, x)
    },
  }
}

function buildViaText(scope: PlanScope, expr: Expr & { kind: 'viatext' }, sub: Build): Node {
  const arg = sub(expr.arg)
  const from = typeOf(scope, expr.arg.type)
  const to = typeOf(scope, expr.type)
  const { typmod } = expr
  const toText = to.category === 'S' && typmod < 0 && to.oid !== 1042 && to.oid !== 18 && to.oid !== 19
  if (toText) return mapped(arg, (v, x) => from.format(v, x.types))
  return mapped(arg, (v, x) => {
    const parsedValue = to.parse(from.format(v, x.types), -1, x.types)
    return typmod < 0 ? parsedValue : to.coerce(parsedValue, typmod, expr.form === 'cast')
  })
}

function buildArrayCoerce(scope: PlanScope, expr: Expr & { kind: 'arraycoerce' }, c: Collector, sub: Build): Node {
  const arg = sub(expr.arg)
  const register = scope.builder.allocate()
  scope.caseRegisters.push(register)
  const each = build(scope, expr.each, c).eval
  scope.caseRegisters.pop()
  const element = typeOf(scope, expr.type).element
  return mapped(arg, (v, x) => {
    const items = v.items.map((item: Value) => {
      if (item === null) return null
      x.r[register] = item
      return each(x)
    })
    return Object.assign(Object.create(Object.getPrototypeOf(v)), v, { elementOid: element, items })
  })
}

function buildDomain(scope: PlanScope, expr: Expr & { kind: 'domain' }, c: Collector, sub: Build): Node {
  const arg = sub(expr.arg).eval
  const { catalog } = scope.builder.context.names
  const checks: { name: string; test: Eval; domain: string }[] = []
  const register = scope.builder.allocate()
  let notNull: string | undefined
  for (let d = catalog.type(expr.type); d !== undefined && d.form === 'domain'; d = catalog.type(d.base!)) {
    if (d.notNull) notNull = d.name
    scope.caseRegisters.push(register)
    for (const check of d.checks ?? [])
      checks.push({ name: check.name, test: build(scope, check.check, c).eval, domain: d.name })
    scope.caseRegisters.pop()
  }
  return {
    eval: (x) => {
      const v = arg(x)
      if (v === null && notNull !== undefined) {
        throw new DbError('not_null_violation', `domain ${notNull} does not allow null values`, { dataType: notNull })
      }
      x.r[register] = v
      for (const check of checks) {
        if (check.test(x) === false) {
          throw new DbError(
            'check_violation',
            `value for domain ${check.domain} violates check constraint "${check.name}"`,
            { dataType: check.domain, constraint: check.name },
          )
        }
      }
      return v
    },
  }
}

function buildAnyAll(scope: PlanScope, expr: Expr & { kind: 'anyall' }, sub: Build): Node {
  const left = sub(expr.left)
  const right = sub(expr.right)
  const element = typeOf(scope, expr.right.type).element
  const code = callable(scope, expr.func, [expr.left.type, element], 16)
  const decisive = expr.any
  const set = expr.any ? constantSet(scope, expr, right) : undefined
  const l = left.eval
  if (set !== undefined) {
    const type = typeOf(scope, expr.left.type)
    const otherwise = set.hasNull ? null : false
    return {
      eval: (x) => {
        const v = l(x)
        return v === null ? null : set.keys.has(type.key(v)) ? true : otherwise
      },
    }
  }
  const r = right.eval
  return {
    eval: (x) => {
      const array = r(x)
      if (array === null) return null
      const { items } = array
      if (items.length === 0) return !decisive
      const v = l(x)
      let unknown = false
      for (let i = 0; i < items.length; i++) {
        const item = items[i]
        if (v === null || item === null) unknown = true
        else {
          const test = code(v, item, x.types)
          if (test === decisive) return decisive
          if (test === null) unknown = true
        }
      }
      return unknown ? null : !decisive
    },
  }
}

/** A long list of constants compared for equality within one type is a set. */
function constantSet(
  scope: PlanScope,
  expr: Expr & { kind: 'anyall' },
  right: Node,
): { keys: Set<any>; hasNull: boolean } | undefined {
  const array = right.constant?.value
  if (array === undefined || array === null || array.items.length < 8) return undefined
  const type = typeOf(scope, expr.left.type)
  const element = typeOf(scope, expr.right.type).element
  if (element !== expr.left.type || !type.hashable) return undefined
  if (functionRow(scope.builder.context, expr.func)?.name.match(/eq$|^texteq$/) == null) return undefined
  const present = array.items.filter((v: Value) => v !== null)
  return { keys: new Set(present.map((v: Value) => type.key(v))), hasNull: present.length < array.items.length }
}

export function rowComparison(
  scope: PlanScope,
  test: string,
  funcs: readonly number[],
  left: readonly number[],
  right: readonly number[],
): (l: readonly Value[], r: readonly Value[], x: Execution) => boolean | null {
  const codes = funcs.map((f, i) => callable(scope, f, [left[i], right[i]], 16))
  if (test === '=' || test === '<>') {
    const decisive = test === '<>'
    return (l, r, x) => {
      let unknown = false
      for (let i = 0; i < codes.length; i++) {
        const v = l[i] === null || r[i] === null ? null : codes[i](l[i], r[i], x.types)
        if (v === decisive) return decisive
        if (v === null) unknown = true
      }
      return unknown ? null : !decisive
    }
  }
  // Row order: the first unequal pair decides; rows equal throughout satisfy <= and >=.
  const orders = left.map((t, i) => orderBetween(scope, t, right[i]))
  const orEqual = test.endsWith('=')
  const sign = test.startsWith('<') ? -1 : 1
  return (l, r) => {
    for (let i = 0; i < orders.length; i++) {
      if (l[i] === null || r[i] === null) return null
      const d = orders[i](l[i], r[i])
      if (d !== 0) return d * sign > 0
    }
    return orEqual
  }
}

/** The order between two types that one btree family holds: numbers of any width compare by value. */
export function orderBetween(scope: PlanScope, left: number, right: number): (a: Value, b: Value) => number {
  const type = typeOf(scope, left)
  if (left === right) return (a, b) => type.compare(a, b)
  return (a, b) => (a < b ? -1 : a > b ? 1 : 0)
}

function buildSqlValue(scope: PlanScope, expr: Expr & { kind: 'sqlvalue' }): Node {
  sameCatalog(scope)
  const precision = expr.typmod
  const type = typeOf(scope, expr.type)
  const timestamptz = typeOf(scope, 1184)
  const now = (x: Execution): Value => x.types.transactionMicros
  const cast = (to: number): ((v: Value, x: Execution) => Value) => {
    const code = castCode(scope, 1184, to)
    return (v, x) => (code === undefined ? v : code(v, x.types))
  }
  switch (expr.name) {
    case 'current_timestamp':
      return { eval: (x) => (precision >= 0 ? timestamptz.coerce(now(x), precision, true) : now(x)) }
    case 'current_date':
    case 'current_time':
    case 'localtime':
    case 'localtimestamp': {
      const convert = cast(expr.type)
      return {
        eval: (x) => {
          const v = convert(now(x), x)
          return precision >= 0 ? type.coerce(v, precision, true) : v
        },
      }
    }
    case 'current_schema':
      return { eval: (x) => x.session.currentSchema() ?? null }
    case 'current_catalog':
      return { eval: (x) => x.session.databaseName }
    case 'session_user':
      return { eval: (x) => x.session.sessionUser }
    default:
      return { eval: (x) => x.session.currentUser }
  }
}

function castCode(scope: PlanScope, from: number, to: number): FunctionCode | undefined {
  const row = castBetween(from, to)
  return row === undefined || row.method !== 'f' ? undefined : callable(scope, row.func, [from], to)
}
