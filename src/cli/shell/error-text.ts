/**
 * An error as a person reads it, with a caret under the place in the statement.
 *
 *   ERROR:  column "nme" does not exist
 *   LINE 1: select nme from person
 *                  ^
 *   HINT:  Perhaps you meant to reference the column "person.name".
 *
 * Not here: errors of the program itself (main.ts).
 */
import type { DbError } from '../../base/index.ts'
import { textWidth } from './text-width.ts'

/** How much of a long line is shown around the place. */
const shownColumns = 60

export function formatError(error: DbError, statement: string, severity = 'ERROR', verbose = false): string {
  const state = verbose ? ` ${error.sqlstate}:` : ''
  const lines = [`${severity}: ${state} ${error.message}`]
  if (error.position !== undefined) lines.push(...pointAt(statement, error.position))
  const details: [string, string | undefined][] = [
    ['DETAIL', error.detail],
    ['HINT', error.hint],
    ['CONTEXT', error.where],
  ]
  for (const [name, text] of details) if (text !== undefined) lines.push(`${name}:  ${text}`)
  if (verbose) {
    const names: [string, string | undefined][] = [
      ['SCHEMA NAME', error.schema],
      ['TABLE NAME', error.table],
      ['COLUMN NAME', error.column],
      ['DATATYPE NAME', error.dataType],
      ['CONSTRAINT NAME', error.constraint],
    ]
    for (const [name, text] of names) if (text !== undefined) lines.push(`${name}:  ${text}`)
  }
  return lines.join('\n') + '\n'
}

/** `position` counts characters from 1. */
function pointAt(statement: string, position: number): string[] {
  const before = Array.from(statement)
    .slice(0, position - 1)
    .join('') // prettier-ignore
  const lineNumber = before.split('\n').length
  const line = statement.split('\n')[lineNumber - 1]
  if (line === undefined) return []
  let column = before.slice(before.lastIndexOf('\n') + 1)
  let shown = line
  if (line.length > shownColumns + 10) {
    const from = Math.max(0, column.length - shownColumns / 2)
    shown =
      (from > 0 ? '…' : '') + line.slice(from, from + shownColumns) + (from + shownColumns < line.length ? '…' : '')
    column = (from > 0 ? '…' : '') + column.slice(from)
  }
  const label = `LINE ${lineNumber}: `
  return [label + shown.replaceAll('\t', ' '), ' '.repeat(label.length + textWidth(column)) + '^']
}
