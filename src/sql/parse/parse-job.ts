/**
 * Parsing as a job for a worker: the grammar holds the loop for seconds over a text of some megabytes.
 *
 * Errors come back as data, since a worker's exceptions lose their position and hint.
 *
 * Not here: when a text is long enough for that (session/reading.ts).
 */
import { DbError, type ErrorCode } from '../../base/index.ts'
import type { CpuJob } from '../../io/index.ts'
import { longestText, parse, type RawStatement, tooComplex } from './parser.ts'
import { cutTree, joinTree, type TreePieces } from './tree-pieces.ts'

export type ParseAnswer = { readonly tree: TreePieces } | { readonly failure: ParseFailure }

interface ParseFailure {
  readonly code: ErrorCode
  readonly message: string
  readonly hint: string | undefined
  readonly position: number | undefined
}

/** What the worker runs. */
export function parseText(text: string): ParseAnswer {
  try {
    return { tree: cutTree({ statements: parse(text, longestText) }) }
  } catch (thrown) {
    const error = thrown instanceof RangeError ? tooComplex() : thrown
    if (!(error instanceof DbError)) throw error
    const { code, message, hint, position } = error
    return { failure: { code, message, hint, position } }
  }
}

/** Makes statements of an answer, piece by piece. Raises what `parse` raises. */
export function* statementsOf(answer: ParseAnswer): Generator<void, RawStatement[], void> {
  if ('failure' in answer) {
    const { code, message, hint, position } = answer.failure
    throw new DbError(code, message, { hint, position })
  }
  return ((yield* joinTree(answer.tree)) as { statements: RawStatement[] }).statements
}

// Beside us lies parse-worker.ts in a checkout and parse-worker.js in the package.
const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))

export const parseJob: CpuJob<string, ParseAnswer> = {
  module: new URL(`./parse-worker${extension}`, import.meta.url).href,
  name: 'parseText',
  run: parseText,
}
