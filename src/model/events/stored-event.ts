/**
 * Stored bytes as the events that readers get.
 *
 * Not here: JSON (typed-store.ts).
 */
import { formatUlid, readRecord, toHex, ulidTimeMs } from '../../replication/sync/index.ts'
import type { StoredEvent } from './event-store.ts'

/** Texts of origins: few stores write most events. */
const originTexts = new Map<number, { bytes: Uint8Array; text: string }>()
const originSlots = 64

export function storedEvent(record: Uint8Array, position: number): StoredEvent {
  const { key, redacted, origin, sequence, timestamp, contentType, value } = readRecord(record)
  return {
    key: formatUlid(key),
    position,
    value,
    contentType,
    origin: redacted ? '' : originText(origin),
    sequence,
    timestamp: redacted ? ulidTimeMs(key) * 1000 : timestamp,
    redacted,
  }
}

export function originText(origin: Uint8Array): string {
  const slot = (origin[0] ^ origin[16]) % originSlots
  const known = originTexts.get(slot)
  if (known !== undefined) {
    let i = 0
    while (i < origin.length && known.bytes[i] === origin[i]) i++
    if (i === origin.length) return known.text
  }
  const text = `${toHex(origin.subarray(0, 16))}.${toHex(origin.subarray(16))}`
  originTexts.set(slot, { bytes: origin.slice(), text })
  return text
}

export function originOf(store: Uint8Array, incarnation: Uint8Array): Uint8Array {
  const out = new Uint8Array(store.length + incarnation.length)
  out.set(store)
  out.set(incarnation, store.length)
  return out
}

/** Keys are below 2^128, so texts sort as their bytes do. */
export function byTime(a: StoredEvent, b: StoredEvent): number {
  return a.timestamp - b.timestamp || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
}
