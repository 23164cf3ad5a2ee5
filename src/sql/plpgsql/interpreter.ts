/**
 * Runs PL/pgSQL: DO blocks, and functions. Each SQL statement in a block is a statement of the transaction, planned when
 * it is reached; variables are its parameters by name. A block with handlers is a savepoint.
 *
 * The interpreter is a generator that yields WAIT and YIELD. DO hands them on; a function that is called in an
 * expression cannot be left half way, so it is taken back and run again when the wait is over (routine.ts).
 */
import { DbError, END, ROW, type Step } from '../../base/index.ts'
import { tryCoerce } from '../bind/coerce.ts'
import { type BindContext, ParameterTypes } from '../bind/context.ts'
import { bindSelectNode } from '../bind/select.ts'
import { resolveTypeName } from '../bind/type-name.ts'
import type { FunctionDescriptor } from '../catalog/descriptors.ts'
import { Execution, suspended } from '../execute/execution.ts'
import { parse } from '../parse/parser.ts'
import { fieldsOf, lockedPlan, makePlan } from '../session/plan.ts'
import type { Session } from '../session/session.ts'
import { bindQueryNode, isQuery } from '../session/statements.ts'
import { utilityPortal } from '../session/utility.ts'
import type { Field } from '../session-api.ts'
import { voidOid } from '../types/oids.ts'
import { SqlRecord } from '../types/record.ts'
import type { Type, Value } from '../types/type.ts'
import { parseBlock, type Statement } from './parser.ts'

type Running<T = void> = Generator<Step, T, void>

/** Variables in scope, by name; inner ones hide outer ones by standing later. */
class Frame {
  readonly names: string[] = []
  readonly types: number[] = []
  readonly values: Value[] = []
  /** Rows of RETURN NEXT and RETURN QUERY. */
  readonly rows: Value[] = []
  result: Value = null
  error: DbError | undefined
  rowCount = 0

  declare(name: string, type: number, value: Value): void {
    this.names.push(name)
    this.types.push(type)
    this.values.push(value)
  }
  at(name: string): number {
    const i = this.names.lastIndexOf(name)
    if (i < 0) throw new DbError('syntax_error', `"${name}" is not a known variable`)
    return i
  }
}

class Exit {
  readonly again: boolean
  constructor(again: boolean) {
    this.again = again
  }
}

const returned = Symbol('returned')

export function* runBlock(session: Session, source: string): Running {
  yield* new Interpreter(session, new Frame(), undefined).block(parseBlock(source))
}

/** Calls a PL/pgSQL function: its result, or for a set-returning one all its rows. */
export function* callFunction(session: Session, f: FunctionDescriptor, args: readonly Value[]): Running<Value> {
  const frame = new Frame()
  const inputs = f.args.filter((a) => a.mode !== 'o' && a.mode !== 't')
  inputs.forEach((a, i) => {
    frame.declare(a.name, a.type, args[i])
  })
  const outs = f.args.filter((a) => a.mode === 'o' || a.mode === 'b' || a.mode === 't')
  for (const o of outs) if (o.mode !== 'b') frame.declare(o.name, o.type, null)
  const interpreter = new Interpreter(session, frame, f)
  yield* interpreter.function(parseBlock(f.body))
  if (f.returnsSet) return frame.rows
  if (outs.length === 0) return f.result === voidOid ? '' : frame.result
  const values = outs.map((o) => frame.values[frame.at(o.name)])
  if (outs.length === 1) return values[0]
  return new SqlRecord(
    outs.map((o) => session.types.types.type(o.type)),
    values,
    outs.map((o) => o.name),
  )
}

class Interpreter {
  readonly #session: Session
  readonly #frame: Frame
  readonly #function: FunctionDescriptor | undefined

  constructor(session: Session, frame: Frame, f: FunctionDescriptor | undefined) {
    this.#session = session
    this.#frame = frame
    this.#function = f
  }

  *function(block: Statement & { kind: 'block' }): Running {
    try {
      yield* this.block(block)
    } catch (signal) {
      if (signal !== returned) throw signal
    }
  }

  *block(s: Statement & { kind: 'block' }): Running {
    const frame = this.#frame
    const before = frame.names.length
    for (const v of s.variables) {
      const { type, typmod } = this.#type(v.type)
      const value = v.value === undefined ? null : yield* this.#value(v.value, type)
      frame.declare(
        v.name,
        type,
        value === null || typmod < 0 ? value : this.#typeOf(type).coerce(value, typmod, false),
      )
    }
    if (s.handlers.length === 0) yield* this.#all(s.body)
    else yield* this.#handled(s)
    frame.names.length = before
    frame.types.length = before
    frame.values.length = before
  }

  *#handled(s: Statement & { kind: 'block' }): Running {
    const session = this.#session
    const name = ` block ${session.savepoints.length}`
    session.savepoint(name)
    const depth = this.#frame.names.length
    try {
      yield* this.#all(s.body)
      session.releaseSavepoint(name)
    } catch (error) {
      if (!(error instanceof DbError)) {
        if (error === returned || error instanceof Exit) session.releaseSavepoint(name)
        throw error
      }
      const handler = s.handlers.find((h) =>
        h.conditions.some(
          (c) => c === error.code || c === error.sqlstate || (c === 'others' && error.code !== 'query_canceled'),
        ),
      )
      if (handler === undefined) throw error
      session.rollbackTo(name)
      session.releaseSavepoint(name)
      this.#frame.names.length = depth
      const outer = this.#frame.error
      this.#frame.error = error
      yield* this.#all(handler.body)
      this.#frame.error = outer
    }
  }

  *#all(body: readonly Statement[]): Running {
    for (const s of body) yield* this.#run(s)
  }

  *#run(s: Statement): Running {
    const frame = this.#frame
    switch (s.kind) {
      case 'null':
        return
      case 'sql':
        return yield* this.#sql(s.text, s.into, s.strict, undefined)
      case 'execute': {
        const text = yield* this.#value(s.expr, 25)
        if (text === null) throw new DbError('null_value_not_allowed', 'query string argument of EXECUTE is null')
        const using: { type: number; value: Value }[] = []
        for (const e of s.using) using.push(yield* this.#typed(e))
        return yield* this.#sql(text, s.into, false, using)
      }
      case 'assign': {
        const i = frame.at(s.name)
        frame.values[i] = yield* this.#value(s.expr, frame.types[i])
        return
      }
      case 'raise':
        return yield* this.#raise(s)
      case 'if':
        for (const b of s.branches) {
          if (b.test === undefined || (yield* this.#value(b.test, 16)) === true) return yield* this.#all(b.body)
        }
        return
      case 'while':
        return yield* this.#loop(s)
      case 'for':
        return yield* this.#for(s)
      case 'exit':
        if (s.when === undefined || (yield* this.#value(s.when, 16)) === true) throw new Exit(s.again)
        return
      case 'return':
        return yield* this.#return(s)
      case 'diagnostics':
        for (const item of s.items) frame.values[frame.at(item.name)] = this.#diagnostic(item.item)
        return
      case 'block':
        return yield* this.block(s)
    }
  }

  /** Runs a loop's body once: false when the loop ends. */
  *#once(body: readonly Statement[]): Running<boolean> {
    try {
      yield* this.#all(body)
    } catch (signal) {
      if (!(signal instanceof Exit)) throw signal
      return signal.again
    }
    return true
  }

  *#loop(s: Statement & { kind: 'while' }): Running {
    while (s.test === undefined || (yield* this.#value(s.test, 16)) === true) {
      // sliceSpent raises a cancel: an endless loop can be stopped.
      if (this.#session.sliceSpent) yield 3
      if (!(yield* this.#once(s.body))) return
    }
  }

  *#for(s: Statement & { kind: 'for' }): Running {
    const frame = this.#frame
    const from = yield* this.#value(s.from, 23)
    const to = yield* this.#value(s.to, 23)
    const step = s.step === undefined ? 1 : yield* this.#value(s.step, 23)
    if (from === null || to === null || step === null)
      throw new DbError('null_value_not_allowed', 'bounds of FOR loop cannot be null')
    if (step <= 0) throw new DbError('invalid_parameter_value', 'BY value of FOR loop must be greater than zero')
    const depth = frame.names.length
    frame.declare(s.name, 23, from)
    for (let i = from; s.reverse ? i >= to : i <= to; i += s.reverse ? -step : step) {
      if (this.#session.sliceSpent) yield 3
      frame.values[depth] = i
      if (!(yield* this.#once(s.body))) break
    }
    frame.names.length = depth
    frame.types.length = depth
    frame.values.length = depth
  }

  *#return(s: Statement & { kind: 'return' }): Running {
    const frame = this.#frame
    const f = this.#function
    if (f === undefined) throw returned
    if (s.query) {
      const { rows, types, names } = yield* this.#rows(s.expr!, undefined)
      for (const row of rows) frame.rows.push(row.length === 1 ? row[0] : new SqlRecord(types, row, names))
      return
    }
    if (s.next) {
      frame.rows.push(s.expr === undefined ? this.#outRecord(f) : yield* this.#value(s.expr, f.result))
      return
    }
    if (s.expr !== undefined && f.result !== voidOid) frame.result = yield* this.#value(s.expr, f.result)
    throw returned
  }

  #outRecord(f: FunctionDescriptor): Value {
    const outs = f.args.filter((a) => a.mode === 'o' || a.mode === 'b' || a.mode === 't')
    const values = outs.map((o) => this.#frame.values[this.#frame.at(o.name)])
    return values.length === 1
      ? values[0]
      : new SqlRecord(
          outs.map((o) => this.#typeOf(o.type)),
          values,
          outs.map((o) => o.name),
        )
  }

  #diagnostic(item: string): Value {
    const { error } = this.#frame
    switch (item) {
      case 'row_count':
        return this.#frame.rowCount
      case 'returned_sqlstate':
        return error?.sqlstate ?? ''
      case 'message_text':
        return error?.message ?? ''
      case 'pg_exception_detail':
        return error?.detail ?? ''
      case 'pg_exception_hint':
        return error?.hint ?? ''
      case 'constraint_name':
        return error?.constraint ?? ''
      case 'table_name':
        return error?.table ?? ''
      case 'column_name':
        return error?.column ?? ''
      case 'schema_name':
        return error?.schema ?? ''
      case 'pg_exception_context':
      case 'pg_context':
        return ''
      default:
        throw new DbError('syntax_error', `unrecognized GET DIAGNOSTICS item "${item}"`)
    }
  }

  *#raise(s: Statement & { kind: 'raise' }): Running {
    if (s.format === '' && s.args.length === 0 && s.options.length === 0 && this.#frame.error !== undefined)
      throw this.#frame.error
    const texts: string[] = []
    for (const a of s.args) {
      const { type, value } = yield* this.#typed(a)
      texts.push(value === null ? '<NULL>' : this.#typeOf(type).format(value, this.#session.types))
    }
    let i = 0
    const message = s.format.replaceAll(/%%|%/g, (m) => (m === '%%' ? '%' : (texts[i++] ?? '')))
    const fields: Record<string, string> = {}
    for (const [name, expr] of s.options) fields[name] = String(yield* this.#value(expr, 25))
    if (s.level !== 'EXCEPTION') return this.#session.notice(fields.message ?? message, s.level)
    throw new DbError('raise_exception', fields.message ?? message, { detail: fields.detail, hint: fields.hint })
  }

  // ---- SQL

  #typeOf(oid: number): Type {
    return this.#session.types.types.type(oid)
  }

  #type(text: string): { type: number; typmod: number } {
    const context = this.#context('')
    const of = /^(?:(\w+)\.)?(\w+)\.(\w+)%type$/i.exec(text)
    if (of !== null) {
      const [raw] = parse(`SELECT ${of[3]} FROM ${of[1] === undefined ? '' : `${of[1]}.`}${of[2]}`)
      const query = bindSelectNode(context, undefined, raw.node, true)
      return { type: query.targets[0].expr.type, typmod: query.targets[0].expr.typmod }
    }
    const [raw] = parse(`SELECT NULL::${text}`)
    return resolveTypeName(context, (raw.node as any).SelectStmt.targetList[0].ResTarget.val.TypeCast.typeName)
  }

  #context(text: string, using?: readonly { type: number }[]): BindContext {
    const { names, types } = this.#frame
    const parameters =
      using === undefined ? new ParameterTypes(types, true, names) : new ParameterTypes(using.map((u) => u.type))
    return this.#session.bindContext(text, parameters)
  }

  /** An expression's value, converted to a type. */
  *#value(expr: string, type: number): Running<Value> {
    const { rows, types } = yield* this.#rows(`SELECT ${expr}`, undefined, type)
    if (rows.length === 0) return null
    if (rows.length > 1) throw new DbError('cardinality_violation', 'query returned more than one row')
    const value = rows[0][0]
    if (value === null || types[0].oid === type) return value
    return this.#typeOf(type).parse(types[0].format(value, this.#session.types), -1, this.#session.types)
  }

  *#typed(expr: string): Running<{ type: number; value: Value }> {
    const { rows, types } = yield* this.#rows(`SELECT ${expr}`, undefined)
    return { type: types[0].oid, value: rows[0]?.[0] ?? null }
  }

  *#sql(
    text: string,
    into: readonly string[] | undefined,
    strict: boolean,
    using: readonly { type: number; value: Value }[] | undefined,
  ): Running {
    const frame = this.#frame
    const { rows, types, names } = yield* this.#rows(text, using)
    frame.rowCount = rows.length
    if (into === undefined) return
    if (strict && rows.length === 0) throw new DbError('no_data_found', 'query returned no rows')
    if (strict && rows.length > 1) throw new DbError('too_many_rows', 'query returned more than one row')
    const row = rows[0]
    into.forEach((name, i) => {
      const at = frame.at(name)
      const wanted = this.#typeOf(frame.types[at])
      if (row === undefined) frame.values[at] = null
      else if (into.length === 1 && wanted.kind === 'c') frame.values[at] = new SqlRecord(types, row, names)
      else {
        const value = row[i] ?? null
        frame.values[at] =
          value === null || types[i].oid === wanted.oid
            ? value
            : wanted.parse(types[i].format(value, this.#session.types), -1, this.#session.types)
      }
    })
  }

  /** Runs one statement as one of the transaction's own; queries give their rows. */
  *#rows(
    text: string,
    using: readonly { type: number; value: Value }[] | undefined,
    wanted?: number,
  ): Running<{ rows: Value[][]; types: Type[]; names: string[] }> {
    const session = this.#session
    const [raw] = parse(text)
    if (raw === undefined) return { rows: [], types: [], names: [] }
    if (!isQuery(Object.keys(raw.node)[0])) {
      const portal = utilityPortal(session, raw.node, text, false, text)
      for (;;) {
        const step = portal.run({ row: () => true, copyOut: () => true }, 0)
        if (step === END) return { rows: [], types: [], names: [] }
        yield step
      }
    }
    let fields: readonly Field[] = []
    const plan = yield* lockedPlan(session, () => {
      const context = this.#context(text, using)
      let query = bindQueryNode(context, raw.node)
      if (wanted !== undefined && query.targets.length === 1) {
        const converted = tryCoerce(context, query.targets[0].expr, wanted, -1, 'assignment')
        if (converted !== undefined) query = { ...query, targets: [{ ...query.targets[0], expr: converted }] }
      }
      const made = makePlan(context, query, session.tables, session.tableRows)
      fields = fieldsOf(context, query, made.outputs) ?? []
      return made
    })
    const tx = session.transaction()
    session.startStatement()
    const outer = session.running
    const x = new Execution(
      plan.registers,
      using === undefined ? [...this.#frame.values] : using.map((u) => u.value),
      tx,
      session,
    )
    plan.builder.running = x
    session.running = x
    session.refreshCache()
    for (const reset of plan.resets) reset(x)
    const rows: Value[][] = []
    plan.operator.open(x)
    try {
      for (;;) {
        x.startSlice()
        let step: Step
        try {
          step = plan.operator.next(x)
        } catch (error) {
          if (error !== suspended) throw error
          step = x.suspendedStep
        }
        if (step === END) break
        if (step === ROW) {
          if (fields.length > 0) rows.push(fields.map((f) => x.r[f.slot]))
          continue
        }
        session.blocker = x.blocker
        yield step
      }
      for (const check of x.afterStatement) yield* check(x)
    } finally {
      plan.operator.close(x)
      session.running = outer
    }
    this.#frame.rowCount = plan.command === 'select' ? rows.length : x.affected
    return { rows, types: fields.map((f) => f.type), names: fields.map((f) => f.name) }
  }
}
