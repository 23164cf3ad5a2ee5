/**
 * LIKE, ILIKE and SIMILAR TO.
 *
 * A pattern is compiled once a call site while it stays the same; the usual shapes (no wildcard, 'x%', '%x', '%x%') need
 * no matching machine, the rest is matched with backtracking over % only.
 * Not here: regular expressions (regexp*.ts) — SIMILAR TO becomes one.
 */
import { DbError } from '../../base/index.ts'
import { utf8Length } from '../types/code-points.ts'
import type { FunctionCode, FunctionMaker } from './function.ts'
import { lowerCase } from './text.ts'

export type TextTest = (text: string) => boolean

/** Compiles a LIKE pattern with backslash as its escape. */
function compileLike(pattern: string): TextTest {
  if (!/[%_\\]/.test(pattern)) return (text) => text === pattern
  if (!/[_\\]/.test(pattern)) {
    const body = pattern.replace(/^%+|%+$/g, '')
    if (!body.includes('%')) {
      const open = pattern.startsWith('%')
      const close = pattern.endsWith('%')
      if (body === '') return () => true
      if (open && close) return (text) => text.includes(body)
      return open ? (text) => text.endsWith(body) : (text) => text.startsWith(body)
    }
  }
  return compileGeneral(pattern)
}

const anyOne = -1
const anyRun = -2
const dangling = -3

function compileGeneral(pattern: string): TextTest {
  const steps: number[] = []
  const points = [...pattern]
  for (let i = 0; i < points.length; i++) {
    const c = points[i]
    if (c === '\\') {
      i++
      steps.push(i < points.length ? points[i].codePointAt(0)! : dangling)
    } else if (c === '%') {
      if (steps[steps.length - 1] !== anyRun) steps.push(anyRun)
    } else {
      steps.push(c === '_' ? anyOne : c.codePointAt(0)!)
    }
  }
  if (steps[steps.length - 1] !== dangling) return (text) => matchSteps(steps, text)
  return (text) => {
    checkDangling(steps, text)
    return matchSteps(steps, text)
  }
}

/** After a last % and its _ an escape at the end is reported as soon as the text is long enough for them. */
function checkDangling(steps: readonly number[], text: string): void {
  let at = steps.length - 2
  while (steps[at] === anyOne) at--
  if (steps[at] !== anyRun) return
  const before = steps.slice(0, at + 1)
  for (let end = text.length; end >= 0; end--) {
    if ([...text.slice(end)].length < Math.max(steps.length - 2 - at, 1)) continue
    if (matchSteps(before, text.slice(0, end))) throw danglingEscape()
  }
}

/** Greedy with one point to return to: the last % seen. */
function matchSteps(steps: readonly number[], text: string): boolean {
  let at = 0
  let step = 0
  let resumeStep = -1
  let resumeAt = 0
  while (at < text.length) {
    const wanted = steps[step]
    if (wanted === dangling) throw danglingEscape()
    if (wanted === anyRun) {
      resumeStep = ++step
      resumeAt = at
      if (step === steps.length) return true
      continue
    }
    const code = text.codePointAt(at)!
    if (wanted !== undefined && (wanted === anyOne || wanted === code)) {
      at += code > 0xffff ? 2 : 1
      step++
      continue
    }
    if (resumeStep < 0) return false
    resumeAt += text.codePointAt(resumeAt)! > 0xffff ? 2 : 1
    at = resumeAt
    step = resumeStep
  }
  while (steps[step] === anyRun) step++
  return step === steps.length
}

function danglingEscape(): DbError {
  return new DbError('invalid_escape_sequence', 'LIKE pattern must not end with escape character')
}

/** Keeps the compiled form of the last pattern. */
function liking(insensitive: boolean, negated: boolean, prepare?: (value: any) => string): FunctionMaker {
  return () => {
    let last: unknown
    let test: TextTest = () => false
    return (value: any, pattern: any) => {
      if (pattern !== last) {
        const text = prepare === undefined ? pattern : prepare(pattern)
        test = compileLike(insensitive ? lowerCase(text) : text)
        last = pattern
      }
      const text = prepare === undefined ? value : prepare(value)
      return test(insensitive ? lowerCase(text) : text) !== negated
    }
  }
}

/** Bytes as a text of one character a byte. */
function latin1(bytes: Uint8Array): string {
  return Buffer.prototype.latin1Slice.call(bytes, 0, bytes.length) as string
}

/** Rewrites a pattern with another escape character to one with backslash. */
function changeEscape(pattern: string, escapeChar: string): string {
  if (escapeChar === '') return pattern.replaceAll('\\', '\\\\')
  if ([...escapeChar].length > 1) throw badEscape()
  if (escapeChar === '\\') return pattern
  let out = ''
  let after = false
  for (const c of pattern) {
    if (c === escapeChar && !after) {
      out += '\\'
      after = true
    } else if (c === '\\') {
      out += '\\'
      if (!after) out += '\\'
      after = false
    } else {
      out += c
      after = false
    }
  }
  return out
}

function badEscape(): DbError {
  return new DbError('invalid_escape_sequence', 'invalid escape string', {
    hint: 'Escape string must be empty or one character.',
  })
}

/** SQL's regular expressions as advanced ones: % is .*, _ is a dot; two escape-quotes mark what substring returns. */
export function similarPattern(pattern: string, escapeChar: string): string {
  if ([...escapeChar].length > 1 || utf8Length(escapeChar) > 4) throw badEscape()
  let out = '^(?:'
  let quotes = 0
  let after = false
  let inBrackets = false
  for (const c of pattern) {
    if (after) {
      if (c === '"' && !inBrackets) {
        if (quotes > 1) {
          const message = 'SQL regular expression may not contain more than two escape-double-quote separators'
          throw new DbError('invalid_escape_sequence', message)
        }
        out += quotes === 0 ? '){1,1}?(' : '){1,1}(?:'
        quotes++
      } else {
        out += `\\${c}`
      }
      after = false
    } else if (c === escapeChar) {
      after = true
    } else if (inBrackets) {
      out += c === '\\' ? '\\\\' : c
      if (c === ']') inBrackets = false
    } else if (c === '[') {
      out += c
      inBrackets = true
    } else {
      out += similarLetters[c] ?? c
    }
  }
  return `${out})$`
}

const similarLetters: Record<string, string> = {
  '%': '.*',
  _: '.',
  '(': '(?:',
  '\\': '\\\\',
  '.': '\\.',
  '^': '\\^',
  $: '\\$',
}

export const likeMakers: Record<string, FunctionMaker> = {
  bytealike: liking(false, false, latin1),
  byteanlike: liking(false, true, latin1),
}
for (const prefix of ['text', 'name', 'bpchar']) {
  likeMakers[`${prefix}like`] = liking(false, false)
  likeMakers[`${prefix}nlike`] = liking(false, true)
  likeMakers[`${prefix}iclike`] = liking(true, false)
  likeMakers[`${prefix}icnlike`] = liking(true, true)
}

export const likeCode: Record<string, FunctionCode> = {
  like_escape: changeEscape,
  like_escape_bytea: (pattern: Uint8Array, escapeChar: Uint8Array) =>
    new Uint8Array(Buffer.from(changeEscape(latin1(pattern), latin1(escapeChar)), 'latin1')),
  similar_to_escape_1: (pattern: string) => similarPattern(pattern, '\\'),
  similar_to_escape_2: (pattern: string, escapeChar: string) => similarPattern(pattern, escapeChar),
  similar_escape: (pattern: string | null, escapeChar: string | null) =>
    pattern === null ? null : similarPattern(pattern, escapeChar ?? '\\'),
}
