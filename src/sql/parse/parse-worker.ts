/**
 * The module that a worker loads to parse: the job, with the grammar ready before it is called.
 *
 * Not here: the job (parse-job.ts).
 */
import { loadParser } from './parser.ts'

await loadParser()

export { parseText } from './parse-job.ts'
