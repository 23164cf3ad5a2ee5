/**
 * Text to raw parse trees, by PostgreSQL's own grammar compiled to WebAssembly (libpg-query).
 *
 * Loading takes about 10 ms and is awaited once per process, before the first session. A trap in the WebAssembly stack
 * (very deep nesting) comes out as statement_too_complex; the library's instance stays usable.
 *
 * Not here: what a tree means (bind/).
 */

import type { Node } from '@pgsql/types'
import { loadModule, parseSync, SqlError } from 'libpg-query'
import { DbError, type ErrorCode } from '../../base/index.ts'

export type { Node } from '@pgsql/types'

/** One statement of a query string. */
export interface RawStatement {
  readonly node: Node
  /** UTF-16 offset and length in the text. */
  readonly start: number
  readonly length: number
}

/** The grammar ran out of memory and cannot be used again. */
export class ParserLost extends Error {}

/** What a worker parses. Characters. */
export const longestText = 16 * 1024 * 1024
/** What is parsed on the loop, which stands still meanwhile: texts that other statements make. */
const longestOnLoop = 1024 * 1024

export function loadParser(): Promise<void> {
  return loadModule()
}

/** Raises syntax_error with a position, statement_too_complex, program_limit_exceeded. */
export function parse(text: string, longest = longestOnLoop): RawStatement[] {
  if (text.length > longest) {
    throw new DbError('program_limit_exceeded', `statement is longer than ${longest} bytes`, {
      hint: 'Load data with COPY, or send several statements.',
    })
  }
  if (text.trim() === '') return []
  let tree: { stmts?: { stmt?: Node; stmt_location?: number; stmt_len?: number }[] }
  try {
    tree = parseSync(text) as any
  } catch (error) {
    throw parseError(error, text)
  }
  // The parser counts bytes. Statements come in the order of the text: each looks only at its own part.
  const bytes = isAscii(text) ? undefined : Buffer.from(text)
  let start = 0
  let startByte = 0
  return (tree.stmts ?? []).map((raw) => {
    const from = raw.stmt_location ?? 0
    const to = raw.stmt_len ? from + raw.stmt_len : undefined
    if (bytes === undefined) return { node: raw.stmt!, start: from, length: (to ?? text.length) - from }
    start += bytes.toString('utf8', startByte, from).length
    startByte = from
    return { node: raw.stmt!, start, length: bytes.toString('utf8', from, to).length }
  })
}

/** 1-based character position for an error, from the parser's byte offset. */
export function characterPosition(text: string, byteOffset: number): number {
  if (isAscii(text)) return byteOffset + 1
  return [...Buffer.from(text).toString('utf8', 0, byteOffset)].length + 1
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}

export function tooComplex(): DbError {
  return new DbError('statement_too_complex', 'stack depth limit exceeded', {
    hint: 'The statement nests too deeply or has too many terms; split it, or use IN or VALUES lists.',
  })
}

function parseError(error: unknown, text: string): DbError {
  if (error instanceof RangeError || (error instanceof Error && error.name === 'RuntimeError')) {
    return tooComplex()
  }
  if ((error as Error).name === 'ExitStatus') throw new ParserLost('the parser ran out of memory')
  if (!(error instanceof SqlError)) throw error
  const message = error.message
  if (message.startsWith('memory exhausted') || message.includes('stack depth')) return tooComplex()
  const at = error.sqlDetails?.cursorPosition
  return new DbError(codeOf(message), message, {
    position: at === undefined || at < 0 ? undefined : characterPosition(text, at),
  })
}

/** The grammar raises a few conditions other than syntax_error; they differ by their texts. */
function codeOf(message: string): ErrorCode {
  if (/Unicode escape|invalid Unicode|surrogate pair/.test(message)) return 'syntax_error'
  if (/not (yet )?(supported|implemented)/.test(message)) return 'feature_not_supported'
  if (/window function|frame (start|end)/.test(message)) return 'windowing_error'
  if (/invalid byte sequence|null character not permitted/.test(message)) return 'character_not_in_repertoire'
  return 'syntax_error'
}
