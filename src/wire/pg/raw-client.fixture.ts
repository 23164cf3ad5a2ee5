/**
 * A client for protocol tests: sends any bytes, shows every message that comes back in one short line.
 */
import { ByteWriter } from '../../encoding/index.ts'
import type { Network, Socket } from '../../io/index.ts'
import { BodyReader } from './body.ts'
import { readReport, writeStartup } from './client-messages.ts'
import { FrameReader } from './frames.ts'
import { backend } from './protocol.ts'

const letters = new Map(Object.entries(backend).map(([name, type]) => [type as number, name]))

export class RawClient {
  readonly out = new ByteWriter(1024)
  readonly lines: string[] = []
  closed = false
  bytes = 0
  processId = 0
  secretKey = new Uint8Array(4)
  readonly #frames = new FrameReader()
  readonly #waiting: { test: () => boolean; resolve: () => void }[] = []
  #socket: Socket

  constructor(socket: Socket) {
    this.#socket = socket
    this.#frames.typed()
    this.#frames.limit = 1 << 30
    this.attach(socket)
  }

  static async open(network: Network, port: number, parameters: Record<string, string> = {}): Promise<RawClient> {
    const client = new RawClient(await network.connect('127.0.0.1', port))
    writeStartup(client.out, new Map(Object.entries({ user: 'lattice', database: 'lattice', ...parameters })))
    client.flush()
    await client.until((line) => line.startsWith('readyForQuery') || line.startsWith('error'))
    return client
  }

  get socket(): Socket {
    return this.#socket
  }

  attach(socket: Socket): void {
    this.#socket = socket
    socket.onData((chunk) => {
      this.bytes += chunk.length
      this.#frames.feed(chunk)
      while (this.#frames.next()) this.#show()
      this.#check()
    })
    socket.onClose(() => {
      if (socket !== this.#socket) return
      this.closed = true
      this.#check()
    })
  }

  flush(): void {
    const bytes = this.out.copy()
    this.out.reset()
    if (bytes.length > 0) this.#socket.write(bytes)
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  /** Lines since the last call, once the test holds for some line or the connection closed. */
  async until(test: (line: string) => boolean): Promise<string[]> {
    let at = -1
    let seen = 0
    await this.when(() => {
      while (at < 0 && seen < this.lines.length) if (test(this.lines[seen++])) at = seen - 1
      return this.closed || at >= 0
    })
    return this.lines.splice(0, at < 0 ? this.lines.length : at + 1)
  }

  /** Sends what was written, answers the lines up to ReadyForQuery. */
  roundTrip(): Promise<string[]> {
    this.flush()
    return this.until((line) => line.startsWith('readyForQuery'))
  }

  when(test: () => boolean): Promise<void> {
    if (test()) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ test, resolve }))
  }

  close(): void {
    this.#socket.destroy()
  }

  #check(): void {
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      if (this.#waiting[i].test()) this.#waiting.splice(i, 1)[0].resolve()
    }
  }

  #show(): void {
    const frame = this.#frames
    const body = new BodyReader()
    body.open(frame)
    const name = letters.get(frame.type) ?? `?${frame.type}`
    this.lines.push([name, ...this.#content(frame.type, body)].join(' '))
  }

  #content(type: number, body: BodyReader): (string | number)[] {
    switch (type) {
      case backend.readyForQuery:
        return [String.fromCharCode(body.u8())]
      case backend.commandComplete:
      case backend.parameterStatus: {
        const words = [body.cstring()]
        if (body.left > 0) words.push(body.cstring())
        return words
      }
      case backend.error:
      case backend.notice: {
        const { severity, sqlstate, error } = readReport(body)
        return [severity, sqlstate, error.message]
      }
      case backend.backendKeyData:
        this.processId = body.u32()
        this.secretKey = Uint8Array.from(body.buffer.subarray(body.at, body.end))
        return []
      case backend.notification:
        return [body.u32(), body.cstring(), body.cstring()]
      case backend.authentication:
        return [body.u32()]
      case backend.parameterDescription:
        return Array.from({ length: body.u16() }, () => body.u32())
      case backend.copyData:
        return [JSON.stringify(body.buffer.toString('utf8', body.at, body.end))]
      case backend.copyIn:
      case backend.copyOut:
        return [body.u8(), body.u16()]
      case backend.rowDescription:
        return Array.from({ length: body.u16() }, () => {
          const column = body.cstring()
          body.skip(6)
          const shown = `${column}:${body.u32()}`
          body.skip(6)
          return shown + (body.u16() === 1 ? ':binary' : '')
        })
      case backend.dataRow:
        return Array.from({ length: body.u16() }, () => {
          const length = body.i32()
          if (length < 0) return 'NULL'
          const at = body.skip(length)
          const text = body.buffer.toString('utf8', at, at + length)
          return /^[\x20-\x7e]*$/.test(text) ? text : '0x' + body.buffer.toString('hex', at, at + length)
        })
      case backend.negotiateVersion:
        return [body.u32(), ...Array.from({ length: body.u32() }, () => body.cstring())]
      default:
        return []
    }
  }
}
