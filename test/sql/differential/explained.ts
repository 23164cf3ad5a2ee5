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
      sql.includes('date_trunc') && /^(unit|time zone) ".*" not recognized/.test(theirs.error?.message ?? ''),
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
      /^22/.test(theirs.error?.code ?? '') &&
      !/-- /.test(theirs.error!.message),
  },
  {
    reason:
      'NULL either way: how much of an expression is computed before a NULL decides it, is left open; PostgreSQL also folds constants first.',
    matches: (_sql, ours, theirs) =>
      (isData(ours.error?.code ?? '') && allNull(theirs)) || (isData(theirs.error?.code ?? '') && allNull(ours)),
  },
  {
    reason:
      'PostgreSQL computes constants while it plans, also in branches that are never taken, and plans with lifted literals do not.',
    matches: (sql, ours, theirs) =>
      /\b(case|coalesce|nullif|and|or)\b/.test(sql) &&
      (ours.error === undefined) !== (theirs.error === undefined) &&
      isData((ours.error ?? theirs.error)!.code),
  },
  {
    reason: 'jsonb null becomes NULL in casts since PostgreSQL 18.',
    matches: (_sql, ours) => ours.error?.message.startsWith('cannot cast jsonb null to type') === true,
  },
  {
    reason:
      'The number of digits of a numeric power differs in the last place where the result is near a power of ten.',
    matches: (sql, ours, theirs) =>
      /\^|pow/.test(sql) && ours.error === undefined && theirs.error === undefined && sameNumbers(ours, theirs),
  },
  {
    reason: 'Basic regular expressions (flag b) are refused by name.',
    matches: (_sql, ours) => ours.error?.message === 'basic regular expressions are not supported',
  },
  {
    reason: 'PostgreSQL takes more texts for POSIX time zones: fractions of a second, numbers followed by words.',
    matches: (_sql, ours) => /^time zone ".*\d.*" not recognized/.test(ours.error?.message ?? ''),
  },
  {
    reason:
      'Which of several equal numerics of different scales stands for them all is left open (groups, set operations, min and max).',
    matches: (sql, ours, theirs) =>
      /union|intersect|except|distinct|group by|min\(|max\(|using/.test(sql) &&
      ours.error === undefined &&
      theirs.error === undefined &&
      plain(ours) === plain(theirs),
  },
  {
    reason: 'Text is written in UTF8 and LATIN1 only.',
    matches: (_sql, ours) => /^conversion to encoding ".*" is not supported/.test(ours.error?.message ?? ''),
  },
]

/** Errors of values, raised while rows are computed. */
function isData(code: string): boolean {
  return code.startsWith('22') || code === '0A000'
}

function allNull(a: Answer): boolean {
  return a.error === undefined && a.rows.every((r) => r.every((v) => v === null))
}

function sameNumbers(a: Answer, b: Answer): boolean {
  const number = (v: string | null) => (v === null ? 0 : Number(v))
  const near = (x: number, y: number) => x === y || Math.abs(x - y) <= 1e-12 * Math.abs(y) || Math.abs(x - y) < 1e-15
  return (
    a.rows.length === b.rows.length && a.rows.every((r, i) => r.every((v, k) => near(number(v), number(b.rows[i][k]))))
  )
}

/** The rows in one order, numbers without the zeros that end them. */
function plain(a: Answer): string {
  return a.rows
    .map((r) => JSON.stringify(r.map((v) => (v !== null && /^-?\d+\.\d+$/.test(v) ? v.replace(/\.?0+$/, '') : v))))
    .sort()
    .join()
}

export const counts = new Map<string, number>()

export function explained(sql: string, ours: Answer, theirs: Answer): boolean {
  if (JSON.stringify(ours) === JSON.stringify(theirs)) return false
  for (const e of explanations) {
    if (ours.error?.code === theirs.error?.code && ours.error !== undefined) return false
    if (!e.matches(sql, ours, theirs)) continue
    counts.set(e.reason, (counts.get(e.reason) ?? 0) + 1)
    return true
  }
  return false
}
