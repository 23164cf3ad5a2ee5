/**
 * concat, concat_ws, format and the operators || of text with other types: what turns any value into text.
 *
 * Not here: to_char (to-char*.ts).
 */
import { DbError } from '../../base/index.ts'
import type { SqlArray } from '../types/array.ts'
import { codePointLength } from '../types/code-points.ts'
import type { TypeContext, Value } from '../types/type.ts'
import type { CallSite, FunctionMaker } from './function.ts'
import { quoteIdentifier, quoteLiteral } from './quote.ts'

type Formatter = (value: Value) => string

const boolOid = 16

/** How each argument is shown, from its type at the call. */
function formatters(site: CallSite, context: TypeContext): Formatter[] {
  return site.argTypes.map((oid) => formatterOf(oid, context))
}

function formatterOf(oid: number, context: TypeContext): Formatter {
  const type = context.types.type(oid)
  return (value) => type.format(value, context)
}

/** concat shows booleans as t and f, like every output function; only a cast says true and false. */
interface Argument {
  readonly value: Value
  readonly show: Formatter
}

/** The arguments from position `from` on; an array given with VARIADIC is spread. Null when that array is NULL. */
function spread(site: CallSite, context: TypeContext, from: number): (args: Value[]) => Argument[] | null {
  if (site.variadicArray === true) {
    const last = site.argTypes.length - 1
    return (args) => {
      const array = args[last] as SqlArray | null
      if (array === null) return null
      const show = formatterOf(array.elementOid, context)
      return array.items.map((value) => ({ value, show }))
    }
  }
  const shows = formatters(site, context)
  return (args) => shows.slice(from).map((show, i) => ({ value: args[from + i], show }))
}

function joinTexts(list: readonly Argument[], separator: string): string {
  let out = ''
  let first = true
  for (const { value, show } of list) {
    if (value === null) continue
    if (!first) out += separator
    out += show(value)
    first = false
  }
  return out
}

const concat: FunctionMaker = (site, context) => {
  const list = spread(site, context, 0)
  return (...args) => {
    const items = list(args)
    return items === null ? null : joinTexts(items, '')
  }
}

const concatWithSeparator: FunctionMaker = (site, context) => {
  const list = spread(site, context, 1)
  return (...args) => {
    const separator = args[0] as string | null
    if (separator === null) return null
    const items = list(args)
    return items === null ? null : joinTexts(items, separator)
  }
}

const format: FunctionMaker = (site, context) => {
  const list = spread(site, context, 1)
  return (...args) => {
    const template = args[0] as string | null
    if (template === null) return null
    return fill(template, list(args) ?? [])
  }
}

function invalid(message: string, hint?: string): DbError {
  return new DbError('invalid_parameter_value', message, hint === undefined ? undefined : { hint })
}

const specifier = /%(?:(\d+)\$)?(-*)(?:(\d+)|\*(?:(\d+)\$)?)?(.?)/gs

/** Fills a template: %[n$][-][width]{s,I,L}, %%; a width may be * or *n$. */
function fill(template: string, list: readonly Argument[]): string {
  let next = 0
  const argument = (position: string | undefined): Argument => {
    if (position !== undefined) {
      if (Number(position) === 0) throw invalid('format specifies argument 0, but arguments are numbered from 1')
      next = Number(position)
    } else {
      next++
    }
    if (next > list.length) throw invalid('too few arguments for format()')
    return list[next - 1]
  }
  return template.replace(specifier, (all, position, minus, width, widthPosition, letter) => {
    if (all === '%%') return '%'
    if (letter === '') {
      throw invalid('unterminated format() type specifier', 'For a single "%" use "%%".')
    }
    let size = width === undefined ? 0 : Number(width)
    const starred = all.includes('*')
    if (starred) size = widthOf(argument(widthPosition))
    if (!'sIL'.includes(letter)) {
      throw invalid(`unrecognized format() type specifier "${letter}"`, 'For a single "%" use "%%".')
    }
    const { value, show } = argument(position)
    const text = shown(letter, value, show)
    const left = minus !== '' || size < 0
    const missing = ' '.repeat(Math.max(Math.abs(size) - codePointLength(text), 0))
    return left ? text + missing : missing + text
  })
}

function widthOf(argument: Argument): number {
  if (argument.value === null) return 0
  const width = Number(argument.show(argument.value))
  if (!Number.isInteger(width)) throw new DbError('numeric_value_out_of_range', 'number is out of range')
  return width
}

function shown(letter: string, value: Value, show: Formatter): string {
  if (value === null) {
    if (letter === 'I')
      throw new DbError('null_value_not_allowed', 'null values cannot be formatted as an SQL identifier')
    return letter === 'L' ? 'NULL' : ''
  }
  const text = show(value)
  return letter === 's' ? text : letter === 'I' ? quoteIdentifier(text) : quoteLiteral(text)
}

/** x || text and text || x: x is cast to text, so that booleans are words. */
function castText(oid: number, context: TypeContext): Formatter {
  if (oid === boolOid) return (value) => (value ? 'true' : 'false')
  return formatterOf(oid, context)
}

export const formatMakers: Record<string, FunctionMaker> = {
  text_concat: concat,
  text_concat_ws: concatWithSeparator,
  text_format: format,
  text_format_nv: format,
  'textanycat(text,anynonarray)': (site, context) => {
    const show = castText(site.argTypes[1], context)
    return (a, b) => a + show(b)
  },
  'anytextcat(anynonarray,text)': (site, context) => {
    const show = castText(site.argTypes[0], context)
    return (a, b) => show(a) + b
  },
  'quote_literal(anyelement)': (site, context) => {
    const show = castText(site.argTypes[0], context)
    return (a) => quoteLiteral(show(a))
  },
  'quote_nullable(anyelement)': (site, context) => {
    const show = castText(site.argTypes[0], context)
    return (a) => (a === null ? 'NULL' : quoteLiteral(show(a)))
  },
}
