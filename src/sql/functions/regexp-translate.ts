/**
 * PostgreSQL's advanced regular expressions (ARE) as JavaScript's.
 *
 * The syntax is translated token by token: bracket expressions with [:classes:], the escapes that differ (\y \m \M word
 * edges, \A \Z ends, \a \e \B characters), embedded options, comments, newline modes. What the text of a translated
 * expression cannot say is kept beside it: an ARE prefers the longest (or, when its first quantifier is non-greedy, the
 * shortest) match at the leftmost place, where JavaScript takes the first alternative; see regexp-match.ts.
 *
 * Source: manual 9.7.3. Not here: running it, and SQL functions (regexp.ts).
 */
import { DbError } from '../../base/index.ts'

export interface Translated {
  readonly source: string
  /** JavaScript flags, without g and y. */
  readonly flags: string
  /** Number of capturing groups. */
  readonly groups: number
  /** Whether JavaScript's choice of a match may differ from the wanted length. */
  readonly ambiguous: boolean
  readonly prefersShort: boolean
}

export interface RegexpOptions {
  insensitive: boolean
  /** Dots and negated brackets do not match a newline. */
  dotStops: boolean
  /** ^ and $ match at newlines. */
  lineAnchors: boolean
  expanded: boolean
  literal: boolean
  /** Plain ERE: backslash only quotes. */
  extendedOnly: boolean
}

export function regexpError(reason: string): DbError {
  return new DbError('invalid_regular_expression', `invalid regular expression: ${reason}`)
}

const word = '[\\p{L}\\p{N}_]'
const classes: Record<string, string> = {
  alpha: '\\p{L}',
  alnum: '\\p{L}\\p{N}',
  digit: '0-9',
  space: '\\s',
  upper: '\\p{Lu}',
  lower: '\\p{Ll}',
  punct: '!-\\/:-@\\[-`\\{-~\\u00a1-\\u00bf\\p{P}',
  blank: ' \\t',
  cntrl: '\\p{Cc}',
  xdigit: '0-9a-fA-F',
  print: '\\P{C}',
  graph: '\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}',
  word: '\\p{L}\\p{N}_',
}
const collatingNames: Record<string, string> = {
  NUL: '\0',
  tab: '\t',
  newline: '\n',
  'carriage-return': '\r',
  space: ' ',
  period: '.',
  hyphen: '-',
  comma: ',',
  'left-square-bracket': '[',
  'right-square-bracket': ']',
  circumflex: '^',
  backslash: '\\',
  slash: '/',
  colon: ':',
}

function escapeCode(code: number): string {
  return `\\u{${code.toString(16)}}`
}

/** A literal character outside brackets. */
function literal(c: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(c) ? `\\${c}` : c
}

/** A literal character inside brackets. */
function bracketLiteral(c: string): string {
  return /[\\^\-\]&[!#$%*+,.:;<=>?@`~(){}|/]/.test(c) ? escapeCode(c.codePointAt(0)!) : c
}

/** Deepest nesting of parentheses. */
const maxDepth = 400

type Preference = 'short' | 'long' | undefined

class Translator {
  readonly #text: string
  readonly #options: RegexpOptions
  #at = 0
  #groups = 0
  #alternatives = false
  #greedy = false
  #lazy = false
  /** What the last part read prefers: the shortest match, the longest, or neither. */
  #prefers: Preference
  #lazyDepth = 0

  constructor(text: string, options: RegexpOptions) {
    this.#text = text
    this.#options = options
  }

  translate(): Translated {
    const source = this.#options.literal ? [...this.#text].map(literal).join('') : this.#expression(0)
    if (this.#at < this.#text.length && !this.#options.literal) throw regexpError('parentheses () not balanced')
    const prefersShort = this.#prefers === 'short'
    return {
      source,
      flags: `us${this.#options.insensitive ? 'i' : ''}${this.#options.lineAnchors ? 'm' : ''}`.replace(
        's',
        this.#options.dotStops ? '' : 's',
      ),
      groups: this.#groups,
      ambiguous: this.#alternatives || (this.#greedy && this.#lazy),
      prefersShort,
    }
  }

  /** Alternatives up to a closing parenthesis (depth > 0) or the end. */
  #expression(depth: number): string {
    if (depth > maxDepth) throw regexpError('regular expression is too complex')
    let out = this.#branch(depth)
    let several = false
    while (this.#text[this.#at] === '|') {
      this.#at++
      this.#alternatives = true
      several = true
      out += `|${this.#branch(depth)}`
    }
    // Branches connected by | always prefer the longest match.
    if (several) this.#prefers = 'long'
    return out
  }

  #branch(depth: number): string {
    let out = ''
    let prefers: Preference
    while (this.#at < this.#text.length) {
      this.#skipExpanded()
      const c = this.#text[this.#at]
      if (c === undefined || c === '|') break
      if (c === ')') {
        if (depth > 0) break
        throw regexpError('parentheses () not balanced')
      }
      this.#prefers = undefined
      out += this.#piece(depth)
      prefers ??= this.#prefers
    }
    // A branch prefers what the first of its parts with a preference does.
    this.#prefers = prefers
    return out
  }

  /** Blanks and comments of the expanded syntax, and (?# comments). */
  #skipExpanded(): void {
    for (;;) {
      const rest = this.#text.slice(this.#at)
      const skipped = /^\(\?#[^)]*\)/.exec(rest) ?? (this.#options.expanded ? /^(?:\s+|#[^\n]*)/.exec(rest) : null)
      if (skipped === null) return
      this.#at += skipped[0].length
    }
  }

  /** An atom or constraint with its quantifier. */
  #piece(depth: number): string {
    const start = this.#at
    const c = this.#text[start]
    if (c === '^' || c === '$') {
      this.#at++
      if (/[*+?]/.test(this.#text[this.#at] ?? '')) throw regexpError('quantifier operand invalid')
      return c
    }
    if (c === '*' || c === '+' || c === '?') throw regexpError('quantifier operand invalid')
    if (c === '{' && /^\{\d/.test(this.#text.slice(start))) throw regexpError('quantifier operand invalid')
    const shortGroup = c === '(' && this.#isShortGroup(start)
    if (shortGroup) this.#lazyDepth++
    const [atom, quantifiable] = this.#atom(depth)
    if (shortGroup) this.#lazyDepth--
    this.#skipExpanded()
    const quantifier = this.#quantifier()
    if (quantifier === '') return atom
    if (!quantifiable) throw regexpError('quantifier operand invalid')
    return atom + quantifier
  }

  /** Whether the group that opens here ends in {1,1}?: then all in it matches as little as possible. */
  #isShortGroup(start: number): boolean {
    let depth = 0
    for (let i = start; i < this.#text.length; i++) {
      const c = this.#text[i]
      if (c === '\\') i++
      else if (c === '[') i = this.#bracketEnd(i)
      else if (c === '(') depth++
      else if (c === ')' && --depth === 0) return this.#text.startsWith('{1,1}?', i + 1)
    }
    return false
  }

  #bracketEnd(start: number): number {
    const match = /\[\^?\]?(?:\[[:.=].*?[:.=]\]|\\.|[^\]])*\]/y
    match.lastIndex = start
    const found = match.exec(this.#text)
    return found === null ? this.#text.length : start + found[0].length - 1
  }

  #quantifier(): string {
    const match = /^(?:[*+?]|\{(\d+)(?:(,)(\d*))?\})/.exec(this.#text.slice(this.#at))
    if (match === null) {
      if (this.#text[this.#at] === '{' && /^\{\d/.test(this.#text.slice(this.#at))) {
        throw regexpError(this.#text.includes('}', this.#at) ? 'invalid repetition count(s)' : 'braces {} not balanced')
      }
      return ''
    }
    this.#at += match[0].length
    if (match[1] !== undefined) {
      const low = Number(match[1])
      const high = match[2] === undefined ? low : match[3] === '' ? low : Number(match[3])
      if (low > 255 || high > 255 || high < low) throw regexpError('invalid repetition count(s)')
    }
    let lazy = false
    if (this.#text[this.#at] === '?') {
      this.#at++
      lazy = true
    }
    if (/^[*+?]/.test(this.#text.slice(this.#at)) || /^\{\d/.test(this.#text.slice(this.#at))) {
      throw regexpError('quantifier operand invalid')
    }
    const fixed = match[1] !== undefined && match[2] === undefined
    if (!fixed || lazy) this.#prefers = lazy ? 'short' : 'long'
    if (lazy) this.#lazy = true
    else if (!fixed) this.#greedy = true
    return match[0] + (lazy || (this.#lazyDepth > 0 && !fixed) ? '?' : '')
  }

  #atom(depth: number): [source: string, quantifiable: boolean] {
    const c = this.#text[this.#at]
    if (c === '(') return this.#group(depth)
    if (c === '[') return [this.#brackets(), true]
    if (c === '\\') return this.#escape()
    if (c === '.') {
      this.#at++
      return [this.#options.dotStops ? '[^\\n]' : '.', true]
    }
    const point = String.fromCodePoint(this.#text.codePointAt(this.#at)!)
    this.#at += point.length
    return [literal(point), true]
  }

  #group(depth: number): [string, boolean] {
    const opening = /^\((\?(?::|=|!|<=|<!)?)?/.exec(this.#text.slice(this.#at))!
    const kind = opening[1]
    if (kind === '?') throw regexpError('quantifier operand invalid')
    this.#at += opening[0].length
    if (kind === undefined) this.#groups++
    const body = this.#expression(depth + 1)
    if (this.#text[this.#at] !== ')') throw regexpError('parentheses () not balanced')
    this.#at++
    const plain = kind === undefined || kind === '?:'
    if (!plain) this.#prefers = undefined
    return [`${opening[0]}${body})`, plain]
  }

  /** A backslash sequence outside brackets. */
  #escape(): [string, boolean] {
    const c = this.#text[this.#at + 1]
    if (c === undefined) throw regexpError('invalid escape \\ sequence')
    if (this.#options.extendedOnly || !/[a-zA-Z0-9]/.test(c)) {
      const point = String.fromCodePoint(this.#text.codePointAt(this.#at + 1)!)
      this.#at += 1 + point.length
      return [literal(point), true]
    }
    const edge = edges[c]
    if (edge !== undefined) {
      this.#at += 2
      return [edge, false]
    }
    const shorthand = shorthands[c]
    if (shorthand !== undefined) {
      this.#at += 2
      const negated = c < 'a'
      return [`[${negated ? '^' : ''}${shorthand}]`, true]
    }
    if (/[1-9]/.test(c)) {
      const digits = /^\d+/.exec(this.#text.slice(this.#at + 1))![0]
      if (digits.length === 1 || Number(digits) <= this.#groups) {
        if (Number(digits) > this.#groups) throw regexpError('invalid backreference number')
        this.#at += 1 + digits.length
        return [`(?:\\${digits})`, true]
      }
    }
    return [escapeCode(this.#characterEscape()), true]
  }

  /** The code of an escape that stands for one character; moves behind it. */
  #characterEscape(): number {
    const rest = this.#text.slice(this.#at + 1)
    const simple = characterEscapes[rest[0]]
    if (simple !== undefined) {
      this.#at += 2
      return simple
    }
    const match = /^(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]+)|c(.)|(0[0-7]{0,2}|[0-7]{2,3}))/s.exec(rest)
    if (match === null) {
      if (!/^[a-zA-Z0-9]/.test(rest)) {
        const code = rest.codePointAt(0)!
        this.#at += 1 + (code > 0xffff ? 2 : 1)
        return code
      }
      throw regexpError('invalid escape \\ sequence')
    }
    this.#at += 1 + match[0].length
    const hex = match[1] ?? match[2] ?? match[3]
    if (hex !== undefined) {
      const code = Number.parseInt(hex, 16)
      if (code > 0x10ffff) throw regexpError('invalid escape \\ sequence')
      return code
    }
    return match[4] === undefined ? Number.parseInt(match[5], 8) : match[4].charCodeAt(0) & 31
  }

  #brackets(): string {
    const text = this.#text
    this.#at++
    let negated = false
    if (text[this.#at] === '^') {
      negated = true
      this.#at++
    }
    if (text.startsWith('[:<:]]', this.#at)) return this.#oldEdge(6, `(?<!${word})(?=${word})`)
    if (text.startsWith('[:>:]]', this.#at)) return this.#oldEdge(6, `(?<=${word})(?!${word})`)
    let body = ''
    for (let first = true; ; first = false) {
      const c = text[this.#at]
      if (c === undefined) throw regexpError('brackets [] not balanced')
      if (c === ']' && !first) {
        this.#at++
        break
      }
      body += this.#bracketItem()
    }
    if (negated && this.#options.dotStops) body += '\\n'
    return `[${negated ? '^' : ''}${body}]`
  }

  #oldEdge(length: number, source: string): string {
    this.#at += length
    return `(?:${source})`
  }

  /** One member of a bracket expression: a class, a character or a range. */
  #bracketItem(): string {
    const text = this.#text
    const named = /^\[:(\^?[a-z]+):\]/.exec(text.slice(this.#at))
    if (named !== null) {
      const source = classes[named[1]]
      if (source === undefined) throw regexpError('invalid character class')
      this.#at += named[0].length
      return source
    }
    if (text.startsWith('[:', this.#at)) throw regexpError('invalid character class')
    if (text[this.#at] === '\\' && !this.#options.extendedOnly) {
      const c = text[this.#at + 1]
      const shorthand = shorthands[c]
      if (shorthand !== undefined) {
        this.#at += 2
        if (c >= 'a') return shorthand
        return c === 'D' ? '\\D' : c === 'S' ? '\\S' : '\\P{L}'
      }
    }
    const from = this.#bracketCharacter()
    if (text[this.#at] !== '-' || text[this.#at + 1] === ']' || text[this.#at + 1] === undefined)
      return bracketLiteral(from)
    this.#at++
    const to = this.#bracketCharacter()
    if (from.codePointAt(0)! > to.codePointAt(0)!) throw regexpError('invalid character range')
    return `${bracketLiteral(from)}-${bracketLiteral(to)}`
  }

  #bracketCharacter(): string {
    const text = this.#text
    const element = /^\[([.=])(.+?)\1\]/.exec(text.slice(this.#at))
    if (element !== null) {
      this.#at += element[0].length
      const name = element[2]
      const found = [...name].length === 1 ? name : collatingNames[name]
      if (found === undefined) throw regexpError('invalid collating element')
      return found
    }
    if (text[this.#at] === '\\' && !this.#options.extendedOnly) {
      if (this.#at + 1 >= text.length) throw regexpError('invalid escape \\ sequence')
      return String.fromCodePoint(this.#characterEscape())
    }
    const code = text.codePointAt(this.#at)!
    this.#at += code > 0xffff ? 2 : 1
    return String.fromCodePoint(code)
  }
}

const edges: Record<string, string> = {
  A: '(?<![\\s\\S])',
  Z: '(?![\\s\\S])',
  m: `(?<!${word})(?=${word})`,
  M: `(?<=${word})(?!${word})`,
  y: `(?:(?<!${word})(?=${word})|(?<=${word})(?!${word}))`,
  Y: `(?:(?<=${word})(?=${word})|(?<!${word})(?!${word}))`,
}
const shorthands: Record<string, string> = {
  d: '0-9',
  s: '\\s',
  w: '\\p{L}\\p{N}_',
  D: '0-9',
  S: '\\s',
  W: '\\p{L}\\p{N}_',
}
const characterEscapes: Record<string, number> = {
  a: 7,
  b: 8,
  B: 0x5c,
  e: 27,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
}

/** Applies the letters of a flags argument or of embedded options. */
export function applyFlags(letters: string, options: RegexpOptions): void {
  for (const letter of letters) {
    switch (letter) {
      case 'i':
        options.insensitive = true
        break
      case 'c':
        options.insensitive = false
        break
      case 'm':
      case 'n':
        options.dotStops = options.lineAnchors = true
        break
      case 'p':
        options.dotStops = true
        options.lineAnchors = false
        break
      case 'w':
        options.dotStops = false
        options.lineAnchors = true
        break
      case 's':
        options.dotStops = options.lineAnchors = false
        break
      case 'x':
        options.expanded = true
        break
      case 't':
        options.expanded = false
        break
      case 'q':
        options.literal = true
        break
      case 'e':
        options.extendedOnly = true
        break
      case 'b':
        throw new DbError('feature_not_supported', 'basic regular expressions are not supported')
      default:
        throw new DbError('invalid_parameter_value', `invalid regular expression option: "${letter}"`)
    }
  }
}

/** Raises invalid_regular_expression. */
export function translateRegexp(pattern: string, given: RegexpOptions): Translated {
  const options = { ...given }
  let text = pattern
  if (text.startsWith('***=')) {
    options.literal = true
    text = text.slice(4)
  } else if (text.startsWith('***:')) {
    text = text.slice(4)
  }
  const embedded = options.literal ? null : /^\(\?([a-z]+)\)/.exec(text)
  if (embedded !== null) {
    for (const letter of embedded[1]) {
      if (!'bceimnpqstwx'.includes(letter)) throw regexpError('invalid embedded option')
    }
    applyFlags(embedded[1], options)
    text = text.slice(embedded[0].length)
  }
  return new Translator(text, options).translate()
}
