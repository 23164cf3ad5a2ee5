/**
 * Time zones: how far a zone is from UTC at an instant, and which instant a local time means.
 *
 * A named zone keeps a table of its transitions (from Temporal, that is the IANA data of the runtime), built on first
 * use; beyond the table Temporal is asked. A local time that a jump forward skips is read with the offset before the
 * jump; one that a jump back repeats is read with the offset after it, as PostgreSQL does.
 *
 * Names are IANA names in any case, or POSIX ("<+02>-02", "XYZ3": the sign counts west of Greenwich).
 * Not here: abbreviations in input (abbreviations.ts), the setting (the session's).
 */
import { DbError } from '../../base/index.ts'
import { type Micros, unixEpochSeconds } from './calendar.ts'
import { temporal } from './temporal.ts'

export interface Zone {
  readonly name: string
  /** Seconds east of UTC at an instant: seconds since 1970 UTC, need not be whole. */
  offsetAt(unixSeconds: number): number
  /** Seconds east of UTC that a local time has: seconds since 1970 as if local were UTC. */
  offsetOfLocal(localSeconds: number): number
  /** "CET", or the offset where the zone has no name for itself. */
  abbreviation(unixSeconds: number): string
  /** Whether daylight saving time is on. */
  isDst(unixSeconds: number): boolean
}

class FixedZone implements Zone {
  readonly name: string
  readonly #offset: number
  readonly #label: string

  constructor(name: string, offset: number, label: string) {
    this.name = name
    this.#offset = offset
    this.#label = label
  }

  offsetAt(): number {
    return this.#offset
  }

  offsetOfLocal(): number {
    return this.#offset
  }

  abbreviation(): string {
    return this.#label
  }

  isDst(): boolean {
    return false
  }
}

/** Rules of the last decades repeat, so a table to 2100 serves; later instants ask Temporal. */
const tableEnd = 4_102_444_800
const tableStart = -5_000_000_000

class NamedZone implements Zone {
  readonly name: string
  #starts: number[] | undefined
  #offsets: number[] = []
  #format: Intl.DateTimeFormat | undefined

  constructor(name: string) {
    this.name = name
  }

  #load(): number[] {
    const starts: number[] = [Number.NEGATIVE_INFINITY]
    let at: Temporal.ZonedDateTime | null = zonedAt(tableStart, this.name)
    this.#offsets = [at.offsetNanoseconds / 1e9]
    for (;;) {
      at = at.getTimeZoneTransition('next')
      if (at === null || at.epochMilliseconds / 1000 > tableEnd) break
      starts.push(at.epochMilliseconds / 1000)
      this.#offsets.push(at.offsetNanoseconds / 1e9)
    }
    this.#starts = starts
    return starts
  }

  offsetAt(unixSeconds: number): number {
    const starts = this.#starts ?? this.#load()
    if (unixSeconds > tableEnd && this.#offsets.length > 1) {
      if (unixSeconds > 8.6e12) return this.#offsets[this.#offsets.length - 1]
      return zonedAt(unixSeconds, this.name).offsetNanoseconds / 1e9
    }
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (starts[middle] <= unixSeconds) low = middle
      else high = middle - 1
    }
    return this.#offsets[low]
  }

  offsetOfLocal(localSeconds: number): number {
    // Both candidates, from well before and well after: equal unless a transition is near.
    const before = this.offsetAt(localSeconds - 86400)
    const after = this.offsetAt(localSeconds + 86400)
    if (before === after) {
      const here = this.offsetAt(localSeconds - before)
      if (here === before) return before
      return this.offsetAt(localSeconds - here) === here ? here : before
    }
    const withBefore = this.offsetAt(localSeconds - before) === before
    const withAfter = this.offsetAt(localSeconds - after) === after
    if (withBefore && withAfter) return after
    if (withBefore) return before
    return withAfter ? after : before
  }

  abbreviation(unixSeconds: number): string {
    if (this.offsetAt(unixSeconds) % 900 !== 0) return 'LMT'
    const key = `${this.offsetAt(unixSeconds) / 3600}${this.isDst(unixSeconds) ? 'd' : ''}`
    const known = regional.find(([pattern]) => pattern.test(this.name))?.[1][key]
    if (known !== undefined) return known
    this.#format ??= new Intl.DateTimeFormat('en-US', { timeZone: this.name, timeZoneName: 'short' })
    const parts = this.#format.formatToParts(unixSeconds * 1000)
    const short = parts.find((part) => part.type === 'timeZoneName')!.value
    return /^GMT[+-]/.test(short) ? offsetLabel(this.offsetAt(unixSeconds)) : short
  }

  isDst(unixSeconds: number): boolean {
    const offset = this.offsetAt(unixSeconds)
    const halfYear = 15_778_800
    return offset > Math.min(this.offsetAt(unixSeconds - halfYear), this.offsetAt(unixSeconds + halfYear))
  }
}

function zonedAt(unixSeconds: number, zone: string): Temporal.ZonedDateTime {
  return new (temporal().ZonedDateTime)(BigInt(Math.floor(unixSeconds)) * 1_000_000_000n, zone)
}

/** Letters of zones that the runtime's locale data shows as an offset only. */
const regional: readonly (readonly [RegExp, Record<string, string>])[] = [
  [
    /^(America\/(New_York|Toronto|Detroit|Montreal|Indiana\/.*|Kentucky\/.*)|US\/Eastern|EST5EDT)$/,
    { '-5': 'EST', '-4d': 'EDT' },
  ],
  [/^(America\/(Chicago|Winnipeg|Menominee|Mexico_City)|US\/Central|CST6CDT)$/, { '-6': 'CST', '-5d': 'CDT' }],
  [/^(America\/(Denver|Boise|Edmonton|Phoenix)|US\/Mountain|MST7MDT)$/, { '-7': 'MST', '-6d': 'MDT' }],
  [/^(America\/(Los_Angeles|Vancouver|Tijuana)|US\/Pacific|PST8PDT)$/, { '-8': 'PST', '-7d': 'PDT' }],
  [/^Europe\/(London|Belfast|Guernsey|Isle_of_Man|Jersey)$|^GB/, { '0': 'GMT', '1d': 'BST' }],
  [/^Europe\/Dublin$/, { '0': 'GMT', '1d': 'IST' }],
  [/^Europe\/(Moscow|Simferopol|Kirov|Volgograd)$/, { '3': 'MSK' }],
  [/^Europe\//, { '0': 'WET', '1d': 'WEST', '1': 'CET', '2d': 'CEST', '2': 'EET', '3d': 'EEST' }],
  [/^(CET|MET|EET|WET)$/, { '0': 'WET', '1d': 'WEST', '1': 'CET', '2d': 'CEST', '2': 'EET', '3d': 'EEST' }],
  [/^Asia\/(Tokyo|Seoul|Pyongyang)$/, { '9': 'JST' }],
  [/^Asia\/(Kolkata|Calcutta)$/, { '5.5': 'IST' }],
  [/^Asia\/(Shanghai|Taipei|Macau|Hong_Kong)$/, { '8': 'CST' }],
  [/^Asia\/(Jerusalem|Tel_Aviv)$/, { '2': 'IST', '3d': 'IDT' }],
  [/^Australia\/(Sydney|Melbourne|Hobart|Brisbane|Canberra)$/, { '10': 'AEST', '11d': 'AEDT' }],
  [/^Australia\/Perth$/, { '8': 'AWST' }],
  [/^Australia\/(Adelaide|Darwin)$/, { '9.5': 'ACST', '10.5d': 'ACDT' }],
  [/^Pacific\/Auckland$/, { '12': 'NZST', '13d': 'NZDT' }],
  [/^Africa\/(Johannesburg|Maseru|Mbabane)$/, { '2': 'SAST' }],
  [/^Africa\/(Cairo|Tripoli)$/, { '2': 'EET', '3d': 'EEST' }],
  [/^Africa\/(Lagos|Kinshasa|Luanda)$/, { '1': 'WAT' }],
  [/^Africa\/(Nairobi|Addis_Ababa)$/, { '3': 'EAT' }],
]

function offsetLabel(offset: number): string {
  const size = Math.abs(offset)
  const two = (n: number) => String(n).padStart(2, '0')
  const minutes = Math.floor(size / 60) % 60
  return `${offset < 0 ? '-' : '+'}${two(Math.floor(size / 3600))}${minutes === 0 ? '' : two(minutes)}`
}

const zones = new Map<string, Zone | undefined>()
const posixPattern = /^(<[^<>]+>|[A-Za-z]{3,}|)([+-]?)(\d{1,3})(?::(\d{2}))?(?::(\d{2}))?$/

/** The zone of a name, or undefined. */
export function findZone(name: string): Zone | undefined {
  const cached = zones.get(name)
  if (cached !== undefined || zones.has(name)) return cached
  const zone = openZone(name)
  if (zones.size < 2000) zones.set(name, zone)
  return zone
}

function openZone(name: string): Zone | undefined {
  const lower = name.toLowerCase()
  if (lower === 'utc' || lower === 'gmt' || lower === 'zulu' || lower === 'uct' || lower === 'etc/utc') {
    return new FixedZone(name, 0, lower === 'gmt' ? 'GMT' : 'UTC')
  }
  const posix = posixPattern.exec(name)
  if (posix !== null) {
    const seconds = Number(posix[3]) * 3600 + Number(posix[4] ?? 0) * 60 + Number(posix[5] ?? 0)
    if (seconds > 167 * 3600) return undefined
    const offset = posix[2] === '-' ? seconds : 0 - seconds
    return new FixedZone(name, offset, posix[1].replace(/[<>]/g, '') || offsetLabel(offset))
  }
  if (!/^[A-Za-z]/.test(name)) return undefined
  try {
    const probe = new (temporal().ZonedDateTime)(0n, name)
    return probe.timeZoneId === 'UTC' ? new FixedZone(name, 0, 'UTC') : new NamedZone(probe.timeZoneId)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** Raises invalid_parameter_value for a name that is no zone. */
export function zoneOf(name: string): Zone {
  const zone = findZone(name)
  if (zone === undefined) throw new DbError('invalid_parameter_value', `time zone "${name}" not recognized`)
  return zone
}

/** Whole seconds since 1970 of a finite timestamp, rounded down. */
export function unixSecondsOf(micros: Micros): number {
  if (typeof micros === 'number') return Math.floor(micros / 1e6) + unixEpochSeconds
  const quotient = micros / 1_000_000n
  return Number(micros < 0n && quotient * 1_000_000n !== micros ? quotient - 1n : quotient) + unixEpochSeconds
}
