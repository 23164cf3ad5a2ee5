/**
 * A mark names one place in one store's order of reception, so that it cannot be mistaken for another store's, for another
 * incarnation's, or for the same number in a history that went another way.
 *
 *   0          16            24           32
 *   ┌──────────┬─────────────┬────────────┬────────────┐
 *   │ store    │ incarnation │ position   │ stamp      │
 *   │ 16 bytes │ 8 bytes     │ u64 BE     │ 8 bytes    │
 *   └──────────┴─────────────┴────────────┴────────────┘
 *
 * The stamp is drawn at random by each write that gives positions out. A store that was restored from a copy and went on
 * gives the same numbers again, with other stamps: whoever holds a mark of the history that is gone can tell.
 *
 * Not here: who keeps which marks (model/events/peers.ts).
 */
import type { ByteInput } from './byte-input.ts'
import type { ByteOutput } from './byte-output.ts'
import { sameBytes } from './key-bytes.ts'

export const stampBytes = 8
export const storeBytes = 16
export const incarnationBytes = 8

export interface Mark {
  readonly store: Uint8Array
  readonly incarnation: Uint8Array
  /** 0: before everything; its stamp is zeros. */
  readonly position: number
  readonly stamp: Uint8Array
}

export const noStamp = new Uint8Array(stampBytes)

export function beginning(store: Uint8Array, incarnation: Uint8Array): Mark {
  return { store, incarnation, position: 0, stamp: noStamp }
}

export function sameLife(a: Mark, b: Mark): boolean {
  return sameBytes(a.store, b.store) && sameBytes(a.incarnation, b.incarnation)
}

export function sameMark(a: Mark, b: Mark): boolean {
  return a.position === b.position && sameLife(a, b) && sameBytes(a.stamp, b.stamp)
}

export function writeMark(out: ByteOutput, mark: Mark): void {
  out.raw(mark.store)
  out.raw(mark.incarnation)
  out.safe(mark.position)
  out.raw(mark.stamp)
}

/** A copy: the message may be gone when the mark is used. */
export function readMark(input: ByteInput): Mark {
  const store = input.raw(storeBytes).slice()
  const incarnation = input.raw(incarnationBytes).slice()
  const position = input.safe()
  return { store, incarnation, position, stamp: input.raw(stampBytes).slice() }
}
