/**
 * DO blocks: the part of PL/pgSQL that migration tools use. A block holds SQL statements, IF, RAISE, NULL, EXECUTE of a
 * string, nested blocks, and EXCEPTION handlers by condition name, each block with handlers being a savepoint.
 *
 * Not here: variables, loops, cursors and functions; they are refused by name.
 */
import { DbError, END, isErrorCode, type Step } from '../../base/index.ts'
import { bindExpr } from '../bind/expression.ts'
import { coerceBoolean } from '../bind/coerce.ts'
import { QueryScope } from '../bind/scope.ts'
import { parse } from '../parse/parser.ts'
import { contextOf } from '../ddl/context.ts'
import { evaluate } from '../session/prepare-commands.ts'
import type { Session } from '../session/session.ts'
import type { Value } from '../types/type.ts'

type Statement =
  | { readonly kind: 'sql'; readonly text: string }
  | { readonly kind: 'execute'; readonly expr: string }
  | { readonly kind: 'null' }
  | { readonly kind: 'raise'; readonly level: string; readonly format: string; readonly args: readonly string[] }
  | { readonly kind: 'if'; readonly branches: readonly { readonly test: string | undefined; readonly body: readonly Statement[] }[] }
  | { readonly kind: 'block'; readonly body: readonly Statement[]; readonly handlers: readonly Handler[] }

interface Handler {
  readonly conditions: readonly string[]
  readonly body: readonly Statement[]
}

type Running = Generator<Step, void, void>

export function* runBlock(session: Session, source: string): Running {
  const parser = new BlockParser(source)
  yield* run(session, parser.block())
}

function* run(session: Session, s: Statement): Running {
  switch (s.kind) {
    case 'null':
      return
    case 'sql':
      return yield* runSql(session, s.text)
    case 'execute':
      return yield* runSql(session, String(value(session, s.expr)))
    case 'raise':
      return raise(session, s)
    case 'if':
      for (const b of s.branches) {
        if (b.test === undefined || truth(session, b.test)) {
          for (const inner of b.body) yield* run(session, inner)
          return
        }
      }
      return
    case 'block':
      return yield* runHandled(session, s)
  }
}

function* runHandled(session: Session, s: Statement & { kind: 'block' }): Running {
  if (s.handlers.length === 0) {
    for (const inner of s.body) yield* run(session, inner)
    return
  }
  const name = ` block ${session.savepoints.length}`
  session.savepoint(name)
  try {
    for (const inner of s.body) yield* run(session, inner)
    session.releaseSavepoint(name)
  } catch (error) {
    if (!(error instanceof DbError)) throw error
    const handler = s.handlers.find((h) => h.conditions.some((c) => c === 'others' || c === error.code || c === error.sqlstate))
    if (handler === undefined) throw error
    session.rollbackTo(name)
    session.releaseSavepoint(name)
    for (const inner of handler.body) yield* run(session, inner)
  }
}

function* runSql(session: Session, text: string): Running {
  for (const raw of parse(text)) {
    const statement = session.statementCache.prepare(text, { ...raw }, [])
    const portal = session.statementCache.bind(statement, [], false)
    for (;;) {
      const step = portal.run({ row: () => true, copyOut: () => true }, 0)
      if (step === END) break
      yield step
    }
  }
}

function expression(session: Session, text: string): ReturnType<typeof bindExpr> {
  const [raw] = parse(`SELECT ${text}`)
  const node = (raw.node as any).SelectStmt.targetList[0].ResTarget.val
  return bindExpr(new QueryScope(contextOf(session), undefined), node)
}

function value(session: Session, text: string): Value {
  return evaluate(session, expression(session, text))
}

function truth(session: Session, text: string): boolean {
  return evaluate(session, coerceBoolean(contextOf(session), expression(session, text), 'IF')) === true
}

function raise(session: Session, s: Statement & { kind: 'raise' }): void {
  let i = 0
  const message = s.format.replaceAll(/%%|%/g, (m) => {
    if (m === '%%') return '%'
    const e = expression(session, s.args[i++])
    const v = evaluate(session, e)
    return v === null ? '<NULL>' : session.types.types.type(e.type).format(v, session.types)
  })
  if (s.level === 'EXCEPTION') throw new DbError('raise_exception', message)
  session.notice(message, s.level)
}

const refused = /^(declare|loop|while|for|foreach|return|perform|open|fetch|close|case|exit|continue|assert|get|call)\b/i

/** Cuts a block into statements: PL/pgSQL's own by keyword, the rest up to the semicolon. */
class BlockParser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  block(): Statement {
    this.#space()
    if (this.#peek(/^declare\b/i)) throw unsupported('DECLARE')
    this.#expect(/^begin\b/i, 'BEGIN')
    const body = this.#statements(/^(end|exception)\b/i)
    const handlers: Handler[] = []
    if (this.#take(/^exception\b/i)) {
      while (this.#take(/^when\b/i)) {
        const conditions = this.#until(/^then\b/i).split(/\s+or\s+/i).map((c) => this.#condition(c.trim().toLowerCase()))
        this.#expect(/^then\b/i, 'THEN')
        handlers.push({ conditions, body: this.#statements(/^(when|end)\b/i) })
      }
    }
    this.#expect(/^end\b/i, 'END')
    this.#take(/^[a-z_]\w*/i)
    this.#take(/^;/)
    return { kind: 'block', body, handlers }
  }

  #condition(text: string): string {
    const state = /^sqlstate\s+'(\w{5})'$/.exec(text)
    if (state !== null) return state[1].toUpperCase()
    if (text !== 'others' && !isErrorCode(text)) throw new DbError('undefined_object', `unrecognized exception condition "${text}"`)
    return text
  }

  #statements(stop: RegExp): Statement[] {
    const out: Statement[] = []
    for (;;) {
      this.#space()
      if (this.#at >= this.#text.length) throw new DbError('syntax_error', 'syntax error at end of input')
      if (this.#peek(stop)) return out
      out.push(this.#statement())
    }
  }

  #statement(): Statement {
    if (this.#peek(/^begin\b/i)) return this.block()
    const word = refused.exec(this.#rest())
    if (word !== null) {
      if (word[0].toLowerCase() === 'perform') {
        this.#take(/^perform\b/i)
        return { kind: 'sql', text: `SELECT ${this.#toSemicolon()}` }
      }
      throw unsupported(word[0].toUpperCase())
    }
    if (this.#take(/^null\s*;/i)) return { kind: 'null' }
    if (this.#take(/^if\b/i)) return this.#if()
    if (this.#take(/^raise\b/i)) return this.#raise()
    if (this.#take(/^execute\b/i)) return { kind: 'execute', expr: this.#toSemicolon() }
    return { kind: 'sql', text: this.#toSemicolon() }
  }

  #if(): Statement {
    const branches: { test: string | undefined; body: Statement[] }[] = []
    let test: string | undefined = this.#until(/^then\b/i)
    this.#expect(/^then\b/i, 'THEN')
    for (;;) {
      branches.push({ test, body: this.#statements(/^(elsif|elseif|else|end)\b/i) })
      if (this.#take(/^(elsif|elseif)\b/i)) {
        test = this.#until(/^then\b/i)
        this.#expect(/^then\b/i, 'THEN')
      } else if (this.#take(/^else\b/i)) test = undefined
      else break
    }
    this.#expect(/^end\s+if\s*;/i, 'END IF')
    return { kind: 'if', branches }
  }

  #raise(): Statement {
    const m = this.#take(/^(debug|log|info|notice|warning|exception)\b/i)
    const level = (m ?? 'exception').toUpperCase()
    const parts = splitTop(this.#toSemicolon())
    const format = /^'((?:[^']|'')*)'/.exec(parts[0] ?? '')
    if (format === null) throw unsupported('RAISE without a format')
    return { kind: 'raise', level, format: format[1].replaceAll("''", "'"), args: parts.slice(1) }
  }

  #rest(): string {
    return this.#text.slice(this.#at)
  }
  #space(): void {
    const m = /^(\s+|--[^\n]*(\n|$)|\/\*[\s\S]*?\*\/)+/.exec(this.#rest())
    if (m !== null) this.#at += m[0].length
  }
  #peek(pattern: RegExp): boolean {
    this.#space()
    return pattern.test(this.#rest())
  }
  #take(pattern: RegExp): string | undefined {
    this.#space()
    const m = pattern.exec(this.#rest())
    if (m === null) return undefined
    this.#at += m[0].length
    return m[0]
  }
  #expect(pattern: RegExp, what: string): void {
    if (this.#take(pattern) === undefined) throw new DbError('syntax_error', `syntax error: ${what} expected near "${this.#rest().trim().slice(0, 20)}"`)
  }
  #toSemicolon(): string {
    const out = this.#until(/^;/)
    this.#take(/^;/)
    return out
  }
  /** Text up to a pattern outside of quotes and parentheses. */
  #until(stop: RegExp): string {
    const start = this.#at
    let depth = 0
    while (this.#at < this.#text.length) {
      const rest = this.#rest()
      const boundary = this.#at === start || !/\w/.test(this.#text[this.#at - 1]) || !/^\w/.test(rest)
      if (depth === 0 && boundary && stop.test(rest)) return this.#text.slice(start, this.#at).trim()
      const quoted = /^('(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$[\s\S]*?\$\2\$|--[^\n]*|\/\*[\s\S]*?\*\/)/.exec(rest)
      if (quoted !== null) this.#at += quoted[0].length
      else {
        if (rest[0] === '(') depth++
        if (rest[0] === ')') depth--
        this.#at++
      }
    }
    throw new DbError('syntax_error', 'syntax error at end of input')
  }
}

/** Splits at commas outside of quotes and parentheses. */
function splitTop(text: string): string[] {
  const out: string[] = []
  let depth = 0
  let from = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === "'") i = text.indexOf("'", i + 1) < 0 ? text.length : text.indexOf("'", i + 1)
    else if (c === '(') depth++
    else if (c === ')') depth--
    else if (c === ',' && depth === 0) {
      out.push(text.slice(from, i).trim())
      from = i + 1
    }
  }
  out.push(text.slice(from).trim())
  return out
}

function unsupported(what: string): DbError {
  return new DbError('feature_not_supported', `${what} is not supported in DO blocks`)
}
