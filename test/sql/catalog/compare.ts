/**
 * Answers of two servers made comparable: object ids, owners, times and internal trees stand for themselves no longer, rows
 * have an order.
 */
import { createHash } from 'node:crypto'
import type { Answer } from './run.ts'

/** What is kept of an answer: its columns and rows, or a digest where there are many. */
export interface Kept {
  readonly error?: string
  readonly columns?: string
  readonly count?: number
  readonly rows?: readonly string[]
  readonly digest?: string
}

const manyRows = 40

function cell(value: string | null): string {
  if (value === null) return '∅'
  const text = String(value)
  if (/^\(?\{[A-Z]+ :|^\[?\{"kind"|^\{"view"/.test(text)) return '<tree>'
  return text
    .replace(/\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?(\+\d\d)?/g, '<time>')
    .replace(/\b(1[3-9]\d{3}|[2-9]\d{4}|[1-4]\d{9})\b/g, '<oid>')
    .replace(/\b(postgres|lattice)\b/g, '<owner>')
    .replaceAll('C.UTF-8', 'C')
    .replace(/^PostgreSQL 15.*/, '<version>')
}

export function normalRows(answer: Answer): string[] {
  return (answer.rows ?? []).map((row) => row.map(cell).join(' │ ')).sort()
}

export function kept(answer: Answer): Kept {
  if (answer.error !== undefined) return { error: answer.error }
  const rows = normalRows(answer)
  const columns = answer.columns!.join(',')
  if (rows.length <= manyRows) return { columns, rows }
  return {
    columns,
    count: rows.length,
    digest: createHash('sha256').update(rows.join('\n')).digest('hex').slice(0, 16),
  }
}

export function same(a: Kept, b: Kept): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
