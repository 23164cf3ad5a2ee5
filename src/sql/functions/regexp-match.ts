/**
 * Runs regular expressions the way PostgreSQL does: the leftmost match, and of those that start there the longest, or
 * the shortest when the expression's first quantifier is non-greedy.
 *
 * JavaScript's choice already is that one unless alternatives or both kinds of quantifier are in play; then other ends
 * are tried, each by asking for a match that leaves exactly so many characters.
 * Not here: SQL functions (regexp.ts), syntax (regexp-translate.ts).
 */
import { DbError } from '../../base/index.ts'
import { applyFlags, type RegexpOptions, type Translated, translateRegexp } from './regexp-translate.ts'

/**
 * What expressions without the flag u mean otherwise: code points beyond the BMP, classes of Unicode. Without the flag an
 * expression that backtracks too much can go on in linear time (V8's engine for that knows no u).
 */
const needsUnicode = /[^\x20-\x7e]|\\[pPuk]/
const surrogate = /[\ud800-\udfff]/

/** Beyond this many characters after a match other ends are not tried. */
const searchLimit = 4096

export class Regexp {
  readonly groups: number
  readonly #translated: Translated
  readonly #search: RegExp
  readonly #test: RegExp
  /** The same without the flag u, for texts without surrogates. */
  readonly #plainSearch: RegExp | undefined
  readonly #plainTest: RegExp | undefined

  constructor(translated: Translated) {
    this.#translated = translated
    this.groups = translated.groups
    try {
      this.#search = new RegExp(translated.source, `${translated.flags}gd`)
      this.#test = new RegExp(translated.source, translated.flags)
      if (!needsUnicode.test(translated.source)) {
        const flags = translated.flags.replace('u', '')
        this.#plainSearch = new RegExp(translated.source, `${flags}gd`)
        this.#plainTest = new RegExp(translated.source, flags)
      }
    } catch (error) {
      if (error instanceof SyntaxError) {
        throw new DbError('invalid_regular_expression', `invalid regular expression: ${error.message}`)
      }
      throw error
    }
  }

  test(text: string): boolean {
    const test = this.#plainTest !== undefined && !surrogate.test(text) ? this.#plainTest : this.#test
    return test.test(text)
  }

  /** The match at or after unit offset `start`; group places are in `indices`. */
  exec(text: string, start: number): RegExpExecArray | null {
    const search = this.#plainSearch !== undefined && !surrogate.test(text) ? this.#plainSearch : this.#search
    search.lastIndex = start
    const found = search.exec(text)
    if (found === null || !this.#translated.ambiguous) return found
    return this.#prefer(text, found)
  }

  #prefer(text: string, found: RegExpExecArray): RegExpExecArray {
    const end = found.index + found[0].length
    const short = this.#translated.prefersShort
    const first = short ? found.index : text.length
    if (Math.abs(first - end) > searchLimit) return found
    for (let at = first; at !== end; at += short ? 1 : -1) {
      const other = this.#endingAt(text, found.index, at)
      if (other !== null) return other
    }
    return found
  }

  /** The match from `start` to exactly `end`, seen in the whole text so that look-around still works. */
  #endingAt(text: string, start: number, end: number): RegExpExecArray | null {
    const exact = new RegExp(
      `(?:${this.#translated.source})(?=[^]{${[...text.slice(end)].length}}(?![^]))`,
      `${this.#translated.flags}yd`,
    )
    exact.lastIndex = start
    return exact.exec(text)
  }
}

const cache = new Map<string, Regexp>()

function defaults(): RegexpOptions {
  return {
    insensitive: false,
    dotStops: false,
    lineAnchors: false,
    expanded: false,
    literal: false,
    extendedOnly: false,
  }
}

/** The compiled expression; the last ones are remembered. `flags` without g. */
export function compileRegexp(pattern: string, flags: string): Regexp {
  const key = `${flags}/${pattern}`
  const known = cache.get(key)
  if (known !== undefined) return known
  const options = defaults()
  applyFlags(flags, options)
  const made = new Regexp(translateRegexp(pattern, options))
  if (cache.size >= 512) cache.delete(cache.keys().next().value!)
  cache.set(key, made)
  return made
}

/** XQuery's flags as ours: there the dot stops at newlines unless s is given. */
export function xqueryFlags(flags: string): string {
  if (flags.includes('x'))
    throw new DbError('feature_not_supported', 'XQuery "x" flag (expanded regular expressions) is not implemented')
  let out = flags.includes('i') ? 'i' : ''
  if (flags.includes('q')) return `${out}q`
  const dotStops = !flags.includes('s')
  const lines = flags.includes('m')
  if (dotStops) out += lines ? 'n' : 'p'
  else if (lines) out += 'w'
  return out
}
