/**
 * The process's terminal as the commands see it, and the one way in which they end badly.
 *
 * Not here: the shell.
 */
import { DbError } from '../base/index.ts'
import type { Screen } from './shell/runner.ts'

/** Standard output and error. Colours only for people who did not refuse them (no-color.org). */
export function processScreen(): Screen {
  return {
    write: (text) => void process.stdout.write(text),
    writeError: (text) => void process.stderr.write(text),
    get width() {
      // A terminal that does not know its size says 0.
      return process.stdout.columns || 80
    },
    color: process.stdout.isTTY === true && !process.env.NO_COLOR,
  }
}

/** What went wrong, for a person. Bugs show their stack. */
export function explain(error: unknown): string {
  if (!(error instanceof DbError))
    return `lattice: ${error instanceof Error ? (error.stack ?? error.message) : error}\n`
  const lines = [`lattice: ${error.message}`]
  if (error.detail !== undefined) lines.push(error.detail)
  if (error.hint !== undefined) lines.push(`Hint: ${error.hint}`)
  return lines.join('\n') + '\n'
}
