/** Differences that are known and meant, each with its reason. */
import type { Answer } from './databases.ts'

interface Explanation {
  readonly reason: string
  matches(sql: string, ours: Answer, theirs: Answer): boolean
}

export const explanations: readonly Explanation[] = [
  {
    reason:
      'Both refuse the statement; which of several errors comes first depends on the order of evaluation, which SQL leaves open.',
    matches: (_sql, ours, theirs) =>
      ours.error !== undefined && theirs.error !== undefined && isData(ours.error.code) && isData(theirs.error.code),
  },
  {
    reason: 'PostgreSQL 18 has infinite intervals; we are 15, where they are refused.',
    matches: (_sql, ours) =>
      /cannot (subtract|add) infinite|cannot subtract infinite timestamps|interval out of range|invalid input syntax for type interval: "-?infinity"/.test(
        ours.error?.message ?? '',
      ),
  },
  {
    reason: 'date_trunc of an infinite timestamp looks at its unit since PostgreSQL 17 only.',
    matches: (sql, _ours, theirs) =>
      sql.includes('date_trunc') && /^unit ".*" not recognized/.test(theirs.error?.message ?? ''),
  },
  {
    reason: 'Casts and functions that came after PostgreSQL 15.',
    matches: (_sql, ours) =>
      /cannot cast type (bytea to (integer|smallint|bigint)|(integer|smallint|bigint) to bytea)|function (pg_catalog\.)?jsonb?_strip_nulls\(\w+, /.test(
        ours.error?.message ?? '',
      ),
  },
  {
    reason:
      'PostgreSQL reads an untyped literal while it resolves the rest; we report first that no operator or function fits.',
    matches: (_sql, ours, theirs) =>
      /^42(883|846|804|725)$/.test(ours.error?.code ?? '') &&
      /^22(007|008|015|P02|P03|023)$/.test(theirs.error?.code ?? '') &&
      !/-- /.test(theirs.error!.message),
  },
]

/** Errors of values, raised while rows are computed. */
function isData(code: string): boolean {
  return code.startsWith('22') || code === '0A000'
}

export const counts = new Map<string, number>()

export function explained(sql: string, ours: Answer, theirs: Answer): boolean {
  for (const e of explanations) {
    if (ours.error?.code === theirs.error?.code && ours.error !== undefined) return false
    if (!e.matches(sql, ours, theirs)) continue
    counts.set(e.reason, (counts.get(e.reason) ?? 0) + 1)
    return true
  }
  return false
}
