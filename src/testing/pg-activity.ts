/**
 * Whether a PostgreSQL client on a stream waits for its server, found out from the bytes in both directions: simulated
 * time has to go on exactly as long.
 *
 *   client ─► length │ body                     the first message: startup, cancel, SSL request
 *             type │ length │ body              all others
 *   server ─► type │ length │ body              (one byte alone in answer to an SSL request)
 *
 *   due          ReadyForQuery owed: one for the startup, each Query, Sync and FunctionCall
 *   replies      of Parse, Bind, Describe, Execute and Close; awaited once a Flush has asked for them
 *   copying in   the server waits for the client, until CopyDone or CopyFail
 *
 * Source: PostgreSQL's documentation, chapters "Message Flow" and "Message Formats".
 * Not here: moving the bytes (sim-stream.ts).
 */
const sslRequest = 80877103
const gssRequest = 80877104
const cancelRequest = 80877102

/** Cuts a stream into messages and tells their types once they are complete. */
class Frames {
  /** The word behind the length is told of a message without a type, which says what it is. */
  readonly #onMessage: (type: number, code: number) => void
  readonly #header = new Uint8Array(8)
  readonly #view = new DataView(this.#header.buffer)
  #filled = 0
  #left = 0
  /** The first messages of a client have no type. */
  untyped: boolean

  constructor(untyped: boolean, onMessage: (type: number, code: number) => void) {
    this.untyped = untyped
    this.#onMessage = onMessage
  }

  feed(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const needed = this.untyped ? 8 : 5
      if (this.#filled < needed) {
        this.#header[this.#filled++] = chunk[at++]
        if (this.#filled < needed) continue
        this.#left = this.untyped ? this.#view.getInt32(0) - 8 : this.#view.getInt32(1) - 4
      } else {
        const taken = Math.min(this.#left, chunk.length - at)
        this.#left -= taken
        at += taken
      }
      if (this.#left > 0) continue
      this.#filled = 0
      this.#onMessage(this.untyped ? 0 : this.#header[0], this.#view.getInt32(4))
    }
  }
}

export class PgActivity {
  readonly #client = new Frames(true, (type, code) => this.#said(type, code))
  readonly #server = new Frames(false, (type) => this.#answered(String.fromCharCode(type)))
  #due = 0
  #replies = 0
  #flushed = false
  #copying = false
  /** The server's next byte answers an SSL request. */
  #negotiating = false
  #terminated = false

  /** Whether the client waits for something that the server owes. */
  get waiting(): boolean {
    if (this.#negotiating || this.#terminated) return true
    return !this.#copying && (this.#due > 0 || (this.#flushed && this.#replies > 0))
  }

  /** Whether the client has said goodbye: the server closes. */
  get terminated(): boolean {
    return this.#terminated
  }

  sent(chunk: Uint8Array): void {
    this.#client.feed(chunk)
  }

  received(chunk: Uint8Array): void {
    if (this.#negotiating && chunk.length > 0) {
      this.#negotiating = false
      chunk = chunk.subarray(1)
    }
    this.#server.feed(chunk)
  }

  #said(type: number, code: number): void {
    if (type === 0) {
      this.#negotiating = code === sslRequest || code === gssRequest
      if (!this.#negotiating && code !== cancelRequest) {
        this.#due++
        this.#client.untyped = false
      }
      return
    }
    switch (String.fromCharCode(type)) {
      case 'Q':
      case 'S':
      case 'F':
        this.#due++
        break
      case 'P':
      case 'B':
      case 'D':
      case 'E':
      case 'C':
        this.#replies++
        this.#flushed = false
        break
      case 'H':
        this.#flushed = true
        break
      case 'c':
      case 'f':
        this.#copying = false
        break
      case 'X':
        this.#terminated = true
        break
    }
  }

  #answered(type: string): void {
    switch (type) {
      case 'Z':
        this.#due = Math.max(0, this.#due - 1)
        if (this.#due === 0) this.#replies = 0
        break
      case 'E':
        // What follows is passed over until the client says Sync.
        this.#replies = 0
        this.#copying = false
        break
      case 'G':
      case 'W':
        this.#copying = true
        break
      case '1':
      case '2':
      case '3':
      case 'C':
      case 'I':
      case 's':
      case 'n':
      case 'T':
        this.#replies = Math.max(0, this.#replies - 1)
        break
    }
  }
}
