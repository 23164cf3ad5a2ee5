/**
 * What a view keeps of each key: its state, and which events it is made of.
 *
 * Not here: where it is kept (build-space.ts), how it moves on (folding.ts).
 */
import type { Mark } from './space-keys.ts'

/** The state after some events of a key, as text: what snapshots are. */
export interface Snapshot {
  /** JSON. */
  readonly state: string
  /** Events folded in. */
  readonly count: number
  /** The last of them, in the order in which they happened; '' when there is none. */
  readonly last: Mark
  /** For each store the greatest position among them, in the order of the view's stores. */
  readonly reach: readonly number[]
  /** For each store the least position since the snapshot before: nothing of a time before it is there. */
  readonly least: readonly number[]
}

/** The present state of a key. */
export interface KeyRecord extends Snapshot {
  /** JSON of what readers get; undefined when no event is left, or none came. */
  readonly answer: string | undefined
  /** Events and bytes folded since the newest snapshot. */
  readonly since: number
  readonly sinceBytes: number
  /** Number of the newest change of the answer, and of the newest that was a correction; 0 when there was none. */
  readonly sequence: number
  readonly corrected: number
  /** JSON of what readers got before the newest correction, unless it was an erasure. */
  readonly before: string | undefined
  /** For each store the position that brought the newest change. */
  readonly changedAt: readonly number[]
}

/** How far a build is. */
export interface Progress {
  /** For each store whose it is, and up to which position its events are folded in. */
  readonly stores: readonly { store: string; incarnation: string; position: number }[]
  /** While a new build reads what was there at its beginning, in the order in which it happened: up to where. */
  readonly scan: Mark | undefined
  /** The last event folded in, in the order in which they happened. */
  readonly tip: Mark
  /** Number of the newest change. */
  readonly sequence: number
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export function encodeText(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value))
}
export function decodeText<T>(bytes: Uint8Array): T {
  return JSON.parse(decoder.decode(bytes)) as T
}

/** Texts inside of texts would be escaped: they are kept as JSON within JSON, and come out as they went in. */
export function encodeSnapshot(s: Snapshot): Uint8Array {
  return encoder.encode(
    `{"count":${s.count},"last":"${s.last}","reach":${JSON.stringify(s.reach)},"least":${JSON.stringify(s.least)},"state":${s.state}}`,
  )
}
export function decodeSnapshot(bytes: Uint8Array): Snapshot {
  const read = decodeText<Snapshot & { state: unknown }>(bytes)
  return { ...read, state: JSON.stringify(read.state) }
}

export function encodeKeyRecord(r: KeyRecord): Uint8Array {
  const { state, answer, before, ...rest } = r
  const parts = [`"state":${state}`]
  // Most often readers get the state itself.
  if (answer === undefined) parts.push('"gone":true')
  else if (answer !== state) parts.push(`"answer":${answer}`)
  if (before !== undefined) parts.push(`"before":${before}`)
  return encoder.encode(`${JSON.stringify(rest).slice(0, -1)},${parts.join(',')}}`)
}
export function decodeKeyRecord(bytes: Uint8Array): KeyRecord {
  const { gone, ...read } = decodeText<any>(bytes)
  const state = JSON.stringify(read.state)
  const answer = gone ? undefined : 'answer' in read ? JSON.stringify(read.answer) : state
  return { ...read, state, answer, before: 'before' in read ? JSON.stringify(read.before) : undefined }
}
