/**
 * One build of a view where it is kept: a version's states, snapshots, events and newest changes. It can be read without
 * the view's code, so that an old version answers while its successor is being built.
 *
 * Not here: how builds come about (builder.ts), the keys (space-keys.ts).
 */
import type { Change, OrderedMap } from '../ordered-map.ts'
import type { EventParts } from './item.ts'
import * as keys from './space-keys.ts'
import type { KeyRecord, Progress, Snapshot } from './view-record.ts'
import { decodeKeyRecord, decodeSnapshot, decodeText, encodeText } from './view-record.ts'

/** That an event was folded in: into which key, and itself when the view can retract it. */
export interface Applied {
  readonly key: string
  readonly event: EventParts | undefined
}

const page = 256

export class BuildSpace {
  readonly map: OrderedMap
  readonly build: number

  constructor(map: OrderedMap, build: number) {
    this.map = map
    this.build = build
  }

  async progress(): Promise<Progress | undefined> {
    const [found] = await this.map.get([keys.progressKey(this.build)])
    return found && decodeText<Progress>(found)
  }

  async records(names: readonly string[]): Promise<(KeyRecord | undefined)[]> {
    const found = await this.map.get(names.map((n) => keys.stateKey(this.build, n)))
    return found.map((bytes) => bytes && decodeKeyRecord(bytes))
  }

  /** Keys that have an answer, ascending by their UTF-8, from `from` on, or behind `behind`. */
  async entries(options: {
    from?: string
    behind?: string
    limit: number
  }): Promise<{ key: string; record: KeyRecord }[]> {
    const out: { key: string; record: KeyRecord }[] = []
    const { to } = keys.kindRange(this.build, 's')
    let from = keys.stateKey(this.build, options.from ?? '')
    if (options.behind !== undefined) from = keys.after(keys.stateKey(this.build, options.behind))
    while (out.length < options.limit) {
      const found = await this.map.scan({ from, to, limit: page })
      for (const { key, value } of found) {
        const record = decodeKeyRecord(value)
        if (record.answer !== undefined && out.length < options.limit) out.push({ key: keys.keyOfState(key), record })
      }
      if (found.length < page) break
      from = keys.after(found[found.length - 1].key)
    }
    return out
  }

  /** Keys changed after a change's number, oldest change first, with what they are now. */
  async changed(after: number, limit: number): Promise<{ sequence: number; key: string; record: KeyRecord }[]> {
    const { to } = keys.kindRange(this.build, 'f')
    const found = await this.map.scan({ from: keys.feedKey(this.build, after + 1), to, limit })
    const names = found.map((e) => decodeText<string>(e.value))
    const records = await this.records(names)
    return names.map((key, i) => ({ sequence: keys.sequenceOfFeed(found[i].key), key, record: records[i]! }))
  }

  /** Snapshots of a key behind a mark, up to the end, at most `limit`. */
  async snapshotsBehind(key: string, mark: keys.Mark, limit: number): Promise<Snapshot[]> {
    const from = keys.keyedMark(this.build, 'n', key, mark)
    const to = keys.keyedMark(this.build, 'n', key, keys.lastMark)
    const found = await this.map.scan({ from: mark === keys.firstMark ? from : keys.after(from), to, limit })
    return found.map((e) => decodeSnapshot(e.value))
  }

  /** Snapshots of a key from `from` (inclusive) to `to` (exclusive) backwards, at most `limit`. */
  async snapshots(key: string, from: keys.Mark, to: keys.Mark, limit: number): Promise<Snapshot[]> {
    const found = await this.map.scan({
      from: keys.keyedMark(this.build, 'n', key, from),
      to: keys.keyedMark(this.build, 'n', key, to),
      reverse: true,
      limit,
    })
    return found.map((e) => decodeSnapshot(e.value))
  }

  /** Marks of a key's events behind `after`, up to the end, at most `limit`. */
  async marks(key: string, after: keys.Mark, limit: number): Promise<keys.Mark[]> {
    const from = keys.keyedMark(this.build, 'k', key, after)
    const found = await this.map.scan({
      from: after === keys.firstMark ? from : keys.after(from),
      to: keys.keyedMark(this.build, 'k', key, keys.lastMark),
      limit,
    })
    return found.map((e) => keys.markAtEnd(e.key))
  }

  async applied(marks: readonly keys.Mark[]): Promise<(Applied | undefined)[]> {
    const found = await this.map.get(marks.map((m) => keys.eventKey(this.build, m)))
    return found.map((bytes) => bytes && decodeApplied(bytes))
  }

  /** Whether there is a list of the events that were folded in: views of one state whose events have an order have none. */
  async listsEvents(): Promise<boolean> {
    return (await this.map.scan({ ...keys.kindRange(this.build, 'e'), limit: 1 })).length > 0
  }

  /** Whether an event is in that list, whatever its stream. */
  async hasEvent(event: string): Promise<boolean> {
    const from = keys.eventKey(this.build, keys.markOf(event, 0))
    const to = keys.eventKey(this.build, keys.markBehind(event))
    return (await this.map.scan({ from, to, limit: 1 })).length > 0
  }

  putApplied(out: Change[], mark: keys.Mark, applied: Applied, keyed: boolean): void {
    out.push({ key: keys.eventKey(this.build, mark), value: encodeApplied(applied) })
    if (keyed) out.push({ key: keys.keyedMark(this.build, 'k', applied.key, mark), value: new Uint8Array(0) })
  }
  removeApplied(out: Change[], mark: keys.Mark, key: string, keyed: boolean): void {
    out.push({ key: keys.eventKey(this.build, mark), value: undefined })
    if (keyed) out.push({ key: keys.keyedMark(this.build, 'k', key, mark), value: undefined })
  }
}

const newline = 10

/** A line of JSON, behind it the bytes of the event when it is kept. */
function encodeApplied({ key, event }: Applied): Uint8Array {
  if (event === undefined) return encodeText({ key })
  const { value, ...parts } = event
  const head = encodeText({ key, event: parts })
  const out = new Uint8Array(head.length + 1 + value.length)
  out.set(head)
  out[head.length] = newline
  out.set(value, head.length + 1)
  return out
}

function decodeApplied(bytes: Uint8Array): Applied {
  const end = bytes.indexOf(newline)
  if (end < 0) return decodeText(bytes)
  const { key, event } = decodeText<{ key: string; event: Omit<EventParts, 'value'> }>(bytes.subarray(0, end))
  return { key, event: { ...event, value: bytes.slice(end + 1) } }
}
