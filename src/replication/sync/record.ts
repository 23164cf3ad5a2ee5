/**
 * An event as bytes, the same on disk and on the wire, and the hash that names it.
 *
 *   0        1                17              41           …
 *   ┌────────┬────────────────┬───────────────┬────────────┬───────────┬──────────────┬───────────────┐
 *   │ flags  │ key            │ origin: store │ sequence   │ timestamp │ content type │ value, behind │
 *   │ u8     │ 16 bytes       │ 16, life 8    │ varint     │ u64 BE    │ varint, text │ its length    │
 *   └────────┴────────────────┴───────────────┴────────────┴───────────┴──────────────┴───────────────┘
 *   a redaction (flags 1) ends behind the key: it is the same bytes wherever it was made
 *
 * The content type is 0 for application/json, 1 for application/octet-stream, else its UTF-8 length + 2 and the text. The
 * hash is the first 16 bytes of SHA-256 over all of it, so that two records with one hash are one record.
 *
 * Not here: which of two records of a key stands (merge.ts).
 */
import { DbError, type Timestamp } from '../../base/index.ts'
import { ByteInput, malformed } from './byte-input.ts'
import type { ByteOutput } from './byte-output.ts'
import { digestInto } from './digest.ts'
import { ulidBytes } from './ulid.ts'

export const originBytes = 24
export const hashBytes = 16
export const redactionBytes = 1 + ulidBytes
/** Longest content type, in bytes. */
export const maxContentType = 255

const redactedFlag = 1
const json = 'application/json'
const octets = 'application/octet-stream'

export interface EventRecord {
  readonly key: Uint8Array
  readonly redacted: boolean
  /** Store and incarnation; zeros when redacted, and so is all that follows. */
  readonly origin: Uint8Array
  readonly sequence: number
  readonly timestamp: Timestamp
  readonly contentType: string
  readonly value: Uint8Array
}

const nobody = new Uint8Array(originBytes)
const nothing = new Uint8Array(0)

/** What records of one origin begin with; each one's key is put into it, behind the flags. */
export function recordHead(origin: Uint8Array): Uint8Array {
  const head = new Uint8Array(1 + ulidBytes + originBytes)
  head.set(origin, 1 + ulidBytes)
  return head
}

/** Where a head has its key. */
export const headKeyAt = 1

/** Appends the record of the event whose key is in the head. */
export function writeRecord(
  out: ByteOutput,
  head: Uint8Array,
  sequence: number,
  timestamp: Timestamp,
  contentType: string,
  value: Uint8Array,
): void {
  out.raw(head)
  out.varint(sequence)
  out.safe(timestamp)
  if (contentType === json) out.u8(0)
  else if (contentType === octets) out.u8(1)
  else writeContentType(out, contentType)
  out.block(value)
}

/** The erasure of a key, whoever makes it. */
export function redactionOf(key: Uint8Array): Uint8Array {
  const out = new Uint8Array(redactionBytes)
  out[0] = redactedFlag
  out.set(key, 1)
  return out
}

/** Reads a record; its bytes are views of the given ones. Errors: protocol_violation. */
export function readRecord(bytes: Uint8Array): EventRecord {
  const input = new ByteInput(bytes)
  const flags = input.u8()
  if (flags > redactedFlag) throw malformed('an event has unknown flags')
  const key = input.raw(ulidBytes)
  if (flags === redactedFlag) {
    input.end()
    return { key, redacted: true, origin: nobody, sequence: 0, timestamp: 0, contentType: '', value: nothing }
  }
  const origin = input.raw(originBytes)
  const sequence = input.varint()
  const timestamp = input.safe()
  const contentType = readContentType(input)
  const value = input.block()
  input.end()
  return { key, redacted: false, origin, sequence, timestamp, contentType, value }
}

export function isRedaction(record: Uint8Array): boolean {
  return record[0] === redactedFlag
}

/** A value that its store refused because the key had another: no event, for no origin has counted it. It does not travel. */
export function isRefused(record: Uint8Array): boolean {
  return !isRedaction(record) && record[1 + ulidBytes + originBytes] === 0
}

export function recordKey(record: Uint8Array): Uint8Array {
  return record.subarray(1, 1 + ulidBytes)
}

export function hashRecord(record: Uint8Array): Uint8Array {
  const hash = new Uint8Array(hashBytes)
  digestInto(record, hash, 0, hashBytes)
  return hash
}

export function checkContentType(contentType: string): void {
  if (/^[\x20-\x7e]{1,255}$/.test(contentType) && contentType.length <= maxContentType) return
  throw new DbError('invalid_parameter_value', `${JSON.stringify(contentType.slice(0, 80))} is no content type`, {
    hint: `Content types are printable ASCII, 1 to ${maxContentType} characters, such as application/json.`,
  })
}

function writeContentType(out: ByteOutput, contentType: string): void {
  out.varint(contentType.length + 2)
  for (let i = 0; i < contentType.length; i++) out.u8(contentType.charCodeAt(i))
}

function readContentType(input: ByteInput): string {
  const kind = input.varint()
  if (kind === 0) return json
  if (kind === 1) return octets
  if (kind - 2 > maxContentType) throw malformed('a content type is too long')
  const bytes = input.raw(kind - 2)
  let text = ''
  for (const byte of bytes) {
    if (byte < 0x20 || byte > 0x7e) throw malformed('a content type is not printable ASCII')
    text += String.fromCharCode(byte)
  }
  return text
}
