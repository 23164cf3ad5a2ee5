/**
 * Reads SQL/JSON path expressions: a small lexer and a parser by recursive descent.
 *
 *   path       = head accessor*                 predicate = comparison | exists(…) | !(…) | p && p | p || p | …
 *   expression = path | -e | e + e | e * e …    A parenthesis may hold either; what follows tells which.
 *
 * Not here: what expressions mean (functions/jsonpath.ts).
 */
import { DbError } from '../../base/index.ts'
import { compileRegexp, xqueryFlags } from '../functions/regexp-match.ts'
import type {
  ArithmeticOperator,
  ComparisonOperator,
  JsonPath,
  Path,
  PathHead,
  PathMethod,
  PathStep,
} from './jsonpath.ts'
import { parseNumeric } from './numeric.ts'

type TokenKind = 'string' | 'variable' | 'word' | 'number' | 'symbol' | 'end'
interface Token {
  readonly kind: TokenKind
  /** Decoded text; of a word in lower case when it is a keyword of the language. */
  readonly text: string
  readonly raw: string
}

const keywords = new Set(
  (
    'is to abs lax date flag last null size true type with false floor double exists starts strict ceiling unknown ' +
    'datetime keyvalue like_regex'
  ).split(' '),
)
const symbols = [
  '&&',
  '||',
  '==',
  '<>',
  '!=',
  '<=',
  '>=',
  '**',
  '<',
  '>',
  '!',
  '?',
  '@',
  '(',
  ')',
  '[',
  ']',
  '{',
  '}',
  ',',
  '.',
  '*',
  '+',
  '-',
  '/',
  '%',
  '=',
  ':',
]
const space = /(?:[ \t\n\r\f]|\/\*[\s\S]*?\*\/)*/y
const number = /(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/y
const word = /(?:[^\s?%$.[\]{}()|&!=<>@#,*:\-+/\\"]|\\.)+/y
const quotedText = /"(?:[^"\\]|\\[\s\S])*"/y

function syntaxError(token: Token | undefined, message = 'syntax error'): DbError {
  if (token === undefined || token.kind === 'end')
    return new DbError('syntax_error', `${message} at end of jsonpath input`)
  return new DbError('syntax_error', `${message} at or near "${token.raw}" of jsonpath input`)
}

function unescapeText(text: string): string {
  return text.replace(/\\(u\{[0-9a-fA-F]{1,6}\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[\s\S])/g, (_all, body: string) => {
    if (body.length > 1) {
      const code = Number.parseInt(body.replace(/[ux{}]/g, ''), 16)
      if (code === 0) {
        throw new DbError('untranslatable_character', 'unsupported Unicode escape sequence', {
          detail: '\\u0000 cannot be converted to text.',
        })
      }
      return code > 0xffff ? String.fromCodePoint(code) : String.fromCharCode(code)
    }
    return { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }[body] ?? body
  })
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }
  for (;;) {
    take(space)
    if (at >= text.length) break
    const start = at
    if (text[at] === '"') {
      const raw = take(quotedText)
      if (raw === undefined) throw syntaxError({ kind: 'end', text: '', raw: '' }, 'unterminated quoted string')
      tokens.push({ kind: 'string', text: unescapeText(raw.slice(1, -1)), raw: unescapeText(raw.slice(1, -1)) })
      continue
    }
    if (text[at] === '$') {
      at++
      const name = text[at] === '"' ? take(quotedText)?.slice(1, -1) : take(word)
      tokens.push({
        kind: name === undefined ? 'symbol' : 'variable',
        text: unescapeText(name ?? '$'),
        raw: text.slice(start, at),
      })
      continue
    }
    const digits = take(number)
    if (digits !== undefined && digits !== '') {
      const tail = take(word)
      if (tail !== undefined)
        throw syntaxError(
          { kind: 'number', text: digits, raw: digits + tail[0] },
          'trailing junk after numeric literal',
        )
      tokens.push({ kind: 'number', text: digits, raw: digits })
      continue
    }
    const symbol = symbols.find((candidate) => text.startsWith(candidate, at))
    if (symbol !== undefined) {
      at += symbol.length
      tokens.push({ kind: 'symbol', text: symbol, raw: symbol })
      continue
    }
    const letters = take(word)
    if (letters === undefined) throw syntaxError({ kind: 'symbol', text: text[at], raw: text[at] })
    const plain = unescapeText(letters)
    tokens.push({ kind: 'word', text: plain, raw: letters })
  }
  tokens.push({ kind: 'end', text: '', raw: '' })
  return tokens
}

/** An expression, or a predicate: which it is matters inside parentheses and filters. */
interface Parsed {
  readonly path: Path
  readonly predicate: boolean
}

const comparisons: Record<string, ComparisonOperator> = {
  '==': '==',
  '=': '==',
  '<>': '<>',
  '!=': '<>',
  '<': '<',
  '<=': '<=',
  '>': '>',
  '>=': '>=',
}

/** Most parentheses and operators in one path. */
const maxDepth = 300

class PathParser {
  readonly #tokens: readonly Token[]
  #at = 0
  #filters = 0
  #depth = 0
  #subscripts = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  parse(): JsonPath {
    let strict = false
    if (this.#isWord('strict') || this.#isWord('lax')) strict = this.#next().text.toLowerCase() === 'strict'
    const { path } = this.#or()
    if (this.#peek().kind !== 'end') throw syntaxError(this.#peek())
    return { strict, path }
  }

  #peek(): Token {
    return this.#tokens[this.#at]
  }

  #next(): Token {
    return this.#tokens[this.#at++]
  }

  #is(symbol: string): boolean {
    const token = this.#peek()
    return token.kind === 'symbol' && token.text === symbol
  }

  #isWord(name: string): boolean {
    const token = this.#peek()
    if (token.kind !== 'word' || !keywords.has(name)) return false
    // true, false and null are keywords in lower case only.
    return name === 'true' || name === 'false' || name === 'null'
      ? token.text === name
      : token.text.toLowerCase() === name
  }

  #expect(symbol: string): void {
    if (!this.#is(symbol)) throw syntaxError(this.#peek())
    this.#at++
  }

  #expectWord(name: string): void {
    if (!this.#isWord(name)) throw syntaxError(this.#peek())
    this.#at++
  }

  #predicateOf(parsed: Parsed): Path {
    if (!parsed.predicate) throw syntaxError(this.#peek())
    return parsed.path
  }

  #expressionOf(parsed: Parsed): Path {
    if (parsed.predicate) throw syntaxError(this.#peek())
    return parsed.path
  }

  /** Counts nesting and the length of chains of operators, which nest in the tree. */
  #deeper(): void {
    if (++this.#depth > maxDepth) throw new DbError('statement_too_complex', 'stack depth limit exceeded')
  }

  #or(): Parsed {
    let left = this.#and()
    while (this.#is('||')) {
      this.#deeper()
      const first = this.#predicateOf(left)
      this.#at++
      const right = this.#predicateOf(this.#and())
      left = { path: { head: { kind: 'or', left: first, right }, steps: [] }, predicate: true }
    }
    return left
  }

  #and(): Parsed {
    let left = this.#comparison()
    while (this.#is('&&')) {
      this.#deeper()
      const first = this.#predicateOf(left)
      this.#at++
      const right = this.#predicateOf(this.#comparison())
      left = { path: { head: { kind: 'and', left: first, right }, steps: [] }, predicate: true }
    }
    return left
  }

  #comparison(): Parsed {
    if (this.#is('!')) {
      this.#at++
      const exists = this.#isWord('exists')
      if (!exists && !this.#is('(')) throw syntaxError(this.#peek())
      const argument = exists ? this.#exists() : this.#bracketed()
      return this.#predicate({ kind: 'not', argument: this.#predicateOf(argument) })
    }
    if (this.#isWord('exists')) return this.#exists()
    const left = this.#sum()
    const token = this.#peek()
    const operator = token.kind === 'symbol' ? comparisons[token.text] : undefined
    if (operator !== undefined) {
      const first = this.#expressionOf(left)
      this.#at++
      const right = this.#expressionOf(this.#sum())
      return this.#predicate({ kind: 'compare', operator, left: first, right })
    }
    if (this.#isWord('starts')) return this.#startsWith(this.#expressionOf(left))
    if (this.#isWord('like_regex')) return this.#likeRegex(this.#expressionOf(left))
    if (this.#isWord('is')) {
      const argument = this.#predicateOf(left)
      this.#at++
      this.#expectWord('unknown')
      return this.#predicate({ kind: 'unknown', argument })
    }
    return left
  }

  #predicate(head: PathHead): Parsed {
    return { path: { head, steps: [] }, predicate: true }
  }

  #bracketed(): Parsed {
    this.#deeper()
    this.#expect('(')
    const inner = this.#or()
    this.#expect(')')
    return inner
  }

  #exists(): Parsed {
    this.#at++
    this.#expect('(')
    const argument = this.#expressionOf(this.#or())
    this.#expect(')')
    return this.#predicate({ kind: 'exists', argument })
  }

  #startsWith(left: Path): Parsed {
    this.#at++
    this.#expectWord('with')
    const token = this.#next()
    if (token.kind !== 'string' && token.kind !== 'variable') throw syntaxError(token)
    const head: PathHead =
      token.kind === 'string' ? { kind: 'string', text: token.text } : { kind: 'variable', name: token.text }
    return this.#predicate({ kind: 'starts', left, right: { head, steps: [] } })
  }

  #likeRegex(argument: Path): Parsed {
    this.#at++
    const pattern = this.#next()
    if (pattern.kind !== 'string') throw syntaxError(pattern)
    let flags = ''
    if (this.#isWord('flag')) {
      this.#at++
      const token = this.#next()
      if (token.kind !== 'string') throw syntaxError(token)
      for (const c of token.text) {
        if (!'ismxq'.includes(c)) {
          throw new DbError('syntax_error', 'invalid input syntax for type jsonpath', {
            detail: `Unrecognized flag character "${c}" in LIKE_REGEX predicate.`,
          })
        }
      }
      flags = [...'ismxq'].filter((c) => token.text.includes(c)).join('')
    }
    // A bad pattern is reported when the path is read.
    compileRegexp(pattern.text, xqueryFlags(flags))
    return this.#predicate({ kind: 'regex', argument, pattern: pattern.text, flags })
  }

  #sum(): Parsed {
    let left = this.#product()
    while (this.#is('+') || this.#is('-')) left = this.#binary(left, () => this.#product())
    return left
  }

  #product(): Parsed {
    let left = this.#unary()
    while (this.#is('*') || this.#is('/') || this.#is('%')) left = this.#binary(left, () => this.#unary())
    return left
  }

  #binary(left: Parsed, operand: () => Parsed): Parsed {
    this.#deeper()
    const first = this.#expressionOf(left)
    const operator = this.#next().text as ArithmeticOperator
    const right = this.#expressionOf(operand())
    return { path: { head: { kind: 'arithmetic', operator, left: first, right }, steps: [] }, predicate: false }
  }

  #unary(): Parsed {
    if (!this.#is('+') && !this.#is('-')) return this.#accessors()
    this.#deeper()
    const operator = this.#next().text as '+' | '-'
    const argument = this.#expressionOf(this.#unary())
    return { path: { head: { kind: 'sign', operator, argument }, steps: [] }, predicate: false }
  }

  /** A primary with its accessors. */
  #accessors(): Parsed {
    const start = this.#peek()
    let head: Path
    let predicate = false
    if (this.#is('(')) {
      const inner = this.#bracketed()
      head = inner.path
      predicate = inner.predicate
    } else {
      head = { head: this.#primary(start), steps: [] }
    }
    const steps: PathStep[] = []
    for (let step = this.#step(); step !== undefined; step = this.#step()) steps.push(step)
    if (steps.length === 0) return { path: head, predicate }
    return { path: { head: head.head, steps: [...head.steps, ...steps] }, predicate: false }
  }

  #primary(token: Token): PathHead {
    this.#at++
    switch (token.kind) {
      case 'string':
        return { kind: 'string', text: token.text }
      case 'number':
        return { kind: 'number', value: parseNumeric(token.text)! }
      case 'variable':
        return { kind: 'variable', name: token.text }
      case 'symbol':
        if (token.text === '$') return { kind: 'root' }
        if (token.text === '@') {
          if (this.#filters === 0) throw new DbError('syntax_error', '@ is not allowed in root expressions')
          return { kind: 'current' }
        }
        break
      case 'word':
        if (token.text === 'null' || token.text === 'true' || token.text === 'false') return { kind: token.text }
        if (token.text.toLowerCase() === 'last') {
          if (this.#subscripts === 0) throw new DbError('syntax_error', 'LAST is allowed only in array subscripts')
          return { kind: 'last' }
        }
    }
    throw syntaxError(token)
  }

  #step(): PathStep | undefined {
    if (this.#is('.')) {
      this.#at++
      return this.#member()
    }
    if (this.#is('[')) return this.#elements()
    if (this.#is('?')) {
      this.#at++
      this.#expect('(')
      this.#filters++
      this.#deeper()
      const condition = this.#predicateOf(this.#or())
      this.#filters--
      this.#expect(')')
      return { kind: 'filter', condition }
    }
    return undefined
  }

  #member(): PathStep {
    const token = this.#next()
    if (token.kind === 'symbol' && token.text === '*') return { kind: 'anyKey' }
    if (token.kind === 'symbol' && token.text === '**') return this.#levels()
    if (token.kind === 'string') return { kind: 'key', name: token.text }
    if (token.kind !== 'word') throw syntaxError(token)
    const name = token.text.toLowerCase()
    if (!this.#is('(')) return { kind: 'key', name: token.text }
    if (name === 'datetime') {
      this.#at++
      let template: string | undefined
      if (this.#peek().kind === 'string') template = this.#next().text
      this.#expect(')')
      return { kind: 'datetime', template }
    }
    if (!['type', 'size', 'abs', 'floor', 'ceiling', 'double', 'keyvalue'].includes(name))
      throw syntaxError(this.#peek())
    this.#at++
    this.#expect(')')
    return { kind: 'method', name: name as PathMethod }
  }

  #levels(): PathStep {
    if (!this.#is('{')) return { kind: 'descendants', from: 0, to: Number.POSITIVE_INFINITY }
    this.#at++
    const from = this.#level()
    let to = from
    if (this.#isWord('to')) {
      this.#at++
      to = this.#level()
    }
    this.#expect('}')
    return { kind: 'descendants', from, to }
  }

  #level(): number {
    const token = this.#next()
    if (token.kind === 'word' && token.text.toLowerCase() === 'last') return Number.POSITIVE_INFINITY
    if (token.kind !== 'number' || !/^\d+$/.test(token.text)) throw syntaxError(token)
    return Number(token.text)
  }

  #elements(): PathStep {
    this.#expect('[')
    if (this.#is('*') && this.#tokens[this.#at + 1].text === ']') {
      this.#at += 2
      return { kind: 'anyElement' }
    }
    this.#subscripts++
    const ranges: { from: Path; to: Path | undefined }[] = []
    for (;;) {
      const from = this.#expressionOf(this.#sum())
      let to: Path | undefined
      if (this.#isWord('to')) {
        this.#at++
        to = this.#expressionOf(this.#sum())
      }
      ranges.push({ from, to })
      if (!this.#is(',')) break
      this.#at++
    }
    this.#subscripts--
    this.#expect(']')
    return { kind: 'elements', ranges }
  }
}

/** Raises syntax_error, and invalid_text_representation for an empty text. */
export function parseJsonPath(text: string): JsonPath {
  const tokens = tokenize(text)
  if (tokens.length === 1) {
    throw new DbError('invalid_text_representation', `invalid input syntax for type jsonpath: "${text}"`)
  }
  return new PathParser(tokens).parse()
}
