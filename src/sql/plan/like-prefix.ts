/**
 * What a LIKE pattern begins with, as a range of texts by code point, which is the order of every index of texts:
 *
 *   LIKE 'ab_c%'     'ab' ≤ text < 'ac'
 *
 * Not here: matching (functions/like.ts).
 */

/** text ~~ text; varchar is compared as text. */
export const likeOperator = 1209

export interface TextRange {
  readonly from: string
  /** Exclusive; undefined: no text is beyond all that begin like this. */
  readonly to: string | undefined
}

/** Undefined when the pattern begins with a wildcard, or ends in a dangling escape, which is an error to be raised. */
export function likeRange(pattern: string): TextRange | undefined {
  let from = ''
  let at = 0
  for (; at < pattern.length && pattern[at] !== '%' && pattern[at] !== '_'; at++) {
    if (pattern[at] === '\\' && ++at === pattern.length) return undefined
    from += pattern[at]
  }
  if (from === '') return undefined
  return { from, to: afterAll(from) }
}

/** The first text after all that begin with `prefix`. */
function afterAll(prefix: string): string | undefined {
  const points = [...prefix]
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    const point = last.codePointAt(0)!
    if (point === 0x10ffff) continue
    // Surrogates are no code points of texts.
    return points.join('') + String.fromCodePoint(point === 0xd7ff ? 0xe000 : point + 1)
  }
  return undefined
}
