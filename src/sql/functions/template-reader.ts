/**
 * Reads the fields of a date and time out of a text by a template; what they add up to is to-timestamp.ts's business.
 *
 * Blanks before a field are skipped; a separator in the template takes at most one in the text (exactly itself after
 * FX). Numbers take as many digits as the pattern has, or all there are when no digit follows in the template.
 * Not here: templates (datetime-template.ts).
 */
import { DbError } from '../../base/index.ts'
import { monthNames, weekdayNames, zoneAbbreviation } from '../types/abbreviations.ts'
import {
  type DatePattern,
  type LiteralNode,
  type PatternNode,
  romanMonths,
  type TemplateNode,
} from './datetime-template.ts'

export function invalidFormat(message: string, detail?: string, hint?: string): DbError {
  return new DbError('invalid_datetime_format', message, { detail, hint })
}

/** Digits that a numeric pattern has. */
const widths: Partial<Record<DatePattern, number>> = {
  HH24: 2,
  HH12: 2,
  HH: 2,
  MI: 2,
  SS: 2,
  SSSS: 5,
  MS: 3,
  US: 6,
  YYYY: 4,
  YYY: 3,
  YY: 2,
  Y: 1,
  IYYY: 4,
  IYY: 3,
  IY: 2,
  I: 1,
  MM: 2,
  DDD: 3,
  IDDD: 3,
  DD: 2,
  D: 1,
  ID: 1,
  WW: 2,
  W: 1,
  IW: 2,
  CC: 2,
  J: 7,
  Q: 1,
  TZH: 2,
  TZM: 2,
}
const digitPatterns = new Set<string>([...Object.keys(widths), 'FF', 'Y,YYY'])

export type FieldName =
  | 'hour'
  | 'minute'
  | 'second'
  | 'daySeconds'
  | 'year'
  | 'month'
  | 'day'
  | 'dayOfYear'
  | 'isoDay'
  | 'weekday'
  | 'week'
  | 'monthWeek'
  | 'isoWeek'
  | 'century'
  | 'julian'
  | 'zoneHour'
  | 'zoneMinute'
  | 'micros'

export class TemplateReader {
  readonly #text: string
  readonly #nodes: readonly TemplateNode[]
  #at = 0
  #skipped = 0
  #fixed = false
  readonly fields = new Map<FieldName, number>()
  readonly seen = new Set<DatePattern>()
  yearDigits = 4
  iso = false
  gregorian = false
  afternoon: boolean | undefined
  bc = false
  twelveHours = false
  offset: number | undefined
  zoneSign = 1

  constructor(text: string, nodes: readonly TemplateNode[]) {
    this.#text = text
    this.#nodes = nodes
  }

  read(): this {
    for (let i = 0; i < this.#nodes.length; i++) {
      const node = this.#nodes[i]
      if (this.#at >= this.#text.length) break
      if (node.kind === 'literal') this.#literal(node)
      else this.#pattern(node, i)
    }
    return this
  }

  /** Whether text is left that no pattern read. */
  get rest(): string {
    return this.#text.slice(this.#at)
  }

  #literal(node: LiteralNode): void {
    const separator = !node.quoted && /[^A-Za-z0-9]/.test(node.text)
    if (this.#fixed) {
      this.#at += node.text.length
    } else if (separator) {
      this.#skipped--
      const c = this.#text[this.#at]
      if (/[^A-Za-z0-9]/.test(c) && c < '\u0080') {
        this.#at++
        this.#skipped++
      }
    } else {
      // A quoted or plain character takes one of the text, unless blanks skipped before made up for it.
      if (this.#skipped > 0) this.#skipped--
      else this.#at += String.fromCodePoint(this.#text.codePointAt(this.#at)!).length
    }
  }

  #pattern(node: PatternNode, index: number): void {
    if (node.pattern === 'FX') {
      this.#fixed = true
      return
    }
    if (!this.#fixed) {
      while (/\s/.test(this.#text[this.#at] ?? '')) {
        this.#at++
        this.#skipped++
      }
    }
    this.#skipped = 0
    this.#field(node, index)
    if (node.ordinal !== '') this.#at += 2
  }

  #field(node: PatternNode, index: number): void {
    const number = (name: FieldName) => this.#set(name, this.#number(node, index), node)
    switch (node.pattern) {
      case 'HH':
      case 'HH12':
        this.twelveHours = true
        return number('hour')
      case 'HH24':
        this.twelveHours = false
        return number('hour')
      case 'MI':
        return number('minute')
      case 'SS':
        return number('second')
      case 'SSSS':
        return number('daySeconds')
      case 'MS':
      case 'US':
      case 'FF':
        return this.#fraction(node)
      case 'AM':
      case 'A.M.':
        this.afternoon = this.#word(node.pattern === 'AM' ? ['AM', 'PM'] : ['A.M.', 'P.M.'], node) === 1
        this.twelveHours = true
        return
      case 'BC':
      case 'B.C.':
        this.bc = this.#word(node.pattern === 'BC' ? ['AD', 'BC'] : ['A.D.', 'B.C.'], node) === 1
        return
      case 'MONTH':
      case 'MON':
        this.gregorian = true
        return this.#set('month', this.#name(monthNames, node) + 1, node)
      case 'RM':
        this.gregorian = true
        return this.#set('month', this.#roman(node) + 1, node)
      case 'DAY':
      case 'DY':
        return this.#set('weekday', this.#name(weekdayNames, node), node)
      case 'TZ':
        return this.#zone(node)
      case 'TZH':
        return this.#zoneHour(node, index)
      case 'OF':
        throw new DbError('feature_not_supported', 'formatting field "OF" is only supported in to_char')
      default:
        this.#calendar(node, index)
    }
  }

  #calendar(node: PatternNode, index: number): void {
    const { pattern } = node
    if (pattern === 'TZM') return this.#set('zoneMinute', this.#number(node, index), node)
    if (pattern === 'Q') {
      this.#number(node, index)
      return
    }
    if (pattern === 'Y,YYY') return this.#commaYear(node)
    if (/^I?Y+$|^I$/.test(pattern)) return this.#year(node, index)
    const names: Partial<Record<DatePattern, FieldName>> = {
      MM: 'month',
      DDD: 'dayOfYear',
      IDDD: 'isoDay',
      DD: 'day',
      D: 'weekday',
      ID: 'weekday',
      W: 'monthWeek',
      WW: 'week',
      IW: 'isoWeek',
      CC: 'century',
      J: 'julian',
    }
    const value = this.#number(node, index)
    if (pattern === 'IDDD' || pattern === 'ID' || pattern === 'IW') this.iso = true
    else if (pattern === 'MM' || pattern === 'DD' || pattern === 'DDD' || pattern === 'WW' || pattern === 'D')
      this.gregorian = true
    if (pattern === 'D') return this.#set('weekday', value - 1, node)
    if (pattern === 'ID') return this.#set('weekday', value % 7, node)
    this.#set(names[pattern]!, value, node)
  }

  #year(node: PatternNode, index: number): void {
    const start = this.#at
    let year = this.#number(node, index)
    const digits = this.#at - start
    const width = widths[node.pattern]!
    if (width < 4 && digits < 4) year = fullYear(year)
    if (node.pattern.startsWith('I')) this.iso = true
    else this.gregorian = true
    this.yearDigits = width
    this.#set('year', year, node)
  }

  #commaYear(node: PatternNode): void {
    const match = /^(\d+),(\d{3})/.exec(this.rest)
    if (match === null) throw invalidFormat('invalid input string for "Y,YYY"')
    this.#at += match[0].length
    this.gregorian = true
    this.#set('year', Number(match[1]) * 1000 + Number(match[2]), node)
  }

  #set(name: FieldName, value: number, node: PatternNode): void {
    const before = this.fields.get(name)
    if (before !== undefined && before !== value) {
      const detail = 'This value contradicts a previous setting for the same field type.'
      throw invalidFormat(`conflicting values for "${node.written}" field in formatting string`, detail)
    }
    this.fields.set(name, value)
    this.seen.add(node.pattern)
  }

  /** Whether the node after `index` does not begin with digits, so that a number may be as long as it is. */
  #open(index: number): boolean {
    const next = this.#nodes[index + 1]
    if (next === undefined) return true
    if (next.kind === 'literal') return !/[0-9]/.test(next.text)
    return !digitPatterns.has(next.pattern)
  }

  #number(node: PatternNode, index: number): number {
    const width = widths[node.pattern]!
    const start = this.#at
    const open = node.fill || this.#open(index) || node.ordinal !== ''
    const source = open ? this.rest : this.rest.slice(0, width)
    const match = /^\s*[+-]?\d+/.exec(source)
    if (match === null) {
      const piece = this.rest.slice(0, width)
      const detail = piece.length < width && !open ? undefined : 'Value must be an integer.'
      if (piece.length < width && !open) {
        throw invalidFormat(
          `source string too short for "${node.written}" formatting field`,
          `Field requires ${width} characters, but only ${piece.length} remain.`,
          'If your source string is not fixed-width, try using the "FM" modifier.',
        )
      }
      throw invalidFormat(`invalid value "${piece}" for "${node.written}"`, detail)
    }
    if (!open && match[0].length < width && source.length >= width) {
      throw invalidFormat(
        `invalid value "${source}" for "${node.written}"`,
        `Field requires ${width} characters, but only ${match[0].length} could be parsed.`,
        'If your source string is not fixed-width, try using the "FM" modifier.',
      )
    }
    this.#at = start + match[0].length
    const value = Number(match[0])
    if (Math.abs(value) > 0x7fffffff) {
      throw new DbError('datetime_field_overflow', `value for "${node.written}" in source string is out of range`, {
        detail: 'Value must be in the range -2147483648 to 2147483647.',
      })
    }
    return value
  }

  #fraction(node: PatternNode): void {
    const width = node.pattern === 'FF' ? node.digits : widths[node.pattern]!
    const match = /^\d+/.exec(this.rest.slice(0, width))
    if (match === null)
      throw invalidFormat(
        `invalid value "${this.rest.slice(0, width)}" for "${node.written}"`,
        'Value must be an integer.',
      )
    this.#at += match[0].length
    const before = this.fields.get('micros') ?? 0
    this.fields.set('micros', before + Math.round(Number(`0.${match[0]}`) * 1e6))
  }

  #word(words: readonly string[], node: PatternNode): number {
    const text = this.rest.toUpperCase()
    const found = words.findIndex((word) => text.startsWith(word))
    if (found < 0) this.#notAllowed(node)
    this.#at += words[found].length
    return found
  }

  #notAllowed(node: PatternNode): never {
    const word = /^[^\s]*/.exec(this.rest)![0]
    throw invalidFormat(
      `invalid value "${word}" for "${node.written}"`,
      'The given value did not match any of the allowed values for this field.',
    )
  }

  #name(names: readonly string[], node: PatternNode): number {
    const short = node.pattern === 'MON' || node.pattern === 'DY'
    const found = names.findIndex((full) => {
      const wanted = short ? full.slice(0, 3) : full
      return this.rest.slice(0, wanted.length).toLowerCase() === wanted.toLowerCase()
    })
    if (found < 0) this.#notAllowed(node)
    this.#at += short ? 3 : names[found].length
    return found
  }

  #roman(node: PatternNode): number {
    const word = /^[IVX]+/i.exec(this.rest)?.[0].toUpperCase()
    const found = word === undefined ? -1 : romanMonths.indexOf(word)
    if (found < 0) this.#notAllowed(node)
    this.#at += word!.length
    return found
  }

  #zone(node: PatternNode): void {
    const sign = /^[+-]\d/.test(this.rest)
    if (sign) {
      const match = /^([+-])(\d{1,2})(?::?(\d{2}))?/.exec(this.rest)!
      this.#at += match[0].length
      this.offset = (match[1] === '-' ? -1 : 1) * (Number(match[2]) * 3600 + Number(match[3] ?? 0) * 60)
      return
    }
    const word = /^[A-Za-z]+/.exec(this.rest)?.[0]
    const seconds = word === undefined ? undefined : zoneAbbreviation(word)
    if (seconds === undefined) {
      throw invalidFormat(
        `invalid value "${this.rest}" for "${node.written}"`,
        'Time zone abbreviation is not recognized.',
      )
    }
    this.#at += word!.length
    this.offset = seconds
  }

  #zoneHour(node: PatternNode, index: number): void {
    const c = this.#text[this.#at]
    if (c === '+' || c === '-' || c === ' ') {
      this.zoneSign = c === '-' ? -1 : 1
      this.#at++
    }
    this.#set('zoneHour', this.#number(node, index), node)
  }
}

/** Two and three digits mean a year near 2020. */
function fullYear(year: number): number {
  if (year < 70) return year + 2000
  if (year < 100) return year + 1900
  if (year < 520) return year + 2000
  return year < 1000 ? year + 1000 : year
}
