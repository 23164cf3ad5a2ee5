/**
 * The templates of to_char, to_timestamp and to_date: 'FMDay, DDth Month YYYY' cut into patterns and literals.
 *
 * A pattern is known in upper case and in lower case, the names of months and days also capitalised; which one was
 * written decides the case of the result. Templates are remembered.
 * Not here: writing (to-char.ts), reading (to-timestamp.ts), templates of numbers (number-template.ts).
 */
export type DatePattern =
  | 'HH24'
  | 'HH12'
  | 'HH'
  | 'MI'
  | 'SS'
  | 'SSSS'
  | 'MS'
  | 'US'
  | 'FF'
  | 'AM'
  | 'A.M.'
  | 'BC'
  | 'B.C.'
  | 'Y,YYY'
  | 'YYYY'
  | 'YYY'
  | 'YY'
  | 'Y'
  | 'IYYY'
  | 'IYY'
  | 'IY'
  | 'I'
  | 'MONTH'
  | 'MON'
  | 'MM'
  | 'DAY'
  | 'DY'
  | 'DDD'
  | 'IDDD'
  | 'DD'
  | 'D'
  | 'ID'
  | 'W'
  | 'WW'
  | 'IW'
  | 'CC'
  | 'J'
  | 'Q'
  | 'RM'
  | 'TZ'
  | 'TZH'
  | 'TZM'
  | 'OF'
  | 'FX'

export type LetterCase = 'upper' | 'lower' | 'capital'

export interface PatternNode {
  readonly kind: 'pattern'
  readonly pattern: DatePattern
  readonly letters: LetterCase
  /** FM before it: no padding. */
  readonly fill: boolean
  /** TH or th after it. */
  readonly ordinal: '' | 'TH' | 'th'
  /** Digits of FF. */
  readonly digits: number
  /** As written, for messages. */
  readonly written: string
}

export interface LiteralNode {
  readonly kind: 'literal'
  readonly text: string
  /** Quoted or escaped: matches itself; else a separator or letter outside quotes. */
  readonly quoted: boolean
}

export type TemplateNode = PatternNode | LiteralNode

const numeric =
  'HH24 HH12 HH MI SSSSS SSSS SS MS US FF1 FF2 FF3 FF4 FF5 FF6 Y,YYY YYYY YYY YY Y IYYY IYY IY I MM DDD IDDD DD ID D WW W IW CC J Q TZH TZM TZ OF RM FX'.split(
    ' ',
  )
const lettered = 'A.M. P.M. AM PM A.D. B.C. AD BC'.split(' ')
const named = ['MONTH', 'MON', 'DAY', 'DY']

const known = new Map<string, { pattern: DatePattern; letters: LetterCase; digits: number }>()
function add(written: string, upper: string, letters: LetterCase): void {
  const alias: Record<string, string> = { SSSSS: 'SSSS', 'P.M.': 'A.M.', PM: 'AM', 'A.D.': 'B.C.', AD: 'BC' }
  const fraction = /^FF(\d)$/.exec(upper)
  const pattern = (fraction === null ? (alias[upper] ?? upper) : 'FF') as DatePattern
  known.set(written, { pattern, letters, digits: Number(fraction?.[1] ?? 0) })
}
for (const upper of [...numeric, ...lettered, ...named]) {
  add(upper, upper, 'upper')
  add(upper.toLowerCase(), upper, 'lower')
}
for (const upper of named) add(upper[0] + upper.slice(1).toLowerCase(), upper, 'capital')
const byLength = [...known.keys()].sort((a, b) => b.length - a.length)

function parse(template: string): TemplateNode[] {
  const nodes: TemplateNode[] = []
  let at = 0
  while (at < template.length) {
    const prefix = /^(?:FM|fm|TM|tm)+/.exec(template.slice(at))?.[0] ?? ''
    const start = at + prefix.length
    const word = byLength.find((candidate) => template.startsWith(candidate, start))
    if (word !== undefined) {
      at = start + word.length
      const suffix = /^(?:TH|th)/.exec(template.slice(at))?.[0] ?? ''
      at += suffix.length
      if (/^(?:SP|sp)/.test(template.slice(at))) at += 2
      const { pattern, letters, digits } = known.get(word)!
      // TM asks for localised names, which are never padded.
      const fill = /FM/i.test(prefix) || (/TM/i.test(prefix) && named.includes(word.toUpperCase()))
      nodes.push({
        kind: 'pattern',
        pattern,
        letters,
        digits,
        fill,
        ordinal: suffix as PatternNode['ordinal'],
        written: word,
      })
      continue
    }
    at = start
    if (at >= template.length) break
    if (template[at] === '"') {
      at++
      let text = ''
      while (at < template.length && template[at] !== '"') {
        if (template[at] === '\\' && at + 1 < template.length) at++
        text += template[at++]
      }
      at++
      for (const c of text) nodes.push({ kind: 'literal', text: c, quoted: true })
      continue
    }
    if (template[at] === '\\' && template[at + 1] === '"') at++
    const c = String.fromCodePoint(template.codePointAt(at)!)
    at += c.length
    nodes.push({ kind: 'literal', text: c, quoted: false })
  }
  return nodes
}

const cache = new Map<string, readonly TemplateNode[]>()

export function dateTemplate(template: string): readonly TemplateNode[] {
  let nodes = cache.get(template)
  if (nodes === undefined) {
    nodes = parse(template)
    if (cache.size >= 256) cache.delete(cache.keys().next().value!)
    cache.set(template, nodes)
  }
  return nodes
}

export const romanMonths = ['I', 'II', 'III', 'IV', 'V', 'VI', 'VII', 'VIII', 'IX', 'X', 'XI', 'XII']

/** "st", "nd", "rd" or "th" for a number's text. */
export function ordinalSuffix(digits: string, kind: 'TH' | 'th'): string {
  const last = digits[digits.length - 1]
  const teens = digits.length > 1 && digits[digits.length - 2] === '1'
  const suffix = teens ? 'th' : last === '1' ? 'st' : last === '2' ? 'nd' : last === '3' ? 'rd' : 'th'
  return kind === 'TH' ? suffix.toUpperCase() : suffix
}
