/**
 * PL/pgSQL blocks to statements: PL/pgSQL's own by keyword, the rest up to the semicolon as SQL.
 *
 * Not here: cursors, composite variables by %ROWTYPE and RETURN QUERY EXECUTE; they are refused by name.
 */
import { DbError, isErrorCode } from '../../base/index.ts'

export type Statement =
  | {
      readonly kind: 'sql'
      readonly text: string
      readonly into: readonly string[] | undefined
      readonly strict: boolean
    }
  | {
      readonly kind: 'execute'
      readonly expr: string
      readonly into: readonly string[] | undefined
      readonly using: readonly string[]
    }
  | { readonly kind: 'assign'; readonly name: string; readonly expr: string }
  | { readonly kind: 'null' }
  | {
      readonly kind: 'raise'
      readonly level: string
      readonly format: string
      readonly args: readonly string[]
      readonly options: readonly (readonly [string, string])[]
    }
  | {
      readonly kind: 'if'
      readonly branches: readonly { readonly test: string | undefined; readonly body: readonly Statement[] }[]
    }
  | { readonly kind: 'while'; readonly test: string | undefined; readonly body: readonly Statement[] }
  | {
      readonly kind: 'for'
      readonly name: string
      readonly from: string
      readonly to: string
      readonly step: string | undefined
      readonly reverse: boolean
      readonly body: readonly Statement[]
    }
  | { readonly kind: 'exit'; readonly again: boolean; readonly when: string | undefined }
  | { readonly kind: 'return'; readonly expr: string | undefined; readonly next: boolean; readonly query: boolean }
  | { readonly kind: 'diagnostics'; readonly items: readonly { readonly name: string; readonly item: string }[] }
  | {
      readonly kind: 'block'
      readonly variables: readonly Variable[]
      readonly body: readonly Statement[]
      readonly handlers: readonly Handler[]
    }

export interface Variable {
  readonly name: string
  readonly type: string
  readonly value: string | undefined
}

export interface Handler {
  readonly conditions: readonly string[]
  readonly body: readonly Statement[]
}

export function parseBlock(source: string): Statement & { kind: 'block' } {
  return new BlockParser(source).block()
}

const refused = /^(foreach|open|fetch|close|case|assert|call)\b/i

class BlockParser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  block(): Statement & { kind: 'block' } {
    const variables = this.#take(/^declare\b/i) === undefined ? [] : this.#variables()
    this.#expect(/^begin\b/i, 'BEGIN')
    const body = this.#statements(/^(end|exception)\b/i)
    const handlers: Handler[] = []
    if (this.#take(/^exception\b/i)) {
      while (this.#take(/^when\b/i)) {
        const conditions = this.#until(/^then\b/i)
          .split(/\s+or\s+/i)
          .map((c) => condition(c.trim().toLowerCase()))
        this.#expect(/^then\b/i, 'THEN')
        handlers.push({ conditions, body: this.#statements(/^(when|end)\b/i) })
      }
    }
    this.#expect(/^end\b/i, 'END')
    this.#take(/^[a-z_]\w*/i)
    this.#take(/^;/)
    return { kind: 'block', variables, body, handlers }
  }

  #variables(): Variable[] {
    const out: Variable[] = []
    while (!this.#peek(/^begin\b/i)) {
      const text = this.#toSemicolon()
      const m =
        /^("(?:[^"]|"")+"|\w+)\s+(?:constant\s+)?([\s\S]*?)(?:\s+not\s+null)?(?:\s*(?::=|=|\bdefault\b)\s*([\s\S]+))?$/i.exec(
          text,
        )
      if (m === null) throw new DbError('syntax_error', `syntax error in DECLARE: "${text}"`)
      if (/%rowtype$|^(cursor|alias)\b|^record$/i.test(m[2].trim())) throw unsupported(`DECLARE ${m[2].trim()}`)
      out.push({ name: identifier(m[1]), type: m[2].trim(), value: m[3]?.trim() })
    }
    return out
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
    if (this.#peek(/^(begin|declare)\b/i)) return this.block()
    const word = refused.exec(this.#rest())
    if (word !== null) throw unsupported(word[0].toUpperCase())
    if (this.#take(/^perform\b/i))
      return { kind: 'sql', text: `SELECT ${this.#toSemicolon()}`, into: undefined, strict: false }
    if (this.#take(/^null\s*;/i)) return { kind: 'null' }
    if (this.#take(/^if\b/i)) return this.#if()
    if (this.#take(/^raise\b/i)) return this.#raise()
    if (this.#take(/^execute\b/i)) return this.#execute()
    if (this.#take(/^return\b/i)) return this.#return()
    if (this.#take(/^while\b/i)) return this.#while(this.#until(/^loop\b/i))
    if (this.#peek(/^loop\b/i)) return this.#while(undefined)
    if (this.#take(/^for\b/i)) return this.#for()
    const exit = this.#take(/^(exit|continue)\b/i)
    if (exit !== undefined) {
      const when = /^when\s+([\s\S]+)$/i.exec(this.#toSemicolon())
      return { kind: 'exit', again: exit.toLowerCase() === 'continue', when: when?.[1] }
    }
    if (this.#take(/^get\s+(current\s+|stacked\s+)?diagnostics\b/i)) return this.#diagnostics()
    const assigned = /^("(?:[^"]|"")+"|[a-z_]\w*)\s*(:=|=)\s*/i.exec(this.#rest())
    if (assigned !== null) {
      this.#at += assigned[0].length
      return { kind: 'assign', name: identifier(assigned[1]), expr: this.#toSemicolon() }
    }
    const { text, into, strict } = takeInto(this.#toSemicolon())
    return { kind: 'sql', text, into, strict }
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

  #while(test: string | undefined): Statement {
    return { kind: 'while', test, body: this.#loop() }
  }

  #loop(): Statement[] {
    this.#expect(/^loop\b/i, 'LOOP')
    const body = this.#statements(/^end\b/i)
    this.#expect(/^end\s+loop\b\s*\w*\s*;/i, 'END LOOP')
    return body
  }

  #for(): Statement {
    const head = this.#until(/^loop\b/i)
    const m = /^(\w+)\s+in\s+(reverse\s+)?([\s\S]+?)\.\.([\s\S]+?)(?:\s+by\s+([\s\S]+))?$/i.exec(head)
    if (m === null) throw unsupported('FOR over a query')
    return {
      kind: 'for',
      name: m[1].toLowerCase(),
      reverse: m[2] !== undefined,
      from: m[3],
      to: m[4],
      step: m[5],
      body: this.#loop(),
    }
  }

  #execute(): Statement {
    let text = this.#toSemicolon()
    let using: string[] = []
    const u = splitWord(text, 'using')
    if (u !== undefined) {
      using = splitTop(u[1])
      text = u[0]
    }
    const { text: expr, into } = takeInto(text)
    return { kind: 'execute', expr, into, using }
  }

  #return(): Statement {
    const next = this.#take(/^next\b/i) !== undefined
    const query = this.#take(/^query\b/i) !== undefined
    const expr = this.#toSemicolon()
    if (query && /^execute\b/i.test(expr)) throw unsupported('RETURN QUERY EXECUTE')
    return { kind: 'return', expr: expr === '' ? undefined : expr, next, query }
  }

  #raise(): Statement {
    const level = (this.#take(/^(debug|log|info|notice|warning|exception)\b/i) ?? 'exception').toUpperCase()
    let text = this.#toSemicolon()
    const options: [string, string][] = []
    const u = splitWord(text, 'using')
    if (u !== undefined) {
      text = u[0]
      for (const part of splitTop(u[1])) {
        const m = /^(\w+)\s*=\s*([\s\S]+)$/.exec(part)
        if (m !== null) options.push([m[1].toLowerCase(), m[2]])
      }
    }
    const parts = splitTop(text)
    const format = /^'((?:[^']|'')*)'$/.exec(parts[0] ?? '')
    if (format === null && text !== '') throw unsupported('RAISE of a condition name')
    return {
      kind: 'raise',
      level,
      format: format === null ? '' : format[1].replaceAll("''", "'"),
      args: text === '' ? [] : parts.slice(1),
      options,
    }
  }

  #diagnostics(): Statement {
    const items = splitTop(this.#toSemicolon()).map((part) => {
      const m = /^(\S+)\s*(?::=|=)\s*(\w+)$/.exec(part)
      if (m === null) throw new DbError('syntax_error', `syntax error in GET DIAGNOSTICS: "${part}"`)
      return { name: identifier(m[1]), item: m[2].toLowerCase() }
    })
    return { kind: 'diagnostics', items }
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
    if (this.#take(pattern) === undefined)
      throw new DbError('syntax_error', `syntax error: ${what} expected near "${this.#rest().trim().slice(0, 20)}"`)
  }
  #toSemicolon(): string {
    this.#space()
    const out = this.#until(/^;/)
    this.#take(/^;/)
    return out
  }
  /** Text up to a pattern outside of quotes and parentheses. */
  #until(stop: RegExp): string {
    const start = this.#at
    const end = scan(this.#text, start, stop)
    if (end < 0) throw new DbError('syntax_error', 'syntax error at end of input')
    this.#at = end
    return this.#text.slice(start, end).trim()
  }
}

/** Where a pattern stands outside of quotes, comments and parentheses; -1 when nowhere. */
function scan(text: string, from: number, stop: RegExp): number {
  let depth = 0
  for (let at = from; at < text.length; ) {
    const rest = text.slice(at)
    const boundary = at === from || !/\w/.test(text[at - 1]) || !/^\w/.test(rest)
    if (depth === 0 && boundary && stop.test(rest)) return at
    const quoted = /^('(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$[\s\S]*?\$\2\$|--[^\n]*|\/\*[\s\S]*?\*\/)/.exec(rest)
    if (quoted !== null) at += quoted[0].length
    else {
      if (rest[0] === '(') depth++
      if (rest[0] === ')') depth--
      at++
    }
  }
  return -1
}

function splitWord(text: string, word: string): [string, string] | undefined {
  const pattern = new RegExp(`^${word}\\b`, 'i')
  const at = scan(text, 0, pattern)
  return at < 0 ? undefined : [text.slice(0, at).trim(), text.slice(at + word.length).trim()]
}

/** Takes INTO a, b out of a statement. INSERT INTO and the like stay. */
function takeInto(text: string): { text: string; into: readonly string[] | undefined; strict: boolean } {
  let from = 0
  const first = /^\s*(insert|merge)\s+into\b/i.exec(text)
  if (first !== null) from = first[0].length
  const at = scan(text, from, /^into\b/i)
  if (at < 0 || (from > 0 && at < from)) return { text, into: undefined, strict: false }
  const rest = text.slice(at + 4)
  const m = /^\s+(strict\s+)?((?:"(?:[^"]|"")+"|[a-z_]\w*)(?:\s*,\s*(?:"(?:[^"]|"")+"|[a-z_]\w*))*)/i.exec(rest)
  if (m === null) return { text, into: undefined, strict: false }
  return {
    text: `${text.slice(0, at)} ${rest.slice(m[0].length)}`.trim(),
    into: m[2].split(',').map((n) => identifier(n.trim())),
    strict: m[1] !== undefined,
  }
}

/** Splits at commas outside of quotes and parentheses. */
export function splitTop(text: string): string[] {
  const out: string[] = []
  let from = 0
  for (;;) {
    const at = scan(text, from, /^,/)
    if (at < 0) break
    out.push(text.slice(from, at).trim())
    from = at + 1
  }
  out.push(text.slice(from).trim())
  return out
}

function identifier(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text.toLowerCase()
}

function condition(text: string): string {
  const state = /^sqlstate\s+'(\w{5})'$/.exec(text)
  if (state !== null) return state[1].toUpperCase()
  if (text !== 'others' && !isErrorCode(text))
    throw new DbError('undefined_object', `unrecognized exception condition "${text}"`)
  return text
}

function unsupported(what: string): DbError {
  return new DbError('feature_not_supported', `${what} is not supported in PL/pgSQL`)
}
