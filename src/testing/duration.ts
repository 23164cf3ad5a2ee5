/**
 * Durations as tests write them: '200ms', '3s', '2m', '50us', or a number of milliseconds.
 *
 * Not here: calendars; the simulated clock counts microseconds.
 */
import { DbError } from '../base/index.ts'

/** `'200ms'`, `'1.5s'`, `'2m'`, `'50us'`, or a number of milliseconds. */
export type Duration = number | `${number}us` | `${number}ms` | `${number}s` | `${number}m`

const micros: Record<string, number> = { us: 1, ms: 1_000, s: 1_000_000, m: 60_000_000 }

/** Whole microseconds. Negative only where the caller allows it. Raises invalid_parameter_value. */
export function microsOf(duration: Duration, allowNegative = false): number {
  const match = typeof duration === 'number' ? undefined : /^(-?\d+(?:\.\d+)?)(us|ms|s|m)$/.exec(duration)
  const value = typeof duration === 'number' ? duration * 1_000 : Number(match?.[1]) * micros[match?.[2] ?? '']
  if (!Number.isFinite(value) || (value < 0 && !allowNegative)) {
    throw new DbError('invalid_parameter_value', `${JSON.stringify(duration)} is no duration`, {
      hint: "Write '200ms', '3s', '2m', or a number of milliseconds.",
    })
  }
  return Math.round(value)
}

/** The way it is shown in messages: '1.5s', '200ms'. */
export function formatMicros(value: number): string {
  if (value >= 1_000_000) return `${value / 1_000_000}s`
  return value >= 1_000 ? `${value / 1_000}ms` : `${value}us`
}
