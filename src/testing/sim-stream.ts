/**
 * A duplex stream of Node over a simulated connection: what drivers take in place of a socket. While the driver waits
 * for its server, or bytes are on their way, simulated time goes on.
 *
 * It has the methods of net.Socket that drivers call (connect, setNoDelay, setKeepAlive, ref, …); connecting begins at
 * once, and `connect()` only makes sure that the event comes.
 *
 * Not here: the protocol (pg-activity.ts), the network (sim-network.ts).
 */
import { Duplex } from 'node:stream'
import { microtask } from '../base/index.ts'
import type { Socket } from '../io/index.ts'
import { PgActivity } from './pg-activity.ts'
import { type Pump, Wait } from './pump.ts'
import type { SimIo } from './sim-io.ts'

type Callback = (error?: Error | null) => void

export class SimStream extends Duplex {
  /** As net.Socket has it. */
  connecting = true
  /** Idle time-outs of real time have no place in simulated time. */
  readonly setTimeout = (): this => this
  readonly #pump: Pump
  readonly #where: string
  readonly #activity = new PgActivity()
  #socket: Socket | undefined
  #wait: Wait | undefined
  /** Written before the connection was there. */
  #first: (() => void) | undefined
  #drained: Callback | undefined
  #announced = false
  /** Ended on our side: the server closes. */
  #ending = false
  /** Nothing comes any more. */
  #over = false

  constructor(io: SimIo, pump: Pump, host: string, port: number, where: string) {
    super({ allowHalfOpen: false })
    this.#pump = pump
    this.#where = where
    this.#keepRunning()
    io.network.connect(host, port).then(
      (socket) => this.#connected(socket),
      (error: Error) => this.#refused(error, host, port),
    )
  }

  /** 'opening' | 'open' | 'closed', as net.Socket has it. */
  get readyState(): string {
    if (this.destroyed) return 'closed'
    return this.connecting ? 'opening' : 'open'
  }

  connect(): this {
    if (!this.connecting) microtask(() => this.#announce())
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Callback): void {
    if (this.#socket === undefined) {
      this.#first = () => this._write(chunk, _encoding, done)
      return
    }
    // Drivers use their buffers again.
    const bytes = Uint8Array.prototype.slice.call(chunk)
    this.#activity.sent(bytes)
    const room = this.#socket.write(bytes)
    if (!room) this.#drained = done
    this.#keepRunning()
    if (room) done()
  }

  override _read(): void {
    this.#socket?.resume()
  }

  override _final(done: Callback): void {
    this.#ending = true
    this.#socket?.end()
    this.#keepRunning()
    done()
  }

  override _destroy(error: Error | null, done: Callback): void {
    this.#rest()
    this.#socket?.destroy()
    done(error)
  }

  #connected(socket: Socket): void {
    if (this.destroyed) {
      socket.destroy()
      return
    }
    this.#socket = socket
    this.connecting = false
    socket.onData((chunk) => this.#received(chunk))
    socket.onDrain(() => {
      const done = this.#drained
      this.#drained = undefined
      done?.()
    })
    socket.onClose((error) => this.#closed(error))
    this.#announce()
    const first = this.#first
    this.#first = undefined
    first?.()
    this.#keepRunning()
  }

  #announce(): void {
    if (this.#announced || this.destroyed) return
    this.#announced = true
    this.emit('connect')
  }

  #refused(cause: Error, host: string, port: number): void {
    this.connecting = false
    this.destroy(systemError('ECONNREFUSED', `connect ECONNREFUSED ${host}:${port}`, cause))
  }

  #received(chunk: Uint8Array): void {
    this.#activity.received(chunk)
    if (!this.push(Buffer.from(chunk))) this.#socket!.pause()
    this.#keepRunning()
  }

  #closed(error: Error | undefined): void {
    this.#over = true
    if (error === undefined) {
      this.push(null)
      this.#rest()
    } else this.destroy(systemError('ECONNRESET', 'read ECONNRESET', error))
  }

  /** Begins or ends the wait that makes the world run, as the state of the connection demands. */
  #keepRunning(): void {
    const needed = this.connecting || this.#ending || this.#drained !== undefined || this.#activity.waiting
    this.#rest()
    if (!needed || this.#over || this.destroyed) return
    // Nobody listens any more to a driver that has said goodbye.
    const parting = this.#ending || this.#activity.terminated
    this.#wait = new Wait(`the driver ${this.#where}`, (error) => this.destroy(parting ? undefined : (error as Error)))
    this.#pump.begin(this.#wait)
  }

  #rest(): void {
    if (this.#wait !== undefined) this.#pump.end(this.#wait)
    this.#wait = undefined
  }
}

function systemError(code: string, message: string, cause: Error): Error {
  return Object.assign(new Error(message, { cause }), { code, syscall: code === 'ECONNREFUSED' ? 'connect' : 'read' })
}
