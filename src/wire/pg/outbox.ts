/**
 * What a connection has to say: messages are appended to one growable buffer, which goes to the socket in one write
 * when an input chunk is done, when a flush is asked for, or when it has grown large.
 *
 *   messages ─► writer ─flush─► socket ─ says "too slow" ─► blocked, until drain
 *
 * A socket does not copy what it is given. Short output is therefore copied out (cheaper than a new buffer); long
 * output leaves with the buffer, and the writer gets a new one.
 *
 * Not here: who produces, and how it stops while `blocked`.
 */
import { ByteWriter } from '../../encoding/index.ts'
import type { Socket } from '../../io/index.ts'

/** Output above this is flushed without waiting for the chunk's end; bytes. */
export const flushBytes = 64 * 1024
const startBytes = 16 * 1024
const copiedBytes = 8 * 1024

export class Outbox {
  readonly writer = new ByteWriter(startBytes)
  readonly #socket: Socket
  #blocked = false
  #closed = false
  #drained: (() => void)[] = []
  /** Bytes that went to the socket. */
  sentBytes = 0

  constructor(socket: Socket) {
    this.#socket = socket
    socket.onDrain(() => this.#unblock())
  }

  /** True while the peer reads too slowly; producers wait for `drained`. */
  get blocked(): boolean {
    return this.#blocked
  }

  /** Hands everything to the socket. False when the peer reads too slowly. */
  flush(): boolean {
    const writer = this.writer
    const length = writer.length
    if (length === 0) return !this.#blocked
    if (this.#closed) {
      writer.reset()
      return true
    }
    let bytes: Buffer
    if (length <= copiedBytes) {
      bytes = Buffer.allocUnsafe(length)
      writer.buffer.copy(bytes, 0, 0, length)
    } else {
      bytes = writer.buffer.subarray(0, length)
      writer.buffer = Buffer.allocUnsafeSlow(startBytes)
    }
    writer.length = 0
    this.sentBytes += length
    if (!this.#socket.write(bytes)) this.#blocked = true
    return !this.#blocked
  }

  /** Resolves when the peer has read enough, or is gone. */
  drained(): Promise<void> {
    if (!this.#blocked) return Promise.resolve()
    return new Promise((resolve) => this.#drained.push(resolve))
  }

  /** The socket is gone: nobody waits any more, and what is written is dropped. */
  close(): void {
    this.#closed = true
    this.#unblock()
  }

  #unblock(): void {
    this.#blocked = false
    const waiting = this.#drained
    if (waiting.length === 0) return
    this.#drained = []
    for (const resolve of waiting) resolve()
  }
}
