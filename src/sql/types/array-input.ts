/**
 * Reads the text form of arrays: {a,"b c",NULL}, nested braces, and explicit bounds as in [0:1]={7,8}.
 *
 * Not here: the elements' own syntax; items come out as texts.
 */
import { DbError } from '../../base/index.ts'

export interface ArrayText {
  readonly dimensions: number[]
  readonly lowerBounds: number[]
  /** null is NULL. */
  readonly items: (string | null)[]
}

function malformed(text: string, detail: string): DbError {
  return new DbError('invalid_text_representation', `malformed array literal: "${text}"`, { detail })
}

class ArrayReader {
  readonly items: (string | null)[] = []
  readonly sizes: number[] = []
  readonly #text: string
  readonly #delimiter: string
  #at = 0
  #leafDepth = 0

  constructor(text: string, delimiter: string) {
    this.#text = text
    this.#delimiter = delimiter
  }

  readAll(): void {
    this.#braces(1)
    this.#blanks()
    if (this.#at < this.#text.length) throw malformed(this.#text, 'Junk after closing right brace.')
  }

  #blanks(): void {
    while (this.#at < this.#text.length && /\s/.test(this.#text[this.#at])) this.#at++
  }

  #unexpected(): DbError {
    if (this.#at >= this.#text.length) return malformed(this.#text, 'Unexpected end of input.')
    return malformed(this.#text, `Unexpected "${this.#text[this.#at]}" character.`)
  }

  /** One pair of braces at nesting `depth`, from 1. */
  #braces(depth: number): void {
    if (depth > 6) {
      throw new DbError(
        'program_limit_exceeded',
        `number of array dimensions (${depth}) exceeds the maximum allowed (6)`,
      )
    }
    this.#at++
    this.#blanks()
    let count = 0
    if (this.#text[this.#at] === '}') {
      if (depth > 1) throw this.#unexpected()
      this.#at++
      this.#close(depth, 0)
      return
    }
    for (;;) {
      this.#blanks()
      if (this.#text[this.#at] === '{') {
        if (this.#leafDepth !== 0 && this.#leafDepth <= depth) throw this.#unexpected()
        this.#braces(depth + 1)
      } else {
        this.#leaf(depth)
      }
      count++
      this.#blanks()
      const next = this.#text[this.#at]
      if (next === this.#delimiter) {
        this.#at++
        continue
      }
      if (next !== '}') {
        if (next === undefined || next === '{') throw this.#unexpected()
        throw malformed(this.#text, 'Unexpected array element.')
      }
      this.#at++
      this.#close(depth, count)
      return
    }
  }

  #close(depth: number, count: number): void {
    const known = this.sizes[depth - 1]
    if (known === undefined) this.sizes[depth - 1] = count
    else if (known !== count) throw this.#ragged()
  }

  #ragged(): DbError {
    const detail = 'Multidimensional arrays must have sub-arrays with matching dimensions.'
    return malformed(this.#text, detail)
  }

  #leaf(depth: number): void {
    if (this.#leafDepth === 0) this.#leafDepth = depth
    else if (this.#leafDepth !== depth) throw malformed(this.#text, 'Unexpected array element.')
    this.items.push(this.#text[this.#at] === '"' ? this.#quoted() : this.#bare())
  }

  #quoted(): string {
    let item = ''
    for (this.#at++; ; this.#at++) {
      const c = this.#text[this.#at]
      if (c === undefined) throw this.#unexpected()
      if (c === '"') {
        this.#at++
        return item
      }
      if (c === '\\') {
        this.#at++
        if (this.#at >= this.#text.length) throw this.#unexpected()
      }
      item += this.#text[this.#at]
    }
  }

  #bare(): string | null {
    let item = ''
    let kept = 0
    let escaped = false
    for (; ; this.#at++) {
      const c = this.#text[this.#at]
      if (c === undefined) throw this.#unexpected()
      if (c === '}' || c === this.#delimiter) break
      if (c === '{' || c === '"')
        throw c === '{' ? this.#unexpected() : malformed(this.#text, 'Unexpected array element.')
      if (c === '\\') {
        this.#at++
        if (this.#at >= this.#text.length) throw this.#unexpected()
        escaped = true
        item += this.#text[this.#at]
        kept = item.length
        continue
      }
      item += c
      if (!/\s/.test(c)) kept = item.length
    }
    item = item.slice(0, kept)
    if (item === '') throw this.#unexpected()
    return !escaped && item.toLowerCase() === 'null' ? null : item
  }
}

/** Raises invalid_text_representation, array_subscript_error. */
export function readArray(text: string, delimiter: string): ArrayText {
  let at = /^\s*/.exec(text)![0].length
  const lowerBounds: number[] = []
  const declared: number[] = []
  const bound = /\[\s*([+-]?\d+)(?::([+-]?\d+))?\s*\]\s*/y
  while (text[at] === '[') {
    bound.lastIndex = at
    const match = bound.exec(text)
    if (match === null) throw malformed(text, '"[" must introduce explicitly-specified array dimensions.')
    const lower = match[2] === undefined ? 1 : Number(match[1])
    const upper = Number(match[2] ?? match[1])
    if (upper < lower) throw new DbError('array_subscript_error', 'upper bound cannot be less than lower bound')
    lowerBounds.push(lower)
    declared.push(upper - lower + 1)
    at = bound.lastIndex
  }
  if (declared.length > 0) {
    if (text[at] !== '=') throw malformed(text, 'Missing "=" after array dimensions.')
    at = at + 1 + /^\s*/.exec(text.slice(at + 1))![0].length
    if (text[at] !== '{') throw malformed(text, 'Array contents must start with "{".')
  }
  if (text[at] !== '{') throw malformed(text, 'Array value must start with "{" or dimension information.')
  // Errors in the braces quote the text from there on, without bounds.
  const reader = new ArrayReader(text.slice(at), delimiter)
  reader.readAll()
  if (reader.items.length === 0 && declared.length === 0) return { dimensions: [], lowerBounds: [], items: [] }
  const sizes = reader.sizes
  if (declared.length > 0) {
    const same = declared.length === sizes.length && declared.every((size, i) => size === sizes[i])
    if (!same) throw malformed(text, 'Specified array dimensions do not match array contents.')
  }
  return {
    dimensions: sizes,
    lowerBounds: declared.length > 0 ? lowerBounds : sizes.map(() => 1),
    items: reader.items,
  }
}
