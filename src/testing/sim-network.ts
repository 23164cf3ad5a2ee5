/**
 * A simulated network of byte streams between named hosts: seeded delays, chunks split at random, hosts cut off from
 * each other. A cut stalls what is under way, as lost packets do; `heal` lets it arrive; a dead host resets.
 *
 * Not here: protocols.
 */
import { DbError } from '../base/index.ts'
import type { Listener, Network, Socket } from '../io/index.ts'
import type { SimIo } from './sim-io.ts'
import type { SimRandom } from './sim-random.ts'
import type { SimWorld } from './sim-world.ts'

/** Bytes in flight above which a writer is told to stop. */
const window = 256 * 1024
/** Bytes that arrive together, at least one chunk. */
const mostAtOnce = 64 * 1024

interface SimListener {
  readonly io: SimIo
  readonly accept: (socket: Socket) => void
}

export class SimInternet {
  readonly world: SimWorld
  readonly random: SimRandom
  /** Bounds of one way's delay. Microseconds. */
  delayMicros: readonly [low: number, high: number] = [50, 500]
  readonly listeners = new Map<string, SimListener>()
  /** Directions in which nothing passes, and how many faults say so. */
  readonly #cuts = new Map<string, number>()
  /** Additional delays by direction. */
  readonly #slowed = new Map<string, number>()
  readonly #sockets = new Map<SimIo, Set<SimSocket>>()
  #nextPort = 50_000

  constructor(world: SimWorld) {
    this.world = world
    this.random = world.random.fork('network')
  }

  attach(io: SimIo): Network {
    this.#sockets.set(io, new Set())
    return {
      listen: (host, port, accept) => this.#listen(io, host, port, accept),
      connect: (host, port) => this.#connect(io, host, port),
    }
  }

  /** Nothing passes between two hosts, in either direction, until healed. */
  cut(a: string, b: string): void {
    this.block(a, b)
    this.block(b, a)
  }

  /** Nothing passes from one host to another until healed, or until the function that it returns was called as well. */
  block(from: string, to: string): () => void {
    const way = `${from} ${to}`
    this.world.trace.note('block', 0, 0, way)
    this.#cuts.set(way, (this.#cuts.get(way) ?? 0) + 1)
    let over = false
    return () => {
      const count = this.#cuts.get(way)
      if (over || count === undefined) return
      over = true
      if (count > 1) this.#cuts.set(way, count - 1)
      else this.#cuts.delete(way)
      this.world.trace.note('unblock', 0, 0, way)
      this.#pumpAll()
    }
  }

  /** What goes from one host to another takes so much longer, until the function that it returns is called. */
  slow(from: string, to: string, micros: number): () => void {
    const way = `${from} ${to}`
    this.world.trace.note('slow', micros, 0, way)
    this.#slowed.set(way, (this.#slowed.get(way) ?? 0) + micros)
    let over = false
    return () => {
      if (over) return
      over = true
      this.#slowed.set(way, (this.#slowed.get(way) ?? 0) - micros)
    }
  }

  /** Ends all cuts. */
  heal(): void {
    this.#cuts.clear()
    this.#pumpAll()
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from} ${to}`)
  }

  #pumpAll(): void {
    for (const sockets of this.#sockets.values()) for (const socket of sockets) socket.pump()
  }

  /** An incarnation ended: its listeners vanish, its peers see a reset. */
  drop(io: SimIo): void {
    for (const [address, listener] of this.listeners) if (listener.io === io) this.listeners.delete(address)
    for (const socket of this.#sockets.get(io) ?? []) socket.reset()
    this.#sockets.delete(io)
  }

  forget(socket: SimSocket): void {
    this.#sockets.get(socket.io)?.delete(socket)
  }

  /** One way's delay, drawn anew each time. */
  delay(from: string, to: string): number {
    const micros = this.random.between(this.delayMicros[0], this.delayMicros[1])
    return this.#slowed.size === 0 ? micros : micros + (this.#slowed.get(`${from} ${to}`) ?? 0)
  }

  async #listen(io: SimIo, host: string, port: number, accept: (socket: Socket) => void): Promise<Listener> {
    const chosen = port === 0 ? this.#nextPort++ : port
    const address = `${host}:${chosen}`
    this.world.trace.note('listen', chosen, 0, host)
    if (this.listeners.has(address)) throw new DbError('object_in_use', `could not listen on ${address}: it is taken`)
    this.listeners.set(address, { io, accept })
    return {
      port: chosen,
      close: async () => {
        this.listeners.delete(address)
      },
    }
  }

  #connect(io: SimIo, host: string, port: number): Promise<Socket> {
    this.world.trace.note('connect', port, 0, host)
    return new Promise((done, fail) => {
      io.later(this.delay(io.host, host) + this.delay(host, io.host), () => {
        const listener = this.listeners.get(`${host}:${port}`)
        const there = listener?.io.host ?? host
        if (listener === undefined || listener.io.dead || this.isCut(io.host, there) || this.isCut(there, io.host)) {
          fail(new DbError('connection_failure', `could not connect to ${host}:${port}`))
          return
        }
        const ours = new SimSocket(this, io, `${host}:${port}`)
        const theirs = new SimSocket(this, listener.io, `${io.host}:${this.#nextPort++}`)
        ours.peer = theirs
        theirs.peer = ours
        this.#sockets.get(io)?.add(ours)
        this.#sockets.get(listener.io)?.add(theirs)
        // A process that is stopped accepts when it goes on; its machine has answered already.
        if (listener.io.paused) listener.io.later(0, () => listener.accept(theirs))
        else listener.accept(theirs)
        done(ours)
      })
    })
  }
}

class SimSocket implements Socket {
  readonly remoteAddress: string
  readonly io: SimIo
  peer: SimSocket | undefined
  readonly #internet: SimInternet
  readonly #data: ((chunk: Uint8Array) => void)[] = []
  readonly #drain: (() => void)[] = []
  #onClose: ((error: Error | undefined) => void) | undefined
  /** What has arrived and waits for a reader. */
  readonly #arrived: Uint8Array[] = []
  /** What was written and is under way to the peer; an empty chunk is the end. */
  #outgoing: Uint8Array[] = []
  #outgoingBytes = 0
  #moving = false
  #paused = false
  #ended = false
  #closed = false
  #blocked = false

  constructor(internet: SimInternet, io: SimIo, remoteAddress: string) {
    this.#internet = internet
    this.io = io
    this.remoteAddress = remoteAddress
  }

  write(bytes: Uint8Array): boolean {
    this.#internet.world.trace.noteBytes('send', this.remoteAddress, 0, bytes)
    if (this.#closed || this.#ended || bytes.length === 0) return true
    this.#outgoing.push(bytes)
    this.#outgoingBytes += bytes.length
    this.pump()
    this.#blocked ||= this.#outgoingBytes > window
    return !this.#blocked
  }

  onData(handler: (chunk: Uint8Array) => void): void {
    this.#data.push(handler)
    this.#deliver()
  }

  onDrain(handler: () => void): void {
    this.#drain.push(handler)
  }

  onClose(handler: (error: Error | undefined) => void): void {
    this.#onClose = handler
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#deliver()
    this.peer?.pump()
  }

  end(): void {
    if (this.#ended || this.#closed) return
    this.#ended = true
    this.#outgoing.push(new Uint8Array(0))
    this.pump()
  }

  destroy(): void {
    this.#close(undefined)
    const { peer } = this
    if (peer) peer.io.later(this.#delay(), () => peer.#close(undefined))
  }

  /** The other side's machine or process died. */
  reset(): void {
    const { peer } = this
    this.#closed = true
    if (peer) peer.io.later(this.#delay(), () => peer.#close(new Error('connection reset by peer')))
  }

  /**
   * Moves what was written towards the peer, all of it together, unless something is on the way, the network is cut or
   * the peer is full.
   */
  pump(): void {
    const { peer } = this
    if (this.#moving || this.#outgoing.length === 0 || peer === undefined || this.#closed) return
    if (this.#internet.isCut(this.io.host, peer.io.host)) return
    if (peer.#paused && peer.#arrived.length > 4) return
    this.#moving = true
    const count = this.#outgoing.length
    const arrive = () => {
      this.#moving = false
      if (peer.io.dead || peer.#closed) return
      const chunk = this.#take(count)
      if (chunk.length === 0) {
        peer.#close(undefined)
        this.#close(undefined)
        return
      }
      const cut =
        chunk.length > 1 && this.#internet.random.chance(0.2) ? this.#internet.random.between(1, chunk.length - 1) : 0
      if (cut > 0) this.#outgoing.unshift(chunk.subarray(cut))
      const piece = cut > 0 ? chunk.slice(0, cut) : chunk.slice()
      this.#outgoingBytes -= piece.length
      peer.#arrived.push(piece)
      peer.#deliver()
      if (this.#blocked && this.#outgoingBytes <= window / 2) {
        this.#blocked = false
        for (const handler of this.#drain) handler()
      }
      this.pump()
    }
    this.#internet.world.schedule(this.#delay(), arrive, peer.io)
  }

  /** The first chunks written, joined; an empty one is the end. */
  #take(count: number): Uint8Array {
    let joined = 0
    let bytes = 0
    while (joined < count && this.#outgoing[joined].length > 0 && (joined === 0 || bytes < mostAtOnce))
      bytes += this.#outgoing[joined++].length
    if (joined <= 1) return this.#outgoing.shift()!
    const out = new Uint8Array(bytes)
    let at = 0
    for (const chunk of this.#outgoing.splice(0, joined)) {
      out.set(chunk, at)
      at += chunk.length
    }
    return out
  }

  #delay(): number {
    return this.#internet.delay(this.io.host, this.peer?.io.host ?? '')
  }

  #deliver(): void {
    while (this.#arrived.length > 0 && !this.#paused && this.#data.length > 0 && !this.#closed && !this.io.dead) {
      const chunk = this.#arrived.shift()!
      for (const handler of this.#data) handler(chunk)
    }
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return
    this.#paused = false
    this.#deliver()
    this.#closed = true
    this.#internet.forget(this)
    if (!this.io.dead) this.#onClose?.(error)
  }
}
