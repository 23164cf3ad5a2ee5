/**
 * Words of date and time input: months, weekdays, special values, and abbreviations of time zones.
 *
 * Source: PostgreSQL's default set of zone abbreviations (pg_timezone_abbrevs).
 * Not here: units of intervals (interval-input.ts), named zones (time-zone.ts).
 */
import abbreviationFile from '../catalog/data/pg_timezone_abbrevs.json' with { type: 'json' }
import { catalogCells } from './catalog-table.ts'

export const monthNames = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]
export const weekdayNames = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

export type DateWord =
  | { readonly kind: 'month' | 'weekday' | 'zone' | 'meridian' | 'era'; readonly value: number }
  | { readonly kind: 'now' | 'today' | 'tomorrow' | 'yesterday' | 'epoch' | 'infinity' | '-infinity' | 'allballs' }
  | { readonly kind: 'ignored' | 'iso-time' | 'julian' | 'dst' }

const words = new Map<string, DateWord>()

monthNames.forEach((name, i) => {
  const word: DateWord = { kind: 'month', value: i + 1 }
  words.set(name.toLowerCase().slice(0, 10), word)
  words.set(name.slice(0, 3).toLowerCase(), word)
})
words.set('sept', { kind: 'month', value: 9 })
weekdayNames.forEach((name, i) => {
  words.set(name.toLowerCase(), { kind: 'weekday', value: i })
  words.set(name.slice(0, 3).toLowerCase(), { kind: 'weekday', value: i })
})
for (const [name, value] of [
  ['tues', 2],
  ['wed', 3],
  ['weds', 3],
  ['thur', 4],
  ['thurs', 4],
] as const) {
  words.set(name, { kind: 'weekday', value })
}
for (const kind of ['now', 'today', 'tomorrow', 'yesterday', 'epoch', 'infinity', '-infinity', 'allballs'] as const) {
  words.set(kind, { kind })
}
words.set('inf', { kind: 'infinity' })
words.set('-inf', { kind: '-infinity' })
words.set('+infinity', { kind: 'infinity' })
words.set('am', { kind: 'meridian', value: 0 })
words.set('pm', { kind: 'meridian', value: 12 })
words.set('ad', { kind: 'era', value: 1 })
words.set('bc', { kind: 'era', value: -1 })
words.set('at', { kind: 'ignored' })
words.set('on', { kind: 'ignored' })
words.set('t', { kind: 'iso-time' })
words.set('j', { kind: 'julian' })
words.set('jd', { kind: 'julian' })
words.set('julian', { kind: 'julian' })
words.set('dst', { kind: 'dst' })

const zones = new Map<string, DateWord>()
for (const row of abbreviationFile.rows) {
  const [name, seconds] = catalogCells(row)
  zones.set(name!.toLowerCase(), { kind: 'zone', value: Number(seconds) })
}

/** Seconds east of UTC that a zone abbreviation means, or undefined. */
export function zoneAbbreviation(word: string): number | undefined {
  const found = zones.get(word.toLowerCase())
  return found?.kind === 'zone' ? found.value : undefined
}

/** The word of lower-case input text, zones first. Words are told apart by their first ten letters. */
export function dateWord(text: string): DateWord | undefined {
  return zones.get(text) ?? words.get(text) ?? words.get(text.slice(0, 10))
}

/** Whether the word is one of the fixed ones (not a zone). */
export function isCoreWord(text: string): boolean {
  return words.has(text)
}
