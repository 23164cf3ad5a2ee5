/**
 * The keys of the ordered map in which views live (docs/formats/views.md).
 *
 *   00 name                                a view: which builds of it there are
 *   01                                     number of the next build
 *   02 build                               a build to be cleared
 *   10 build 'm'                           how far the build is
 *   10 build 's' key                       the state of a key
 *   10 build 'n' key 00 01 mark            a snapshot: the state of the key after all events up to the mark
 *   10 build 'k' key 00 01 mark            an event of the key
 *   10 build 'e' mark                      an event that was folded in, and into which key
 *   10 build 'f' sequence                  what changed, newest change of each key only
 *
 * build u32, sequence u64 big-endian. A mark is an event's place in the order in which things happened: the key of the
 * event and the number of the stream; 27 characters in memory, 17 bytes here. Keys of states are UTF-8; before a mark, 00
 * is written 00 ff, so that no key is the beginning of another.
 *
 * Not here: what the values are (build-space.ts, view-record.ts).
 */
import { formatUlid, parseUlid, ulidBytes } from '../../../replication/sync/index.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export type Mark = string
/** Before and after every mark. */
export const firstMark: Mark = ''
export const lastMark: Mark = '~'
const markBytes = ulidBytes + 1

export function markOf(eventKey: string, stream: number): Mark {
  return eventKey + stream
}
const behind = lastMark.charCodeAt(0)
/** Behind all marks of an event. */
export function markBehind(eventKey: string): Mark {
  return eventKey + lastMark
}
export function eventOf(mark: Mark): string {
  return mark.slice(0, 26)
}
export function streamOf(mark: Mark): number {
  return mark.charCodeAt(26) - 48
}

function putMark(out: Uint8Array<ArrayBuffer>, at: number, mark: Mark): void {
  if (mark === lastMark) out.fill(0xff, at, at + markBytes)
  else if (mark !== firstMark) {
    parseUlid(eventOf(mark), out, at)
    out[at + ulidBytes] = mark.charCodeAt(26) === behind ? 0xff : streamOf(mark)
  }
}

export const viewRecords = { from: Uint8Array.of(0), to: Uint8Array.of(1) }
export const nextBuild = Uint8Array.of(1)
export const discarded = { from: Uint8Array.of(2), to: Uint8Array.of(3) }

export function viewRecord(name: string): Uint8Array {
  const text = encoder.encode(name)
  const key = new Uint8Array(1 + text.length)
  key.set(text, 1)
  return key
}
export function discardedBuild(build: number): Uint8Array {
  const key = new Uint8Array(5)
  key[0] = 2
  new DataView(key.buffer).setUint32(1, build)
  return key
}
export function buildOfDiscarded(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset).getUint32(1)
}

export type Kind = 'm' | 's' | 'n' | 'k' | 'e' | 'f'
const head = 6

function begin(build: number, kind: Kind, rest: number): Uint8Array<ArrayBuffer> {
  const key = new Uint8Array(head + rest)
  key[0] = 0x10
  key[1] = build >>> 24
  key[2] = build >>> 16
  key[3] = build >>> 8
  key[4] = build
  key[5] = kind.charCodeAt(0)
  return key
}

export function progressKey(build: number): Uint8Array {
  return begin(build, 'm', 0)
}
/** All keys of one kind, or of a whole build: first, and end. */
export function kindRange(build: number, kind: Kind): { from: Uint8Array; to: Uint8Array } {
  const to = begin(build, kind, 0)
  to[5]++
  return { from: begin(build, kind, 0), to }
}
export function buildRange(build: number): { from: Uint8Array; to: Uint8Array } {
  return { from: begin(build, 'm', 0).subarray(0, 5), to: begin(build + 1, 'm', 0).subarray(0, 5) }
}

export function stateKey(build: number, key: string): Uint8Array {
  const text = encoder.encode(key)
  const out = begin(build, 's', text.length)
  out.set(text, head)
  return out
}
export function keyOfState(bytes: Uint8Array): string {
  return decoder.decode(bytes.subarray(head))
}
/** The least key above another. */
export function after(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length + 1)
  out.set(bytes)
  return out
}

export function keyedMark(build: number, kind: 'n' | 'k', key: string, mark: Mark): Uint8Array {
  const text = encoder.encode(key)
  let zeros = 0
  for (const byte of text) if (byte === 0) zeros++
  const out = begin(build, kind, text.length + zeros + 2 + markBytes)
  let at = head
  for (const byte of text) {
    out[at++] = byte
    if (byte === 0) out[at++] = 0xff
  }
  out[at + 1] = 1
  putMark(out, at + 2, mark)
  return out
}
/** The mark at a key's end. */
export function markAtEnd(bytes: Uint8Array): Mark {
  return markOf(formatUlid(bytes, bytes.length - markBytes), bytes[bytes.length - 1])
}

export function eventKey(build: number, mark: Mark): Uint8Array {
  const out = begin(build, 'e', markBytes)
  putMark(out, head, mark)
  return out
}

export function feedKey(build: number, sequence: number): Uint8Array {
  const out = begin(build, 'f', 8)
  const view = new DataView(out.buffer)
  view.setUint32(head, Math.floor(sequence / 2 ** 32))
  view.setUint32(head + 4, sequence >>> 0)
  return out
}
export function sequenceOfFeed(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return view.getUint32(head) * 2 ** 32 + view.getUint32(head + 4)
}
