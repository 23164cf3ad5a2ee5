/**
 * Query parameters of requests, checked. Each reader answers undefined for an absent one and raises
 * invalid_parameter_value, which names the parameter, for a wrong one.
 *
 * Not here: positions (cursor.ts).
 */
import { DbError } from '../../base/index.ts'
import { temporal } from '../../sql/types/temporal.ts'

export type Query = Readonly<Record<string, string | readonly string[] | undefined>>

/** Raises for parameters that the route does not know: a misspelled one would be ignored in silence. */
export function onlyParameters(query: Query, ...known: readonly string[]): void {
  for (const name of Object.keys(query)) {
    if (known.includes(name)) continue
    throw wrong(name, 'is not known here', `Known are ${known.join(', ') || 'none'}.`)
  }
}

export function text(query: Query, name: string): string | undefined {
  const value = query[name]
  if (value === undefined || typeof value === 'string') return value
  throw wrong(name, 'is given more than once')
}

export function integer(query: Query, name: string, least: number, most: number): number | undefined {
  const given = text(query, name)
  if (given === undefined) return undefined
  const value = Number(given)
  if (/^[0-9]{1,16}$/.test(given) && value >= least && value <= most) return value
  throw wrong(name, `must be an integer from ${least} to ${most}, not "${given.slice(0, 80)}"`)
}

export function list(query: Query, name: string, most: number): string[] | undefined {
  const given = text(query, name)
  if (given === undefined) return undefined
  const values = given.split(',').filter((part) => part !== '')
  if (values.length > 0 && values.length <= most) return values
  throw wrong(name, `must name 1 to ${most}, parted by commas, not ${values.length}`)
}

/** Milliseconds since the Unix epoch, as such or as ISO 8601 with an offset. */
export function time(query: Query, name: string): number | undefined {
  const given = text(query, name)
  return given === undefined ? undefined : readTime(given, name)
}

/** @param name of the parameter or member that the time is of. */
export function readTime(given: unknown, name: string): number {
  const millis =
    typeof given === 'number'
      ? given
      : typeof given !== 'string'
        ? Number.NaN
        : /^[0-9]{1,16}$/.test(given)
          ? Number(given)
          : instant(given)
  if (Number.isSafeInteger(millis) && millis >= 0 && millis < 2 ** 48) return millis
  throw wrong(
    name,
    `must be a time, not ${JSON.stringify(given)?.slice(0, 80)}`,
    'Write milliseconds since 1970, or ISO 8601 with an offset: 2026-01-31T12:00:00Z.',
  )
}

function instant(given: string): number {
  try {
    return temporal().Instant.from(given).epochMilliseconds
  } catch {
    return Number.NaN
  }
}

export function wrong(name: string, message: string, hint?: string): DbError {
  return new DbError('invalid_parameter_value', `${name} ${message}`, { hint })
}
