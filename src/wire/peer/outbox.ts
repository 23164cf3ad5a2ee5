/**
 * What waits to leave on one connection, and in which order it leaves.
 *
 *   urgent   liveness messages, pings                          first, always
 *   small    payloads up to 64 KiB                             in order
 *   flows    larger payloads, one piece each in turn           a channel's messages stay in order
 *
 * Everything queued in one turn of the loop leaves as one buffer and one write; when the socket says stop, the rest
 * waits for its drain, so a heartbeat is at most one batch and the kernel's buffer behind.
 *
 * Not here: the socket (peer-connection.ts), frames (frame.ts).
 */
import { microtask } from '../../base/index.ts'
import { channelLiveness } from '../../cluster/index.ts'
import {
  headerBytes,
  kindAnswer,
  kindFailure,
  kindMessage,
  kindRequest,
  maxFrameBytes,
  maxPayloadBytes,
  maxPieceBytes,
  putFrame,
  putPiece,
} from './frame.ts'

/** Payload bytes that may wait; above it messages are dropped and requests refused. */
export const maxQueuedBytes = maxPayloadBytes
/** Of either small frames or pieces per write. */
const batchBytes = 128 * 1024

/** Where a request stands; shared with whoever waits for the answer. */
export interface Departure {
  /** Its first byte was handed to the socket. */
  sent: boolean
  /** Nobody waits any more: it need not leave. */
  cancelled: boolean
}

interface Transmission {
  readonly kind: number
  readonly service: number
  readonly id: number
  readonly payload: Uint8Array
  readonly departure: Departure | undefined
}

/** First in, first out, without shifting. */
class Fifo {
  #items: Transmission[] = []
  #head = 0

  get size(): number {
    return this.#items.length - this.#head
  }

  push(item: Transmission): void {
    this.#items.push(item)
  }

  peek(): Transmission {
    return this.#items[this.#head]
  }

  take(): Transmission {
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined as never
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    } else if (this.#head === this.#items.length) {
      this.#items.length = 0
      this.#head = 0
    }
    return item
  }
}

interface Flow {
  readonly items: Fifo
  /** How much of the first item has left. */
  offset: number
  /** Small frames that were queued before it and leave before it. */
  readonly behind: number
  /** Of messages; undefined for a request or an answer. */
  readonly channel: number | undefined
}

export class Outbox {
  readonly #write: (bytes: Uint8Array) => boolean
  readonly #later: (run: () => void) => void
  readonly #urgent = new Fifo()
  readonly #small = new Fifo()
  readonly #flows: Flow[] = []
  readonly #channels = new Map<number, Flow>()
  #urgentBytes = 0
  #smallBytes = 0
  #smallAdded = 0
  #smallTaken = 0
  #queuedBytes = 0
  #blocked = false
  #scheduled = false
  #closed = false
  #messageId = 0
  readonly #flushSoon = () => {
    this.#scheduled = false
    this.flush()
  }

  /**
   * @param write as a socket's: false means stop until `drained`. The bytes are given away.
   * @param later runs something once what is queued together has been queued: the end of the loop's turn lets the
   *   answers of many requests leave in one write
   */
  constructor(write: (bytes: Uint8Array) => boolean, later: (run: () => void) => void = microtask) {
    this.#write = write
    this.#later = later
  }

  /** Payload bytes that wait. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get full(): boolean {
    return this.#queuedBytes > maxQueuedBytes
  }

  message(channel: number, payload: Uint8Array): void {
    this.#messageId = (this.#messageId + 1) >>> 0
    this.#add({ kind: kindMessage, service: channel, id: this.#messageId, payload, departure: undefined })
  }

  request(service: number, id: number, payload: Uint8Array, departure: Departure): void {
    this.#add({ kind: kindRequest, service, id, payload, departure })
  }

  answer(id: number, payload: Uint8Array): void {
    this.#add({ kind: kindAnswer, service: 0, id, payload, departure: undefined })
  }

  failure(id: number, payload: Uint8Array): void {
    this.#add({ kind: kindFailure, service: 0, id, payload, departure: undefined })
  }

  /** A ping or pong. */
  signal(kind: number): void {
    this.#urgently({ kind, service: 0, id: 0, payload: new Uint8Array(0), departure: undefined })
  }

  #add(item: Transmission): void {
    this.#queuedBytes += item.payload.length
    const flow = item.kind === kindMessage ? this.#channels.get(item.service) : undefined
    if (flow !== undefined) flow.items.push(item)
    else if (item.payload.length > maxPieceBytes) this.#startFlow(item)
    else if (item.kind === kindMessage && item.service === channelLiveness) this.#urgently(item)
    else {
      this.#small.push(item)
      this.#smallBytes += headerBytes + item.payload.length
      this.#smallAdded++
    }
    this.#schedule()
  }

  #urgently(item: Transmission): void {
    this.#urgent.push(item)
    this.#urgentBytes += headerBytes + item.payload.length
    this.#schedule()
  }

  #startFlow(item: Transmission): void {
    const channel = item.kind === kindMessage ? item.service : undefined
    const flow = { items: new Fifo(), offset: 0, behind: this.#smallAdded, channel }
    flow.items.push(item)
    this.#flows.push(flow)
    if (channel !== undefined) this.#channels.set(channel, flow)
  }

  #schedule(): void {
    if (this.#scheduled || this.#blocked || this.#closed) return
    this.#scheduled = true
    this.#later(this.#flushSoon)
  }

  /** The socket takes bytes again. */
  drained(): void {
    this.#blocked = false
    this.flush()
  }

  close(): void {
    this.#closed = true
  }

  /** Writes batch after batch until nothing waits or the socket says stop. */
  flush(): void {
    while (!this.#blocked && !this.#closed && this.#urgent.size + this.#small.size + this.#flows.length > 0) {
      const room =
        this.#urgentBytes +
        Math.min(this.#smallBytes, batchBytes) +
        (this.#flows.length > 0 ? batchBytes + maxFrameBytes : 0)
      const buffer = Buffer.allocUnsafe(room)
      let at = 0
      while (this.#urgent.size > 0) at = this.#putUrgent(buffer, at)
      at = this.#putSmall(buffer, at)
      if (this.#flows.length > 0) at = this.#putPieces(buffer, at)
      if (at > 0 && !this.#write(buffer.subarray(0, at))) this.#blocked = true
    }
  }

  #putUrgent(buffer: Buffer, at: number): number {
    const item = this.#urgent.take()
    this.#urgentBytes -= headerBytes + item.payload.length
    if (item.kind === kindMessage) this.#queuedBytes -= item.payload.length
    return putFrame(buffer, at, item.kind, item.service, item.id, item.payload)
  }

  #putSmall(buffer: Buffer, at: number): number {
    const end = at + batchBytes
    while (this.#small.size > 0) {
      const size = headerBytes + this.#small.peek().payload.length
      if (at + size > Math.min(end, buffer.length)) break
      const item = this.#small.take()
      this.#smallTaken++
      this.#smallBytes -= size
      this.#queuedBytes -= item.payload.length
      if (item.departure !== undefined) {
        if (item.departure.cancelled) continue
        item.departure.sent = true
      }
      at = putFrame(buffer, at, item.kind, item.service, item.id, item.payload)
    }
    return at
  }

  #putPieces(buffer: Buffer, at: number): number {
    const end = at + batchBytes
    let waiting = 0
    while (at < end && this.#flows.length > waiting && buffer.length - at >= maxFrameBytes) {
      const flow = this.#flows.shift()!
      if (this.#smallTaken - flow.behind < 0) {
        waiting++
        this.#flows.push(flow)
        continue
      }
      at = this.#putPiece(flow, buffer, at)
      if (flow.items.size > 0) this.#flows.push(flow)
      else if (flow.channel !== undefined) this.#channels.delete(flow.channel)
    }
    return at
  }

  #putPiece(flow: Flow, buffer: Buffer, at: number): number {
    const item = flow.items.peek()
    const { payload, departure } = item
    const count = Math.min(maxPieceBytes, payload.length - flow.offset)
    // A payload that has begun to leave leaves whole: the other side holds its beginning.
    if (departure?.cancelled && flow.offset === 0) {
      this.#queuedBytes -= payload.length
      flow.items.take()
      return at
    }
    if (departure !== undefined) departure.sent = true
    this.#queuedBytes -= count
    if (payload.length <= maxPieceBytes) at = putFrame(buffer, at, item.kind, item.service, item.id, payload)
    else at = putPiece(buffer, at, item.kind, item.service, item.id, payload, flow.offset, count)
    flow.offset += count
    if (flow.offset === payload.length) {
      flow.items.take()
      flow.offset = 0
    }
    return at
  }
}
