/**
 * The templates of to_char and to_number for numbers: '999D99MI' cut into places, and what they say as a whole.
 *
 * Templates are remembered. Not here: writing (to-char-number.ts), reading (to-number.ts), dates (datetime-template.ts).
 */
import { DbError } from '../../base/index.ts'

export type Mark = '9' | '0' | '.' | ',' | 'L' | 'S' | 'MI' | 'PL' | 'SG' | 'TH' | 'th' | 'RN' | 'rn' | 'literal'
export interface Place {
  readonly mark: Mark
  readonly text: string
}

export interface NumberTemplate {
  readonly places: readonly Place[]
  /** Digits before and after the point. */
  pre: number
  post: number
  /** Positions (from 0, over digits) of the first and last 0. */
  zeroStart: number
  zeroEnd: number
  zero: boolean
  decimal: boolean
  fill: boolean
  /** S before the number, after it, or absent. */
  locked: '' | 'before' | 'after'
  /** Digits written before the S. */
  preAtSign: number
  plus: boolean
  minus: boolean
  bracket: boolean
  roman: boolean
  multiply: boolean
  shift: number
  scientific: boolean
}

const words = 'EEEE FM MI PL PR RN SG SP TH rn th eeee fm mi pl pr sg sp'.split(' ')

function syntax(message: string): DbError {
  return new DbError('syntax_error', message)
}

function parseTemplate(text: string): NumberTemplate {
  const places: Place[] = []
  const t: NumberTemplate = {
    places,
    pre: 0,
    post: 0,
    zeroStart: 0,
    zeroEnd: 0,
    zero: false,
    decimal: false,
    fill: false,
    locked: '',
    preAtSign: 0,
    plus: false,
    minus: false,
    bracket: false,
    roman: false,
    multiply: false,
    shift: 0,
    scientific: false,
  }
  let at = 0
  while (at < text.length) {
    if (text[at] === '"') {
      at++
      while (at < text.length && text[at] !== '"') {
        if (text[at] === '\\' && at + 1 < text.length) at++
        places.push({ mark: 'literal', text: text[at++] })
      }
      at++
      continue
    }
    if (text[at] === '\\' && text[at + 1] === '"') at++
    const word = words.find((candidate) => text.startsWith(candidate, at))
    const token = word ?? String.fromCodePoint(text.codePointAt(at)!)
    at += token.length
    note(t, places, token)
  }
  return t
}

/** A sign mark, which excludes the other ways to write signs. */
function noteSign(t: NumberTemplate, places: Place[], token: string, lower: string): void {
  if (lower === 's') {
    if (t.locked !== '') throw syntax('cannot use "S" twice')
    if (t.plus || t.minus || t.bracket) throw syntax('cannot use "S" and "PL"/"MI"/"SG"/"PR" together')
    t.locked = t.decimal ? 'after' : 'before'
    if (!t.decimal) t.preAtSign = t.pre
  } else if (lower === 'pr') {
    if (t.locked !== '' || t.plus || t.minus) throw syntax('cannot use "PR" and "S"/"PL"/"MI"/"SG" together')
    t.bracket = true
  } else {
    if (t.locked !== '') throw syntax(`cannot use "S" and "${token.toUpperCase()}" together`)
    t.minus ||= lower !== 'pl'
    t.plus ||= lower !== 'mi'
    places.push({ mark: lower.toUpperCase() as Mark, text: '' })
  }
}

/** A digit's place, 9 or 0. */
function noteDigit(t: NumberTemplate, places: Place[], digit: '9' | '0'): void {
  if (t.bracket) throw syntax(`"${digit}" must be ahead of "PR"`)
  if (digit === '0' && !t.zero && !t.decimal) {
    t.zero = true
    t.zeroStart = t.pre + 1
  }
  if (t.decimal) t.post++
  else if (t.multiply && digit === '9') t.shift++
  else t.pre++
  if (digit === '0') t.zeroEnd = t.pre + t.post
  places.push({ mark: digit, text: digit })
}

function noteScientific(t: NumberTemplate): void {
  if (t.scientific) throw syntax('cannot use "EEEE" twice')
  if (t.fill || t.locked !== '' || t.bracket || t.minus || t.plus || t.roman || t.multiply) {
    throw new DbError('syntax_error', '"EEEE" is incompatible with other formats', {
      detail: '"EEEE" may only be used together with digit and decimal point patterns.',
    })
  }
  t.scientific = true
}

/** Takes one token of a template in. */
function note(t: NumberTemplate, places: Place[], token: string): void {
  const lower = token.toLowerCase()
  if (t.scientific && lower !== 'eeee') throw syntax('"EEEE" must be the last pattern used')
  switch (lower) {
    case '9':
    case '0':
      return noteDigit(t, places, lower)
    case '.':
    case 'd':
      if (t.decimal) throw syntax('multiple decimal points')
      if (t.multiply) throw syntax('cannot use "V" and decimal point together')
      t.decimal = true
      places.push({ mark: '.', text: '.' })
      return
    case 's':
    case 'mi':
    case 'pl':
    case 'sg':
    case 'pr':
      return noteSign(t, places, token, lower)
    case 'eeee':
      return noteScientific(t)
    case 'fm':
      t.fill = true
      return
    case 'v':
      if (t.decimal) throw syntax('cannot use "V" and decimal point together')
      t.multiply = true
      return
    case 'rn':
      t.roman = true
      places.push({ mark: token as Mark, text: '' })
      return
    case 'th':
      places.push({ mark: token as Mark, text: '' })
      return
    case 'l':
      places.push({ mark: 'L', text: '' })
      return
    case 'g':
    case ',':
      places.push({ mark: ',', text: ',' })
      return
    case 'b':
    case 'c':
    case 'sp':
      return
    default:
      places.push({ mark: 'literal', text: token })
  }
}

const cache = new Map<string, NumberTemplate>()

export function numberTemplate(text: string): NumberTemplate {
  let template = cache.get(text)
  if (template === undefined) {
    template = parseTemplate(text)
    if (cache.size >= 256) cache.delete(cache.keys().next().value!)
    cache.set(text, template)
  }
  return template
}
