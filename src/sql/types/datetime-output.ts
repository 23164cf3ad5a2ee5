/**
 * Writes dates and times in ISO style: 2024-02-29 12:34:56.789+02, years before 1 with " BC" at the end.
 *
 * Not here: to_char (functions), reading (datetime-input.ts).
 */
import type { ByteWriter } from '../../encoding/index.ts'
import { type Civil, civilOf, dayMicros, dayOf, type Micros, microsOf, timeOf, unixEpochSeconds } from './calendar.ts'
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

function writeTwo(b: Uint8Array, at: number, value: number): number {
  const tens = (value / 10) | 0
  b[at] = 0x30 + tens
  b[at + 1] = 0x30 + value - tens * 10
  return at + 2
}

/** YYYY-MM-DD of years 1 to 9999 into a buffer; returns the end, or -1 for other years. */
function writeDay(b: Uint8Array, at: number, days: number): number {
  civilOf(days, civil)
  const year = civil.year
  if (year < 1 || year > 9999) return -1
  const century = (year / 100) | 0
  let end = writeTwo(b, writeTwo(b, at, century), year - century * 100)
  b[end++] = 0x2d
  end = writeTwo(b, end, civil.month)
  b[end++] = 0x2d
  return writeTwo(b, end, civil.day)
}

/** hh:mm:ss[.f] into a buffer; returns the end. */
function writeClock(b: Uint8Array, at: number, micros: number): number {
  const seconds = Math.floor(micros / 1e6)
  let fraction = micros - seconds * 1e6
  const minutes = (seconds / 60) | 0
  const hours = (minutes / 60) | 0
  let end = writeTwo(b, at, hours)
  b[end++] = 0x3a
  end = writeTwo(b, end, minutes - hours * 60)
  b[end++] = 0x3a
  end = writeTwo(b, end, seconds - minutes * 60)
  if (fraction === 0) return end
  b[end++] = 0x2e
  for (let unit = 100_000; fraction > 0; unit /= 10) {
    const digit = (fraction / unit) | 0
    b[end++] = 0x30 + digit
    fraction -= digit * unit
  }
  return end
}

/** As formatDate, into a writer. */
export function writeDate(days: number, out: ByteWriter): void {
  out.reserve(10)
  const end = Number.isFinite(days) ? writeDay(out.buffer, out.length, days) : -1
  if (end < 0) out.utf8(formatDate(days))
  else out.length = end
}

/** As formatTime, into a writer. */
export function writeTime(micros: number, out: ByteWriter): void {
  out.reserve(16)
  out.length = writeClock(out.buffer, out.length, micros)
}

/** As formatTimestamp, or formatTimestampTz when there is a zone, into a writer. */
export function writeTimestamp(value: Micros, zone: Zone | undefined, out: ByteWriter): void {
  if (typeof value === 'number' && Number.isFinite(value)) {
    const offset = zone === undefined ? 0 : zone.offsetAt(Math.floor(value / 1e6) + unixEpochSeconds)
    const local = value + offset * 1e6
    const day = dayOf(local)
    out.reserve(36)
    const b = out.buffer
    let end = writeDay(b, out.length, day)
    if (end >= 0 && offset % 60 === 0) {
      b[end++] = 0x20
      end = writeClock(b, end, local - day * dayMicros)
      if (zone !== undefined) end = writeOffset(b, end, offset)
      out.length = end
      return
    }
  }
  out.utf8(zone === undefined ? formatTimestamp(value) : formatTimestampTz(value, zone))
}

/** +hh[:mm]; whole minutes only. */
function writeOffset(b: Uint8Array, at: number, seconds: number): number {
  const minutes = Math.abs(seconds) / 60
  const hours = (minutes / 60) | 0
  b[at] = seconds < 0 ? 0x2d : 0x2b
  const end = writeTwo(b, at + 1, hours)
  if (minutes === hours * 60) return end
  b[end] = 0x3a
  return writeTwo(b, end + 1, minutes - hours * 60)
}
