/**
 * Frames between nodes. Big-endian.
 *
 *    0  length    u32   of the whole frame
 *    4  checksum  u32   CRC-32 of bytes 8 … length
 *    8  kind      u8    message, request, answer, failure, ping, pong
 *    9  flags     u8    1: the payload is a piece of a larger one
 *   10  service   u16   channel of a message, service of a request, else 0
 *   12  id        u32   of a request and its answer; of a message in pieces
 *   16  payload         of a piece: total u32, offset u32, bytes
 *
 * A payload above 64 KiB travels in pieces, between which other frames pass. Format: docs/formats/peer.md.
 *
 * Not here: in which order frames leave (outbox.ts), putting pieces together (assembly.ts).
 */
import { DbError } from '../../base/index.ts'
import { checksum } from '../../cluster/index.ts'

export const headerBytes = 16
export const pieceHeaderBytes = 8
export const maxPieceBytes = 64 * 1024
/** The longest frame there is. */
export const maxFrameBytes = headerBytes + pieceHeaderBytes + maxPieceBytes
/** The longest payload, in as many pieces as it takes. */
export const maxPayloadBytes = 64 * 1024 * 1024

export const kindMessage = 1
export const kindRequest = 2
export const kindAnswer = 3
export const kindFailure = 4
export const kindPing = 5
export const kindPong = 6

export const flagPiece = 1

const nothing = new Uint8Array(0)

function put32(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 24
  into[at + 1] = value >>> 16
  into[at + 2] = value >>> 8
  into[at + 3] = value
}

export function get32(from: Uint8Array, at: number): number {
  return ((from[at] << 24) | (from[at + 1] << 16) | (from[at + 2] << 8) | from[at + 3]) >>> 0
}

/** Writes a whole frame at `at`; returns the position behind it. The caller has made room. */
export function putFrame(
  into: Buffer,
  at: number,
  kind: number,
  service: number,
  id: number,
  payload: Uint8Array = nothing,
): number {
  into.set(payload, at + headerBytes)
  return seal(into, at, at + headerBytes + payload.length, kind, 0, service, id)
}

/** Writes the piece of `payload` from `offset` that is `count` bytes long. */
export function putPiece(
  into: Buffer,
  at: number,
  kind: number,
  service: number,
  id: number,
  payload: Uint8Array,
  offset: number,
  count: number,
): number {
  const body = at + headerBytes
  put32(into, body, payload.length)
  put32(into, body + 4, offset)
  into.set(payload.subarray(offset, offset + count), body + pieceHeaderBytes)
  return seal(into, at, body + pieceHeaderBytes + count, kind, flagPiece, service, id)
}

function seal(into: Buffer, at: number, end: number, kind: number, flags: number, service: number, id: number): number {
  put32(into, at, end - at)
  into[at + 8] = kind
  into[at + 9] = flags
  into[at + 10] = service >>> 8
  into[at + 11] = service
  put32(into, at + 12, id)
  put32(into, at + 4, checksum(into.subarray(at + 8, end)))
  return end
}

/** Receives frames; the payload is the receiver's own, possibly a view into a larger buffer that nobody changes. */
export interface FrameSink {
  frame(kind: number, flags: number, service: number, id: number, payload: Uint8Array): void
}

/** Cuts a byte stream into frames. Chunks given are not used again by the caller. */
export class PeerFrameReader {
  readonly #sink: FrameSink
  /** The beginning of a frame whose length is not known yet. */
  readonly #head = new Uint8Array(headerBytes)
  #headCount = 0
  /** A frame of known length that has arrived in part. */
  #frame: Uint8Array | undefined
  #frameCount = 0
  /** Set by the sink when nothing more is to be delivered. */
  stopped = false

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /** Raises protocol_violation for what no node of ours writes; the connection is of no use after that. */
  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length && !this.stopped) {
      if (this.#frame !== undefined) at = this.#fill(chunk, at)
      else if (this.#headCount > 0 || chunk.length - at < headerBytes) at = this.#begin(chunk, at)
      else {
        const length = lengthAt(chunk, at)
        if (chunk.length - at >= length) {
          this.#deliver(chunk, at, length)
          at += length
        } else this.#frame = new Uint8Array(length)
      }
    }
  }

  #fill(chunk: Uint8Array, at: number): number {
    const frame = this.#frame!
    const end = Math.min(chunk.length, at + frame.length - this.#frameCount)
    frame.set(chunk.subarray(at, end), this.#frameCount)
    this.#frameCount += end - at
    if (this.#frameCount === frame.length) {
      this.#frame = undefined
      this.#frameCount = 0
      this.#deliver(frame, 0, frame.length)
    }
    return end
  }

  #begin(chunk: Uint8Array, at: number): number {
    while (at < chunk.length && this.#headCount < headerBytes) this.#head[this.#headCount++] = chunk[at++]
    if (this.#headCount === headerBytes) {
      this.#frame = new Uint8Array(lengthAt(this.#head, 0))
      this.#frame.set(this.#head)
      this.#frameCount = headerBytes
      this.#headCount = 0
      if (this.#frame.length === headerBytes) this.#fill(chunk, at)
    }
    return at
  }

  #deliver(bytes: Uint8Array, at: number, length: number): void {
    const end = at + length
    if (checksum(bytes.subarray(at + 8, end)) !== get32(bytes, at + 4)) {
      throw new DbError('protocol_violation', 'a frame between nodes fails its checksum')
    }
    const service = (bytes[at + 10] << 8) | bytes[at + 11]
    this.#sink.frame(
      bytes[at + 8],
      bytes[at + 9],
      service,
      get32(bytes, at + 12),
      bytes.subarray(at + headerBytes, end),
    )
  }
}

function lengthAt(bytes: Uint8Array, at: number): number {
  const length = get32(bytes, at)
  if (length >= headerBytes && length <= maxFrameBytes) return length
  throw new DbError('protocol_violation', `a frame between nodes cannot be ${length} bytes long`)
}
