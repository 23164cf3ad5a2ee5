/**
 * Writes dates and times in ISO style: 2024-02-29 12:34:56.789+02, years before 1 with " BC" at the end.
 *
 * Not here: to_char (functions), reading (datetime-input.ts).
 */
import { type Civil, civilOf, dayOf, type Micros, microsOf, timeOf } from './calendar.ts'
import { unixSecondsOf, type Zone } from './time-zone.ts'

const civil: Civil = { year: 0, month: 0, day: 0 }
const twoDigits = Array.from({ length: 100 }, (_, i) => (i < 10 ? `0${i}` : String(i)))

function infinity(value: Micros): string {
  return value > 0 ? 'infinity' : '-infinity'
}

/** YYYY-MM-DD of a finite day; the era is the caller's. */
function dayText(days: number): string {
  civilOf(days, civil)
  const year = civil.year > 0 ? civil.year : 1 - civil.year
  const shown = year > 999 ? String(year) : String(year).padStart(4, '0')
  return `${shown}-${twoDigits[civil.month]}-${twoDigits[civil.day]}`
}

export function formatDate(days: number): string {
  if (!Number.isFinite(days)) return infinity(days)
  const text = dayText(days)
  return civil.year > 0 ? text : `${text} BC`
}

/** hh:mm:ss[.f] of microseconds since midnight. */
export function formatTime(micros: number): string {
  const seconds = Math.floor(micros / 1e6)
  const fraction = micros - seconds * 1e6
  const minutes = (seconds / 60) | 0
  const hours = (minutes / 60) | 0
  const text = `${twoDigits[hours]}:${twoDigits[minutes - hours * 60]}:${twoDigits[seconds - minutes * 60]}`
  if (fraction === 0) return text
  return `${text}.${String(fraction).padStart(6, '0').replace(/0+$/, '')}`
}

/** +hh[:mm[:ss]] of seconds east of UTC. */
export function formatOffset(seconds: number): string {
  const size = Math.abs(seconds)
  const hours = (size / 3600) | 0
  const minutes = ((size / 60) | 0) % 60
  const rest = size % 60
  let text = (seconds < 0 ? '-' : '+') + twoDigits[hours]
  if (minutes !== 0 || rest !== 0) text += `:${twoDigits[minutes]}`
  if (rest !== 0) text += `:${twoDigits[rest]}`
  return text
}

export function formatTimestamp(value: Micros): string {
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) return infinity(value)
  const day = dayOf(value)
  const text = `${dayText(day)} ${formatTime(timeOf(value, day))}`
  return civil.year > 0 ? text : `${text} BC`
}

/** The local time that a zone shows at an instant: as a timestamp, and the offset in seconds. */
export function localTime(value: Micros, zone: Zone): { local: Micros; offset: number } {
  const offset = zone.offsetAt(unixSecondsOf(value))
  if (offset === 0) return { local: value, offset }
  const day = dayOf(value)
  return { local: microsOf(day, timeOf(value, day) + offset * 1e6), offset }
}

export function formatTimestampTz(value: Micros, zone: Zone): string {
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) return infinity(value)
  const { local, offset } = localTime(value, zone)
  const day = dayOf(local)
  const text = `${dayText(day)} ${formatTime(timeOf(local, day))}${formatOffset(offset)}`
  return civil.year > 0 ? text : `${text} BC`
}
