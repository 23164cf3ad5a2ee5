/**
 * SQL's functions of regular expressions: ~ and its kin, regexp_match, regexp_replace, regexp_split, substring.
 *
 * Not here: the expressions themselves (regexp-translate.ts, regexp-match.ts).
 */
import { DbError } from '../../base/index.ts'
import { arrayOf, type SqlArray } from '../types/array.ts'
import { codePointLength } from '../types/code-points.ts'
import { textOid } from '../types/oids.ts'
import type { FunctionCode, FunctionMaker } from './function.ts'
import { similarPattern } from './like.ts'
import { compileRegexp, type Regexp } from './regexp-match.ts'
import { offsetOf } from './text.ts'

type Match = RegExpExecArray

/** A test whose expression is compiled again only when the pattern changes. */
function testing(flags: string, negated: boolean): FunctionMaker {
  return () => {
    let last: string | undefined
    let regexp: Regexp | undefined
    return (text: string, pattern: string) => {
      if (pattern !== last) {
        regexp = compileRegexp(pattern, flags)
        last = pattern
      }
      return regexp!.test(text) !== negated
    }
  }
}

/** Takes "g" out of flags; raises for it where it makes no sense. */
function splitFlags(flags: string, name: string | undefined, hint?: string): { flags: string; all: boolean } {
  const all = flags.includes('g')
  if (all && name !== undefined) {
    const message = `${name} does not support the "global" option`
    throw new DbError('invalid_parameter_value', message, hint === undefined ? undefined : { hint })
  }
  return { flags: flags.replaceAll('g', ''), all }
}

/** Captured groups as an array, or the whole match when there are none. */
function captures(match: Match): SqlArray {
  const items = match.length > 1 ? match.slice(1).map((group) => group ?? null) : [match[0]]
  return arrayOf(textOid, items)
}

/** Every match from `start`; after an empty one the search moves a character on. */
function* matchesOf(regexp: Regexp, text: string, start: number): Iterable<Match> {
  let at = start
  while (at <= text.length) {
    const match = regexp.exec(text, at)
    if (match === null) return
    yield match
    at = match.index + match[0].length
    if (match[0] === '') at += text.codePointAt(at)! > 0xffff ? 2 : 1
  }
}

function regexpMatch(text: string, pattern: string, flags: string): SqlArray | null {
  const { flags: plain } = splitFlags(flags, 'regexp_match()', 'Use the regexp_matches function instead.')
  const match = compileRegexp(pattern, plain).exec(text, 0)
  return match === null ? null : captures(match)
}

function* regexpMatches(text: string, pattern: string, flags: string): Iterable<SqlArray> {
  const { flags: plain, all } = splitFlags(flags, undefined)
  for (const match of matchesOf(compileRegexp(pattern, plain), text, 0)) {
    yield captures(match)
    if (!all) return
  }
}

/** Pieces between matches; empty matches at the ends or right after another are not separators. */
function* split(text: string, pattern: string, flags: string, name: string | undefined): Iterable<string> {
  const { flags: plain } = splitFlags(flags, name)
  let from = 0
  let lastEnd = 0
  for (const match of matchesOf(compileRegexp(pattern, plain), text, 0)) {
    const end = match.index + match[0].length
    if (match.index < text.length && end > lastEnd) {
      yield text.slice(from, match.index)
      from = end
    }
    lastEnd = end
  }
  yield text.slice(from)
}

/** \1 … \9 groups, \& the match, \\ a backslash; other backslashes stay. */
function expand(replacement: string, match: Match): string {
  if (!replacement.includes('\\')) return replacement
  return replacement.replace(/\\([1-9&\\])/g, (_all, c: string) => {
    if (c === '\\') return '\\'
    return c === '&' ? match[0] : (match[Number(c)] ?? '')
  })
}

/** Replaces match number `n` from `start` on, all of them when `n` is 0. */
function replace(text: string, regexp: Regexp, replacement: string, start: number, n: number): string {
  let out = ''
  let from = 0
  let count = 0
  for (const match of matchesOf(regexp, text, start)) {
    count++
    if (n > 0 && count < n) continue
    out += text.slice(from, match.index) + expand(replacement, match)
    from = match.index + match[0].length
    if (n > 0) break
  }
  return out + text.slice(from)
}

function replaceFlagged(text: string, pattern: string, replacement: string, flags: string): string {
  if (/^[0-9]/.test(flags)) {
    throw new DbError('invalid_parameter_value', `invalid regular expression option: "${flags[0]}"`, {
      hint: 'If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.',
    })
  }
  const { flags: plain, all } = splitFlags(flags, undefined)
  return replace(text, compileRegexp(pattern, plain), replacement, 0, all ? 0 : 1)
}

function checkPositive(value: number, name: string, least = 1): void {
  if (value < least) throw new DbError('invalid_parameter_value', `invalid value for parameter "${name}": ${value}`)
}

function replaceFrom(
  text: string,
  pattern: string,
  replacement: string,
  start: number,
  n: number | undefined,
  flags: string,
) {
  checkPositive(start, 'start')
  if (n !== undefined) checkPositive(n, 'n', 0)
  const { flags: plain, all } = splitFlags(flags, undefined)
  const which = n ?? (all ? 0 : 1)
  return replace(text, compileRegexp(pattern, plain), replacement, offsetOf(text, start), which)
}

function count(text: string, pattern: string, start: number, flags: string): number {
  checkPositive(start, 'start')
  const { flags: plain } = splitFlags(flags, 'regexp_count()')
  let found = 0
  for (const _ of matchesOf(compileRegexp(pattern, plain), text, offsetOf(text, start))) found++
  return found
}

/** The n-th match from `start`, and where group `group` of it lies. */
function locate(text: string, pattern: string, start: number, n: number, flags: string, group: number, name: string) {
  const { flags: plain } = splitFlags(flags, name)
  const regexp = compileRegexp(pattern, plain)
  let seen = 0
  for (const match of matchesOf(regexp, text, offsetOf(text, start))) {
    if (++seen < n) continue
    return match.indices![group]
  }
  return undefined
}

function instr(
  text: string,
  pattern: string,
  start: number,
  n: number,
  end: number,
  flags: string,
  group: number,
): number {
  checkPositive(start, 'start')
  checkPositive(n, 'n')
  if (end !== 0 && end !== 1) {
    throw new DbError('invalid_parameter_value', `invalid value for parameter "endoption": ${end}`)
  }
  checkPositive(group, 'subexpr', 0)
  const place = locate(text, pattern, start, n, flags, group, 'regexp_instr()')
  if (place === undefined) return 0
  return codePointLength(text.slice(0, place[end])) + 1
}

function substr(text: string, pattern: string, start: number, n: number, flags: string, group: number): string | null {
  checkPositive(start, 'start')
  checkPositive(n, 'n')
  checkPositive(group, 'subexpr', 0)
  const place = locate(text, pattern, start, n, flags, group, 'regexp_substr()')
  return place === undefined ? null : text.slice(place[0], place[1])
}

/** substring(text from pattern): the first group, or the match when there is none. */
function substringOf(text: string, pattern: string): string | null {
  const match = compileRegexp(pattern, '').exec(text, 0)
  if (match === null) return null
  return match.length > 1 ? (match[1] ?? null) : match[0]
}

function like(text: string, pattern: string, flags: string): boolean {
  const { flags: plain } = splitFlags(flags, 'regexp_like()')
  return compileRegexp(pattern, plain).test(text)
}

export const regexpMakers: Record<string, FunctionMaker> = {}
for (const prefix of ['text', 'name', 'bpchar']) {
  regexpMakers[`${prefix}regexeq`] = testing('', false)
  regexpMakers[`${prefix}regexne`] = testing('', true)
  regexpMakers[`${prefix}icregexeq`] = testing('i', false)
  regexpMakers[`${prefix}icregexne`] = testing('i', true)
}

export const regexpCode: Record<string, FunctionCode> = {
  regexp_match: regexpMatch,
  regexp_match_no_flags: (a: string, p: string) => regexpMatch(a, p, ''),
  regexp_split_to_array: (a: string, p: string, f: string) =>
    arrayOf(textOid, [...split(a, p, f, 'regexp_split_to_array()')]),
  regexp_split_to_array_no_flags: (a: string, p: string) => arrayOf(textOid, [...split(a, p, '', undefined)]),
  textregexreplace_noopt: (a: string, p: string, r: string) => replace(a, compileRegexp(p, ''), r, 0, 1),
  textregexreplace: replaceFlagged,
  textregexreplace_extended: (a: string, p: string, r: string, start: number, n: number, f: string) =>
    replaceFrom(a, p, r, start, n, f),
  textregexreplace_extended_no_flags: (a: string, p: string, r: string, start: number, n: number) =>
    replaceFrom(a, p, r, start, n, ''),
  textregexreplace_extended_no_n: (a: string, p: string, r: string, start: number) =>
    replaceFrom(a, p, r, start, 1, ''),
  textregexsubstr: substringOf,
  'substring(text,text,text)': (a: string, p: string, e: string) => substringOf(a, similarPattern(p, e)),
  regexp_like: like,
  regexp_like_no_flags: (a: string, p: string) => like(a, p, ''),
  regexp_count: count,
  regexp_count_no_flags: (a: string, p: string, start: number) => count(a, p, start, ''),
  regexp_count_no_start: (a: string, p: string) => count(a, p, 1, ''),
  regexp_instr: instr,
  regexp_instr_no_subexpr: (a: string, p: string, s: number, n: number, e: number, f: string) =>
    instr(a, p, s, n, e, f, 0),
  regexp_instr_no_flags: (a: string, p: string, s: number, n: number, e: number) => instr(a, p, s, n, e, '', 0),
  regexp_instr_no_endoption: (a: string, p: string, s: number, n: number) => instr(a, p, s, n, 0, '', 0),
  regexp_instr_no_n: (a: string, p: string, s: number) => instr(a, p, s, 1, 0, '', 0),
  regexp_instr_no_start: (a: string, p: string) => instr(a, p, 1, 1, 0, '', 0),
  regexp_substr: substr,
  regexp_substr_no_subexpr: (a: string, p: string, s: number, n: number, f: string) => substr(a, p, s, n, f, 0),
  regexp_substr_no_flags: (a: string, p: string, s: number, n: number) => substr(a, p, s, n, '', 0),
  regexp_substr_no_n: (a: string, p: string, s: number) => substr(a, p, s, 1, '', 0),
  regexp_substr_no_start: (a: string, p: string) => substr(a, p, 1, 1, '', 0),
}

export const regexpSetMakers: Record<string, FunctionMaker> = {
  regexp_matches: () => regexpMatches,
  regexp_matches_no_flags: () => (a: string, p: string) => regexpMatches(a, p, ''),
  regexp_split_to_table: () => (a: string, p: string, f: string) => split(a, p, f, 'regexp_split_to_table()'),
  regexp_split_to_table_no_flags: () => (a: string, p: string) => split(a, p, '', undefined),
}
