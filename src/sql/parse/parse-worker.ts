/**
 * The module that a worker loads to parse: the job, with the grammar ready before it is called.
 *
 * A text whose tree outgrows the grammar's memory leaves the grammar unusable: the next large one may never come to an
 * end. The worker goes with it; the pool starts another.
 *
 * Not here: the job (parse-job.ts), what the session is told (session/reading.ts).
 */
import { type ParseAnswer, parseText as parseAlive } from './parse-job.ts'
import { loadParser, ParserLost } from './parser.ts'

await loadParser()

export function parseText(text: string): ParseAnswer {
  try {
    return parseAlive(text)
  } catch (error) {
    if (error instanceof ParserLost) process.exit(1)
    throw error
  }
}
