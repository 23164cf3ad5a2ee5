/**
 * Reads JSON text, strictly as RFC 8259 and with PostgreSQL's error reports: what was found, what was expected, and the
 * line up to it. Numbers become exact numerics; with `build` off the text is only checked.
 *
 * Not here: the document's form in memory (jsonb.ts).
 */
import { DbError } from '../../base/index.ts'
import { type Jsonb, jsonNull, objectOf } from './jsonb.ts'
import { type Numeric, parseNumeric } from './numeric.ts'

/** Deepest nesting: what reading, comparing and writing by recursion take with room to spare on a default stack. */
const maxDepth = 2500
const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
/** What PostgreSQL takes for one token: a number with what is stuck to it, a word, or any one character. */
const tokenPattern =
  /(?:-|(?=[0-9]))(?:0|[1-9]\d*|)(?:\.\d*)?(?:[eE][+-]?\d*)?[A-Za-z0-9_\u0080-\uffff]*|[A-Za-z0-9_\u0080-\uffff]+/y
const plainText = /[^"\\\u0000-\u001f]*/y

class JsonReader {
  readonly #text: string
  readonly #build: boolean
  #at = 0
  #depth = 0

  constructor(text: string, build: boolean) {
    this.#text = text
    this.#build = build
  }

  document(): Jsonb {
    const value = this.#value('Expected JSON value')
    this.#blanks()
    if (this.#at < this.#text.length) throw this.#unexpected('Expected end of input')
    return value
  }

  #blanks(): void {
    const text = this.#text
    for (;;) {
      const c = text.charCodeAt(this.#at)
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return
      this.#at++
    }
  }

  #value(expected: string): Jsonb {
    this.#blanks()
    switch (this.#text.charCodeAt(this.#at)) {
      case 0x22:
        return this.#string()
      case 0x7b:
        return this.#object()
      case 0x5b:
        return this.#array()
      case 0x74:
        return this.#word('true', true, expected)
      case 0x66:
        return this.#word('false', false, expected)
      case 0x6e:
        return this.#word('null', jsonNull, expected)
      default:
        return this.#number(expected)
    }
  }

  #word(word: string, value: Jsonb, expected: string): Jsonb {
    tokenPattern.lastIndex = this.#at
    if (tokenPattern.exec(this.#text)?.[0] !== word) throw this.#unexpected(expected)
    this.#at += word.length
    return value
  }

  #number(expected: string): Numeric {
    numberPattern.lastIndex = this.#at
    const match = numberPattern.exec(this.#text)
    if (match === null) throw this.#unexpected(expected)
    tokenPattern.lastIndex = this.#at
    if (tokenPattern.exec(this.#text)?.[0] !== match[0]) throw this.#unexpected(expected)
    this.#at += match[0].length
    return this.#build ? parseNumeric(match[0])! : (undefined as unknown as Numeric)
  }

  #enter(): void {
    this.#at++
    if (++this.#depth > maxDepth) throw new DbError('statement_too_complex', 'stack depth limit exceeded')
  }

  #array(): Jsonb {
    this.#enter()
    const items: Jsonb[] = []
    this.#blanks()
    if (this.#text[this.#at] === ']') {
      this.#at++
      this.#depth--
      return items
    }
    for (;;) {
      const item = this.#value('Expected JSON value')
      if (this.#build) items.push(item)
      else items.length = 1
      this.#blanks()
      const c = this.#text[this.#at]
      if (c !== ',' && c !== ']') throw this.#unexpected('Expected "," or "]"')
      this.#at++
      if (c === ']') break
    }
    this.#depth--
    return items
  }

  #object(): Jsonb {
    this.#enter()
    const keys: string[] = []
    const values: Jsonb[] = []
    this.#blanks()
    if (this.#text[this.#at] === '}') {
      this.#at++
      this.#depth--
      return this.#build ? objectOf(keys, values) : ''
    }
    for (let first = true; ; first = false) {
      this.#blanks()
      if (this.#text[this.#at] !== '"') throw this.#unexpected(first ? 'Expected string or "}"' : 'Expected string')
      const key = this.#string()
      this.#blanks()
      if (this.#text[this.#at] !== ':') throw this.#unexpected('Expected ":"')
      this.#at++
      const value = this.#value('Expected JSON value')
      if (this.#build) {
        keys.push(key)
        values.push(value)
      }
      this.#blanks()
      const c = this.#text[this.#at]
      if (c !== ',' && c !== '}') throw this.#unexpected('Expected "," or "}"')
      this.#at++
      if (c === '}') break
    }
    this.#depth--
    return this.#build ? objectOf(keys, values) : ''
  }

  #string(): string {
    const text = this.#text
    const start = this.#at
    let value = ''
    this.#at++
    for (;;) {
      plainText.lastIndex = this.#at
      const run = plainText.exec(text)![0]
      this.#at += run.length
      value += run
      const c = text[this.#at]
      if (c === '"') {
        this.#at++
        return value
      }
      if (c === undefined) throw this.#invalid(start, text.length, `Token "${text.slice(start)}" is invalid.`)
      if (c !== '\\') {
        const code = c.charCodeAt(0).toString(16).padStart(2, '0')
        throw this.#invalid(start, this.#at, `Character with value 0x${code} must be escaped.`)
      }
      value += this.#escape(start)
    }
  }

  #escape(start: number): string {
    const letter = this.#text[this.#at + 1]
    const simple = simpleEscapes[letter]
    if (simple !== undefined) {
      this.#at += 2
      return simple
    }
    if (letter === undefined)
      throw this.#invalid(start, this.#text.length, `Token "${this.#text.slice(start)}" is invalid.`)
    if (letter !== 'u') throw this.#invalid(start, this.#at + 2, `Escape sequence "\\${letter}" is invalid.`)
    const code = this.#hex(start)
    if (code >= 0xdc00 && code < 0xe000) {
      throw this.#invalid(start, this.#at, 'Unicode low surrogate must follow a high surrogate.')
    }
    if (code < 0xd800 || code >= 0xdc00) return String.fromCharCode(code)
    if (this.#text[this.#at] !== '\\' || this.#text[this.#at + 1] !== 'u') {
      throw this.#invalid(start, this.#at + 1, 'Unicode low surrogate must follow a high surrogate.')
    }
    const low = this.#hex(start)
    if (low >= 0xd800 && low < 0xdc00) {
      throw this.#invalid(start, this.#at, 'Unicode high surrogate must not follow a high surrogate.')
    }
    if (low < 0xdc00 || low >= 0xe000) {
      throw this.#invalid(start, this.#at, 'Unicode low surrogate must follow a high surrogate.')
    }
    return String.fromCharCode(code, low)
  }

  /** The code of \uXXXX at the current position. */
  #hex(start: number): number {
    const digits = this.#text.slice(this.#at + 2, this.#at + 6)
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) {
      const good = /^[0-9a-fA-F]*/.exec(digits)![0].length
      throw this.#invalid(start, this.#at + 3 + good, '"\\u" must be followed by four hexadecimal digits.')
    }
    this.#at += 6
    const code = Number.parseInt(digits, 16)
    if (code === 0 && this.#build) {
      throw new DbError('untranslatable_character', 'unsupported Unicode escape sequence', {
        detail: '\\u0000 cannot be converted to text.',
        where: this.#where(this.#at),
      })
    }
    return code
  }

  /** The report for what stands here instead of what was expected. */
  #unexpected(expected: string): DbError {
    const start = this.#at
    const text = this.#text
    if (start >= text.length) return this.#invalid(start, start, 'The input string ended unexpectedly.')
    tokenPattern.lastIndex = start
    let token = tokenPattern.exec(text)?.[0] ?? ''
    let valid = /^[{}[\],:]/.test(text[start])
    if (token === '') {
      if (text[start] === '"') {
        this.#string()
        token = text.slice(start, this.#at)
        valid = true
      } else {
        token = String.fromCodePoint(text.codePointAt(start)!)
      }
    } else if (token === 'true' || token === 'false' || token === 'null' || isNumber(token)) {
      valid = true
    }
    const detail = valid ? `${expected}, but found "${token}".` : `Token "${token}" is invalid.`
    return this.#invalid(start, start + token.length, detail)
  }

  #invalid(_start: number, end: number, detail: string): DbError {
    return new DbError('invalid_text_representation', 'invalid input syntax for type json', {
      detail,
      where: this.#where(end),
    })
  }

  /** "JSON data, line 1: …" with up to 50 characters of the line before `end`. */
  #where(end: number): string {
    const text = this.#text
    const before = text.slice(0, end)
    const lineStart = before.lastIndexOf('\n') + 1
    const line = before.split('\n').length
    let start = lineStart
    if (end - start >= 50) start = end - 50 + 1
    if (start <= lineStart + 3) start = lineStart
    const ended = end >= text.length || text[end] === '\n' || text[end] === '\r'
    return `JSON data, line ${line}: ${start > lineStart ? '...' : ''}${text.slice(start, end)}${ended ? '' : '...'}`
  }
}

const simpleEscapes: Record<string, string> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

function isNumber(token: string): boolean {
  numberPattern.lastIndex = 0
  return numberPattern.exec(token)?.[0] === token
}

/** Raises invalid_text_representation, untranslatable_character (\u0000). */
export function parseJson(text: string): Jsonb {
  return new JsonReader(text, true).document()
}

/** Raises invalid_text_representation when the text is no JSON. */
export function checkJson(text: string): void {
  new JsonReader(text, false).document()
}
