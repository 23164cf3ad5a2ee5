/**
 * A group being filled: the bytes of its records, and who waits for them to be durable.
 *
 *   ┌────────┬────────┬────────┬─────────────
 *   │ header │ record │ record │ room, doubled when used up
 *   └────────┴────────┴────────┴─────────────
 *
 * Not here: its place in a segment's life (segmented-commit-log.ts).
 */
import { putSafe } from '../../encoding/index.ts'
import {
  alignRecord,
  checkpointBytes,
  checkpointKind,
  entryHeaderBytes,
  entryKind,
  groupChecksum,
  groupHeaderBytes,
  groupMagic,
  hardStateBytes,
  hardStateKind,
  markBytes,
  sealRecord,
  viewOf,
  wordsOf,
} from './layout.ts'
import type { StreamState } from './stream-state.ts'

const initialBytes = 128 * 1024
/** A buffer that a rare large group has blown up is not kept. */
const keptBytes = 4 * 1024 * 1024

export class Group {
  bytes: Buffer = Buffer.allocUnsafeSlow(initialBytes)
  view: DataView = viewOf(this.bytes)
  words: Uint32Array = wordsOf(this.bytes)
  segment = 0
  offset = 0
  length = groupHeaderBytes
  records = 0
  readonly durables: (() => void)[] = []

  /** Empties the group and gives it its place. */
  begin(segment: number, offset: number): void {
    if (this.bytes.length > keptBytes) {
      this.bytes = Buffer.allocUnsafeSlow(initialBytes)
      this.view = viewOf(this.bytes)
      this.words = wordsOf(this.bytes)
    }
    this.segment = segment
    this.offset = offset
    this.length = groupHeaderBytes
    this.records = 0
    this.durables.length = 0
  }

  /** Appends an entry and returns its offset in the segment. */
  entry(stream: number, index: number, term: number, transactionId: number, payload: Uint8Array): number {
    const length = entryHeaderBytes + payload.length
    const at = this.#open(length, entryKind, stream, index, term, transactionId)
    this.bytes.set(payload, at + entryHeaderBytes)
    sealRecord(this.view, this.words, at, length)
    return this.offset + at
  }

  hardState(stream: number, state: StreamState): void {
    const at = this.#open(hardStateBytes, hardStateKind, stream, 0, state.term, state.vote)
    putSafe(this.view, at + 40, state.commit)
    sealRecord(this.view, this.words, at, hardStateBytes)
  }

  checkpoint(stream: number, state: StreamState): void {
    const at = this.#open(checkpointBytes, checkpointKind, stream, state.last, state.term, state.vote)
    putSafe(this.view, at + 40, state.commit)
    putSafe(this.view, at + 48, state.first)
    sealRecord(this.view, this.words, at, checkpointBytes)
  }

  /** A record without more than a kind, a stream and an index. */
  mark(kind: number, stream: number, index: number): void {
    const at = this.#open(markBytes, kind, stream, index, 0, 0)
    sealRecord(this.view, this.words, at, markBytes)
  }

  /** Completes the header; the group can be written then. */
  seal(identity: Uint8Array, number: number, durable: number): void {
    const { view } = this
    view.setUint32(0, groupMagic, true)
    view.setUint32(8, this.length, true)
    view.setUint32(12, this.records, true)
    putSafe(view, 16, number)
    putSafe(view, 24, durable)
    view.setUint32(4, groupChecksum(identity, this.segment, this.offset, this.bytes, 0, this.length), true)
  }

  #open(length: number, kind: number, stream: number, index: number, term: number, fourth: number): number {
    const at = this.length
    const end = at + alignRecord(length)
    if (end > this.bytes.length) this.#grow(end)
    const { view } = this
    // Padding belongs to the checksum of the group: no stale bytes in it.
    view.setUint32(end - 4, 0, true)
    view.setUint32(end - 8, 0, true)
    view.setUint32(at + 8, kind, true)
    view.setUint32(at + 12, stream, true)
    putSafe(view, at + 16, index)
    putSafe(view, at + 24, term)
    putSafe(view, at + 32, fourth)
    this.length = end
    this.records++
    return at
  }

  #grow(need: number): void {
    let size = this.bytes.length * 2
    while (size < need) size *= 2
    const grown = Buffer.allocUnsafeSlow(size)
    this.bytes.copy(grown, 0, 0, this.length)
    this.bytes = grown
    this.view = viewOf(grown)
    this.words = wordsOf(grown)
  }
}
