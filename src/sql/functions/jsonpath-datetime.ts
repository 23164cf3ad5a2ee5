/**
 * Dates inside SQL/JSON paths: what .datetime() makes of a string, and how such items compare.
 *
 * Items of different types compare as dates become timestamps; comparing with and without a zone needs the *_tz
 * functions.
 * Not here: paths (jsonpath.ts), templates (to-timestamp.ts reads them).
 */
import { DbError } from '../../base/index.ts'
import { type Micros, midnight } from '../types/calendar.ts'
import { formatTimestampTz } from '../types/datetime-output.ts'
import { TimeTz } from '../types/datetime-types.ts'
import { builtinType } from '../types/registry.ts'
import { zoneOf } from '../types/time-zone.ts'
import type { TypeContext, Value } from '../types/type.ts'
import { toUtc } from './datetime.ts'
import { parseByTemplate } from './to-timestamp.ts'

export type DateTimeKind = 'date' | 'time' | 'timetz' | 'timestamp' | 'timestamptz'

const titles: Record<DateTimeKind, string> = {
  date: 'date',
  time: 'time without time zone',
  timetz: 'time with time zone',
  timestamp: 'timestamp without time zone',
  timestamptz: 'timestamp with time zone',
}
const oids: Record<DateTimeKind, number> = { date: 1082, time: 1083, timetz: 1266, timestamp: 1114, timestamptz: 1184 }

export class DateTimeItem {
  readonly kind: DateTimeKind
  readonly value: Value
  readonly text: string

  constructor(kind: DateTimeKind, value: Value, text: string) {
    this.kind = kind
    this.value = value
    this.text = text
  }

  get typeName(): string {
    return titles[this.kind]
  }
}

/** The ISO forms that .datetime() tries without a template. */
const forms: readonly (readonly [DateTimeKind, RegExp])[] = [
  ['date', /^\d{1,4}-\d{1,2}-\d{1,2}$/],
  ['timetz', /^\d{1,2}:\d{1,2}:\d{1,2}(\.\d+)?\s*[+-]\d{1,2}(:\d{1,2})?$/],
  ['time', /^\d{1,2}:\d{1,2}:\d{1,2}(\.\d+)?$/],
  ['timestamptz', /^\d{1,4}-\d{1,2}-\d{1,2}[ T]\d{1,2}:\d{1,2}:\d{1,2}(\.\d+)?\s*[+-]\d{1,2}(:\d{1,2})?$/],
  ['timestamp', /^\d{1,4}-\d{1,2}-\d{1,2}[ T]\d{1,2}:\d{1,2}:\d{1,2}(\.\d+)?$/],
]

export function readDateTime(text: string, template: string | undefined, context: TypeContext): DateTimeItem {
  if (template !== undefined) {
    const { kind, value, offset } = parseByTemplate(text, template)
    return new DateTimeItem(kind, value, show(kind, value, offset, context))
  }
  const form = forms.find(([, pattern]) => pattern.test(text))
  if (form === undefined) {
    throw new DbError(
      'invalid_argument_for_sql_json_datetime_function',
      `datetime format is not recognized: "${text}"`,
      {
        hint: 'Use a datetime template argument to specify the input data format.',
      },
    )
  }
  const [kind] = form
  const zone = /([+-])(\d{1,2})(?::(\d{1,2}))?$/.exec(kind.endsWith('tz') ? text : '')
  const offset = zone === null ? 0 : (zone[1] === '-' ? -1 : 1) * (Number(zone[2]) * 3600 + Number(zone[3] ?? 0) * 60)
  const value = builtinType(oids[kind]).parse(text, -1, context)
  return new DateTimeItem(kind, value, show(kind, value, offset, context))
}

/** ISO text; a timestamptz keeps the offset it was written with. */
function show(kind: DateTimeKind, value: Value, offset: number, context: TypeContext): string {
  if (kind !== 'timestamptz') {
    const text = builtinType(oids[kind]).format(value, context)
    return kind === 'timestamp' ? text.replace(' ', 'T') : kind === 'timetz' ? minutes(text) : text
  }
  const size = Math.abs(offset)
  const zone = zoneOf(
    `<z>${offset < 0 ? '' : '-'}${Math.floor(size / 3600)}:${String(Math.floor(size / 60) % 60).padStart(2, '0')}`,
  )
  return minutes(formatTimestampTz(value, zone).replace(' ', 'T'))
}

/** JSON writes the minutes of an offset always. */
function minutes(text: string): string {
  return text.replace(/([+-]\d\d)$/, '$1:00')
}

function asInstant(item: DateTimeItem, context: TypeContext): Micros {
  const local = item.kind === 'date' ? midnight(item.value) : item.value
  return item.kind === 'timestamptz' ? local : toUtc(local, zoneOf(context.timeZone))
}

function needZone(a: DateTimeItem, b: DateTimeItem): DbError {
  const [plain, zoned] = a.kind.endsWith('tz') ? [b, a] : [a, b]
  const message = `cannot convert value from ${plain.kind} to ${zoned.kind} without time zone usage`
  return new DbError('feature_not_supported', message, { hint: 'Use *_tz() function for time zone support.' })
}

/** The order of two items, null when they cannot be compared. */
export function compareDateTimes(
  a: DateTimeItem,
  b: DateTimeItem,
  zoned: boolean,
  context: TypeContext,
): number | null {
  if (a.kind === b.kind) return builtinType(oids[a.kind]).compare(a.value, b.value)
  const isTime = (item: DateTimeItem) => item.kind === 'time' || item.kind === 'timetz'
  if (isTime(a) !== isTime(b)) return null
  const mixed = a.kind.endsWith('tz') !== b.kind.endsWith('tz')
  if (mixed && !zoned) throw needZone(a, b)
  if (isTime(a)) {
    const east = zoneOf(context.timeZone).offsetAt(946_684_800)
    const lift = (item: DateTimeItem) => (item.kind === 'timetz' ? item.value : new TimeTz(item.value, 0 - east))
    return builtinType(oids.timetz).compare(lift(a), lift(b))
  }
  if (!mixed) {
    const local = (item: DateTimeItem): Micros => (item.kind === 'date' ? midnight(item.value) : item.value)
    const [x, y] = [local(a), local(b)]
    return x < y ? -1 : x > y ? 1 : 0
  }
  const [x, y] = [asInstant(a, context), asInstant(b, context)]
  return x < y ? -1 : x > y ? 1 : 0
}
