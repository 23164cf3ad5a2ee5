/**
 * The messages of a sync as data and as bytes. Every request is answered by one response; who answers keeps nothing
 * between requests but what is durable, so that a sync can break off anywhere and go on later.
 *
 *   1  offer    ids added since we last met, which of your positions I have      ─►
 *   2  answer   ◄─  which of them I lack, and mine since
 *   3  carry    events asked for, and keys I lack                                 ─►
 *   4  carried  ◄─  events
 *   5  compare  fingerprints of ranges, when positions say nothing                ─►
 *   6  compared ◄─  same, parts, or ids
 *   7  refusal  ◄─  an error, and what proves it
 *   8  hello    who are you? (by those who have not met)                          ─►
 *   9  welcome  ◄─
 *
 *   byte 0  version 1 │ byte 1  kind │ body (docs/formats/events.md) │ CRC-32 of all before it
 *
 * Not here: the conversation (model/events/sync.ts, answer-sync.ts).
 */
import { DbError, type ErrorCode, isErrorCode } from '../../base/index.ts'
import { ByteInput, getU32, malformed } from './byte-input.ts'
import { ByteOutput } from './byte-output.ts'
import { checksum } from './checksum.ts'
import { type AskedRange, askedRangeLeast, type RangeAnswer, type RangeId } from './compare.ts'
import { type Mark, readMark, writeMark } from './mark.ts'
import { fingerprintBytes, type RangePart } from './range-index.ts'
import { hashBytes } from './record.ts'
import { ulidBytes } from './ulid.ts'

const version = 2
export const maxMessageBytes = 8 << 20
const idBytes = ulidBytes + hashBytes

/** What lies between two places of one store's order: (after, upTo]. */
export interface Stretch {
  readonly after: Mark
  readonly upTo: Mark
}

/** A stretch of the sender's order, and the ids of it that the other may lack. */
export interface Offer extends Stretch {
  readonly ids: readonly RangeId[]
}

export interface OfferMessage {
  readonly kind: 'offer'
  /** The sender's newest place; it says who sends. */
  readonly from: Mark
  /** Events that the sender has. */
  readonly count: number
  /** The sync has begun by positions and stays with them. */
  readonly begun: boolean
  /** All of the receiver's up to here is at the sender. */
  readonly yours: Mark | undefined
  readonly offer: Offer
}

export interface AnswerMessage {
  readonly kind: 'answer'
  readonly from: Mark
  readonly count: number
  readonly yours: Mark | undefined
  /** Positions say nothing: compare fingerprints. Wants and offer are empty then. */
  readonly compare: boolean
  /** Indices of offered ids. */
  readonly wants: readonly number[]
  readonly offer: Offer
}

export interface CarryMessage {
  readonly kind: 'carry'
  readonly from: Mark
  /** The newest place of the receiver that the sender has seen. */
  readonly to: Mark
  readonly records: readonly Uint8Array[]
  /** With the records, all of this stretch of the sender's order is at the receiver. */
  readonly claim: Stretch | undefined
  /** Keys of events that the sender lacks; those up to `cap` in the receiver's order count for its place. */
  readonly wants: readonly Uint8Array[]
  readonly cap: number
  /** Of the first wanted key the records up to this hash are here already. */
  readonly behind: Uint8Array | undefined
}

export interface CarriedMessage {
  readonly kind: 'carried'
  readonly from: Mark
  readonly yours: Mark | undefined
  /** Of the records that came: how many changed something, and how many were of another value. */
  readonly added: number
  readonly conflicts: number
  readonly records: readonly Uint8Array[]
  /** How many of the wanted keys were dealt with, from the front. */
  readonly taken: number
  /** Of the last record that stands in order at or below the cap. */
  readonly upTo: Mark | undefined
  /** Of the wanted key behind the taken ones, only the records up to this hash had room. */
  readonly behind: Uint8Array | undefined
}

export interface CompareMessage {
  readonly kind: 'compare'
  readonly from: Mark
  readonly to: Mark
  readonly ranges: readonly AskedRange[]
}

export interface ComparedMessage {
  readonly kind: 'compared'
  readonly from: Mark
  readonly answers: readonly RangeAnswer[]
}

export interface RefusalMessage {
  readonly kind: 'refusal'
  readonly error: DbError
  /** A place in the receiver's order that the sender was told of. */
  readonly evidence: Mark | undefined
}

export interface HelloMessage {
  readonly kind: 'hello'
  readonly from: Mark
}

export interface WelcomeMessage {
  readonly kind: 'welcome'
  readonly from: Mark
}

export type Message =
  | OfferMessage
  | AnswerMessage
  | CarryMessage
  | CarriedMessage
  | CompareMessage
  | ComparedMessage
  | RefusalMessage
  | HelloMessage
  | WelcomeMessage

const kinds = ['', 'offer', 'answer', 'carry', 'carried', 'compare', 'compared', 'refusal', 'hello', 'welcome'] as const

export function encodeMessage(message: Message): Uint8Array {
  const out = new ByteOutput(1024)
  out.u8(version)
  out.u8(kinds.indexOf(message.kind))
  switch (message.kind) {
    case 'offer':
      writeMark(out, message.from)
      out.varint(message.count)
      out.u8(message.begun ? 1 : 0)
      writeOptional(out, message.yours)
      writeOffer(out, message.offer)
      break
    case 'answer':
      writeMark(out, message.from)
      out.varint(message.count)
      writeOptional(out, message.yours)
      out.u8(message.compare ? 1 : 0)
      writeIndices(out, message.wants)
      writeOffer(out, message.offer)
      break
    case 'carry':
      writeMark(out, message.from)
      writeMark(out, message.to)
      writeBlocks(out, message.records)
      writeOptional(out, message.claim?.upTo)
      if (message.claim !== undefined) writeMark(out, message.claim.after)
      out.varint(message.wants.length)
      for (const key of message.wants) out.raw(key)
      out.varint(message.cap)
      writeHash(out, message.behind)
      break
    case 'carried':
      writeMark(out, message.from)
      writeOptional(out, message.yours)
      out.varint(message.added)
      out.varint(message.conflicts)
      writeBlocks(out, message.records)
      out.varint(message.taken)
      writeOptional(out, message.upTo)
      writeHash(out, message.behind)
      break
    case 'compare':
      writeMark(out, message.from)
      writeMark(out, message.to)
      writeRanges(out, message.ranges)
      break
    case 'compared':
      writeMark(out, message.from)
      writeAnswers(out, message.answers)
      break
    case 'hello':
    case 'welcome':
      writeMark(out, message.from)
      break
    case 'refusal':
      out.text(message.error.code)
      out.text(message.error.message)
      out.text(message.error.detail ?? '')
      out.text(message.error.hint ?? '')
      writeOptional(out, message.evidence)
  }
  out.u32(checksum(out.buffer, out.length))
  return out.bytes
}

/** Records and ids are views of the bytes. Errors: protocol_violation, incompatible_format. */
export function decodeMessage(bytes: Uint8Array): Message {
  if (bytes.length > maxMessageBytes) throw malformed(`it has ${bytes.length} bytes, more than ${maxMessageBytes}`)
  const end = bytes.length - 4
  if (end < 2) throw malformed('it ends too soon')
  const input = new ByteInput(bytes.subarray(0, end))
  const theirs = input.u8()
  if (theirs !== version) {
    throw new DbError('incompatible_format', `the other side speaks version ${theirs} of the sync, not ${version}`, {
      hint: 'Run versions of the program that understand each other on both sides.',
    })
  }
  if (getU32(bytes, end) !== checksum(bytes, end)) throw malformed('its checksum is another one')
  const kind = kinds[input.u8()]
  const message = readBody(input, kind)
  input.end()
  return message
}

function readBody(input: ByteInput, kind: (typeof kinds)[number] | undefined): Message {
  switch (kind) {
    case 'offer': {
      const head = { from: readMark(input), count: input.varint(), begun: input.u8() === 1 }
      return { kind, ...head, yours: readOptional(input), offer: readOffer(input) }
    }
    case 'answer': {
      const head = { from: readMark(input), count: input.varint(), yours: readOptional(input) }
      return { kind, ...head, compare: input.u8() === 1, wants: readIndices(input), offer: readOffer(input) }
    }
    case 'carry': {
      const head = { from: readMark(input), to: readMark(input), records: readBlocks(input) }
      const upTo = readOptional(input)
      const claim = upTo === undefined ? undefined : { upTo, after: readMark(input) }
      const wants = Array.from({ length: input.count(ulidBytes) }, () => input.raw(ulidBytes))
      return { kind, ...head, claim, wants, cap: input.varint(), behind: readHash(input) }
    }
    case 'carried': {
      const head = {
        from: readMark(input),
        yours: readOptional(input),
        added: input.varint(),
        conflicts: input.varint(),
      }
      const sent = { records: readBlocks(input), taken: input.varint(), upTo: readOptional(input) }
      return { kind, ...head, ...sent, behind: readHash(input) }
    }
    case 'compare':
      return { kind, from: readMark(input), to: readMark(input), ranges: readRanges(input) }
    case 'compared':
      return { kind, from: readMark(input), answers: readAnswers(input) }
    case 'hello':
    case 'welcome':
      return { kind, from: readMark(input) }
    case 'refusal':
      return readRefusal(input)
    default:
      throw malformed('its kind is unknown')
  }
}

function readRefusal(input: ByteInput): RefusalMessage {
  const code = input.text()
  const message = input.text()
  const detail = input.text() || undefined
  const hint = input.text() || undefined
  const known: ErrorCode = isErrorCode(code) ? code : 'internal_error'
  return { kind: 'refusal', error: new DbError(known, message, { detail, hint }), evidence: readOptional(input) }
}

function writeOptional(out: ByteOutput, mark: Mark | undefined): void {
  out.u8(mark === undefined ? 0 : 1)
  if (mark !== undefined) writeMark(out, mark)
}

function readOptional(input: ByteInput): Mark | undefined {
  return input.u8() === 0 ? undefined : readMark(input)
}

/** A hash behind its length; none is 0. */
function writeHash(out: ByteOutput, hash: Uint8Array | undefined): void {
  out.block(hash ?? new Uint8Array(0))
}

function readHash(input: ByteInput): Uint8Array | undefined {
  const hash = input.block()
  if (hash.length !== 0 && hash.length !== hashBytes) throw malformed('a hash has another length')
  return hash.length === 0 ? undefined : hash
}

function writeOffer(out: ByteOutput, { after, upTo, ids }: Offer): void {
  writeMark(out, after)
  writeMark(out, upTo)
  writeIds(out, ids)
}

function readOffer(input: ByteInput): Offer {
  return { after: readMark(input), upTo: readMark(input), ids: readIds(input) }
}

function writeIds(out: ByteOutput, ids: readonly RangeId[]): void {
  out.varint(ids.length)
  for (const { key, hash } of ids) {
    out.raw(key)
    out.raw(hash)
  }
}

function readIds(input: ByteInput): RangeId[] {
  return Array.from({ length: input.count(idBytes) }, () => ({ key: input.raw(ulidBytes), hash: input.raw(hashBytes) }))
}

function writeIndices(out: ByteOutput, indices: readonly number[]): void {
  out.varint(indices.length)
  let last = -1
  for (const index of indices) {
    out.varint(index - last - 1)
    last = index
  }
}

function readIndices(input: ByteInput): number[] {
  let last = -1
  return Array.from({ length: input.count(1) }, () => (last += input.varint() + 1))
}

function writeBlocks(out: ByteOutput, blocks: readonly Uint8Array[]): void {
  out.varint(blocks.length)
  for (const block of blocks) out.block(block)
}

function readBlocks(input: ByteInput): Uint8Array[] {
  return Array.from({ length: input.count(1) }, () => input.block())
}

/** A bound of 1 to 16 bytes behind its length; none is 0. */
function writeBound(out: ByteOutput, bound: Uint8Array | undefined): void {
  out.block(bound ?? new Uint8Array(0))
}

function readBound(input: ByteInput): Uint8Array | undefined {
  const bound = input.block()
  if (bound.length > ulidBytes) throw malformed('a bound is longer than a key')
  return bound.length === 0 ? undefined : bound
}

/** A range that begins where the one before it ends says so by one byte. */
const sameFrom = 255

function writeRanges(out: ByteOutput, ranges: readonly AskedRange[]): void {
  out.varint(ranges.length)
  let last: Uint8Array | undefined
  for (const { from, to, count, fingerprint } of ranges) {
    if (from !== undefined && from === last) out.u8(sameFrom)
    else writeFrom(out, from)
    writePart(out, { to, count, fingerprint })
    last = to
  }
}

function writeFrom(out: ByteOutput, from: Uint8Array | undefined): void {
  out.u8(from?.length ?? 0)
  if (from !== undefined) out.raw(from)
}

function readRanges(input: ByteInput): AskedRange[] {
  let last: Uint8Array | undefined
  return Array.from({ length: input.count(askedRangeLeast) }, () => {
    const length = input.u8()
    if (length !== sameFrom && length > ulidBytes) throw malformed('a bound is longer than a key')
    const from = length === sameFrom ? last : length === 0 ? undefined : input.raw(length)
    const part = readPart(input)
    last = part.to
    return { from, ...part }
  })
}

function writePart(out: ByteOutput, { to, count, fingerprint }: RangePart): void {
  writeBound(out, to)
  out.varint(count)
  out.raw(fingerprint)
}

function readPart(input: ByteInput): RangePart {
  return { to: readBound(input), count: input.varint(), fingerprint: input.raw(fingerprintBytes) }
}

function writeAnswers(out: ByteOutput, answers: readonly RangeAnswer[]): void {
  out.varint(answers.length)
  for (const answer of answers) {
    if (answer.kind === 'same') out.u8(0)
    else if (answer.kind === 'ids') {
      out.u8(1)
      writeIds(out, answer.ids)
      writeBound(out, answer.to)
    } else {
      out.u8(2)
      out.varint(answer.parts.length)
      for (const part of answer.parts) writePart(out, part)
    }
  }
}

function readAnswers(input: ByteInput): RangeAnswer[] {
  return Array.from({ length: input.count(1) }, (): RangeAnswer => {
    const kind = input.u8()
    if (kind === 0) return { kind: 'same' }
    if (kind === 1) return { kind: 'ids', ids: readIds(input), to: readBound(input) }
    if (kind !== 2) throw malformed('an answer about a range is of no known kind')
    return { kind: 'parts', parts: Array.from({ length: input.count(askedRangeLeast) }, () => readPart(input)) }
  })
}
