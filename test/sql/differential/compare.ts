/** Whether two answers are the same: types, rows as a multiset (or in order), floats within rounding, SQLSTATEs. */
import type { Answer } from './databases.ts'
import { explained } from './explained.ts'

const floats = new Set([700, 701, 1021, 1022])

/** PostgreSQL sends a column of unknown type as text; what differs in types is named. */
export function difference(sql: string, ours: Answer, theirs: Answer): string | undefined {
  if (explained(sql, ours, theirs)) return undefined
  if (ours.error !== undefined || theirs.error !== undefined) {
    if (ours.error?.code === theirs.error?.code) return undefined
    return `ours ${say(ours)}, PostgreSQL ${say(theirs)}`
  }
  if (ours.types.join() !== theirs.types.join())
    return `types ${ours.types.join()} but PostgreSQL's ${theirs.types.join()}`
  if (ours.rows.length !== theirs.rows.length) return `${ours.rows.length} rows but PostgreSQL's ${theirs.rows.length}`
  const a = keyed(ours)
  const b = keyed(theirs)
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return `row ${a[i]} but PostgreSQL's ${b[i]}`
  return undefined
}

function say(a: Answer): string {
  return a.error !== undefined
    ? `${a.error.code} ${a.error.message}`
    : `${a.rows.length} rows ${JSON.stringify(a.rows.slice(0, 2))}`
}

function keyed(a: Answer): string[] {
  return a.rows
    .map((r) => JSON.stringify(r.map((v, i) => (v !== null && floats.has(a.types[i]) ? rounded(v, a.types[i]) : v))))
    .sort()
}

/** Sums of floats depend on the order of rows: the last digits are not compared. */
function rounded(text: string, type: number): string {
  const digits = type === 700 || type === 1021 ? 5 : 12
  return text.replaceAll(/-?\d+(\.\d+)?(e[+-]?\d+)?/g, (n) => Number(n).toPrecision(digits))
}
