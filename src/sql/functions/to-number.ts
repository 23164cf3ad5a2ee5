/**
 * to_number: a text read by a template of to_char.
 *
 * Not here: the templates (number-template.ts).
 */
import { DbError } from '../../base/index.ts'
import { type Numeric, negate, numericOf, parseNumeric } from '../types/numeric.ts'
import type { FunctionCode } from './function.ts'
import { numberTemplate } from './number-template.ts'

/** Reads a number by a template: digits where it has places, everything else skipped as its marks say. */
function toNumber(text: string, template: string): Numeric | null {
  if (template === '') return null
  const t = numberTemplate(template)
  if (t.roman) throw new DbError('feature_not_supported', '"RN" not supported for input')
  if (t.scientific) throw new DbError('feature_not_supported', '"EEEE" not supported for input')
  let at = 0
  let digits = ''
  let point = false
  let negative = false
  let wholeDigits = 0
  let decimals = 0
  const takeSign = () => {
    if (text[at] === '-' || text[at] === '<') negative = true
    if (/[-+<>]/.test(text[at] ?? '')) at++
  }
  for (const { mark } of t.places) {
    if (at >= text.length) break
    if (mark === '9' || mark === '0' || mark === '.') {
      while (digits === '' && text[at] === ' ') at++
      if (digits === '') takeSign()
      while (digits === '' && text[at] === ' ') at++
      const c = text[at]
      if (c === undefined) break
      if (/[0-9]/.test(c)) {
        if (point ? decimals >= t.post : wholeDigits >= t.pre) break
        digits += c
        if (point) decimals++
        else wholeDigits++
        at++
      } else if (c === '.' && !point && t.decimal) {
        point = true
        at++
        if (mark !== '.' && /[0-9]/.test(text[at] ?? '') && decimals < t.post) {
          digits += text[at++]
          decimals++
        }
      } else if (mark === '9' || mark === '0') {
        if (c === ',' || c === ' ') continue
      }
    } else if (mark === ',') {
      if (text[at] === ',') at++
    } else if (mark === 'MI' || mark === 'PL' || mark === 'SG') {
      takeSign()
    } else if (mark === 'L') {
      while (at < text.length && !/[0-9.,+-]/.test(text[at])) at++
    } else if (mark === 'TH' || mark === 'th') {
      at += 2
    } else {
      at++
    }
  }
  if (/[-]/.test(text[at] ?? '') && (t.locked !== '' || t.minus)) negative = true
  if (digits === '') {
    throw new DbError('invalid_text_representation', `invalid input syntax for type numeric: "${negative ? '-' : ' '}"`)
  }
  const magnitude = parseNumeric(digits)!
  const scale = t.multiply ? t.shift : decimals
  const out = numericOf(magnitude.coefficient, scale)
  return negative ? negate(out) : out
}

export const toNumberCode: Record<string, FunctionCode> = {
  numeric_to_number: toNumber,
}
