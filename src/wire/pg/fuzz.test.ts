/**
 * Mutated protocol streams. Whatever arrives, the server answers with well-formed messages or closes, the process
 * lives, and the next client is served. The decoder is fed without a socket, so thousands of streams take a second.
 *
 *   replay:  SEED=<n> node --test src/wire/pg/fuzz.test.ts        longer:  STREAMS=1000000 node --test …
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteWriter } from '../../encoding/index.ts'
import type { Io, Listener, Network, Socket } from '../../io/index.ts'
import { nodeIo } from '../../io/node/index.ts'
import * as write from './client-messages.ts'
import { FakeDatabase } from './fake-database.fixture.ts'
import { FrameReader } from './frames.ts'
import { PgServer } from './pg-server.ts'
import { backend, frontend } from './protocol.ts'

const seed = Number(process.env.SEED ?? 20_261_120)
const streams = Number(process.env.STREAMS ?? 4000)

/** A small generator with a period that is long enough (mulberry32). */
function generator(state: number): (bound: number) => number {
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % bound
  }
}

/** The server's end of a connection that exists only in memory. */
class MemorySocket implements Socket {
  readonly remoteAddress = '127.0.0.1:1'
  readonly received: Uint8Array[] = []
  ended = false
  data: (chunk: Uint8Array) => void = () => {}
  #close: () => void = () => {}

  write(bytes: Uint8Array): boolean {
    this.received.push(bytes)
    return true
  }
  onData(handler: (chunk: Uint8Array) => void): void {
    this.data = handler
  }
  onDrain(): void {}
  onClose(handler: (error: Error | undefined) => void): void {
    this.#close = () => handler(undefined)
  }
  pause(): void {}
  resume(): void {}
  end(): void {
    this.ended = true
  }
  destroy(): void {
    if (!this.ended) this.#close()
    this.ended = true
  }
}

const statements = ['select 1', "select 'x', null", 'rows(3)', 'slow(2)', 'copyin', 'copyout 3', 'begin', 'commit']
const more = ['fail(unique_violation)', 'bug', 'notice', 'select $1::int4, $2', ' ', 'no such', 'set a b']

function randomMessage(out: ByteWriter, random: (bound: number) => number): void {
  const all = [...statements, ...more]
  const text = all[random(all.length)]
  const name = ['', 'a', 'b'][random(3)]
  switch (random(12)) {
    case 0:
    case 1:
      write.writeQuery(out, text + (random(3) === 0 ? ';' + all[random(all.length)] : ''))
      break
    case 2:
      write.writeParse(out, name, text, random(2) === 0 ? [] : [23, 25])
      break
    case 3:
      write.writeBind(out, ['', 'p'][random(2)], name, random(2) ? [] : ['7', null], random(2) ? [] : [1])
      break
    case 4:
      write.writeDescribe(out, random(2) ? 'S' : 'P', name)
      break
    case 5:
      write.writeExecute(out, ['', 'p'][random(2)], random(3))
      break
    case 6:
      write.writeClose(out, random(2) ? 'S' : 'P', name)
      break
    case 7:
      write.writeCopyData(out, Buffer.from('1\t2\n'))
      break
    case 8:
      write.writeBare(out, frontend.copyDone)
      break
    case 9:
      write.writeBare(out, random(2) ? frontend.flush : frontend.functionCall)
      break
    default:
      write.writeBare(out, frontend.sync)
  }
}

function mutate(bytes: Uint8Array, random: (bound: number) => number): Uint8Array {
  let out = Buffer.from(bytes)
  for (let i = random(4); i > 0 && out.length > 0; i--) {
    const at = random(out.length)
    switch (random(5)) {
      case 0:
        out[at] ^= 1 << random(8)
        break
      case 1:
        out[at] = [0, 0xff, 0x7f, 0x80][random(4)]
        break
      case 2:
        out = Buffer.concat([out.subarray(0, at), out.subarray(Math.min(out.length, at + 1 + random(8)))])
        break
      case 3:
        out = Buffer.concat([out.subarray(0, at), Buffer.from([random(256)]), out.subarray(at)])
        break
      default:
        out = Buffer.concat([out.subarray(0, at), out.subarray(random(at + 1), at), out.subarray(at)])
    }
  }
  return out
}

/** Every answer must be whole messages of known types, in which errors carry an SQLSTATE. */
function checkAnswers(socket: MemorySocket): void {
  const known = new Set<number>(Object.values(backend))
  const frames = new FrameReader()
  frames.typed()
  frames.limit = 1 << 24
  frames.feed(Buffer.concat(socket.received))
  while (frames.next()) {
    assert.ok(known.has(frames.type), `message type ${frames.type}`)
    if (frames.type === backend.error) {
      const text = frames.buffer.toString('latin1', frames.start, frames.end)
      assert.match(text, /^S(ERROR|FATAL)\0V(ERROR|FATAL)\0C[0-9A-Z]{5}\0M/)
    }
  }
  assert.equal(frames.unread, 0, 'a cut message')
}

test(`${streams} mutated streams`, async () => {
  let accept: (socket: Socket) => void = () => {}
  const network: Network = {
    listen: async (_host, _port, handler): Promise<Listener> => {
      accept = handler
      return { port: 1, close: async () => {} }
    },
    connect: () => Promise.reject(new Error('not here')),
  }
  const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet }
  const real = nodeIo({ log: quiet })
  const io: Io = { ...real, network, dead: false }
  const database = new FakeDatabase()
  const server = await PgServer.start({ io, database, host: '', port: 0, messageBytes: 1 << 16 })
  const codes = new Map<string, number>()
  for (let i = 0; i < streams; i++) {
    const random = generator(seed + i)
    const out = new ByteWriter()
    const first = new Map([['user', 'u']])
    write.writeStartup(out, first)
    const handshake = random(8) === 0 ? mutate(out.copy(), random) : out.copy()
    out.reset()
    for (let n = 1 + random(12); n > 0; n--) randomMessage(out, random)
    const stream = Buffer.concat([handshake, mutate(out.copy(), random)])
    const socket = new MemorySocket()
    accept(socket)
    try {
      for (let at = 0; at < stream.length && !socket.ended; ) {
        const size = random(3) === 0 ? stream.length : 1 + random(40)
        socket.data(stream.subarray(at, at + size))
        at += size
        if (random(4) === 0) await io.tasks.yield()
      }
      // What is under way comes to its end before the answers are looked at; canned statements wait few turns.
      for (let turns = 0; turns < 12; turns++) await Promise.resolve()
      await io.tasks.yield()
      checkAnswers(socket)
      for (const [code] of Buffer.concat(socket.received)
        .toString('latin1')
        .matchAll(/(?<=\0C)[0-9A-Z]{5}(?=\0M)/g)) {
        codes.set(code, (codes.get(code) ?? 0) + 1)
      }
    } catch (error) {
      throw new Error(`stream ${i}; replay: SEED=${seed + i} STREAMS=1 node --test src/wire/pg/fuzz.test.ts`, {
        cause: error,
      })
    }
    socket.destroy()
  }
  assert.equal(server.stats().connections, 0, 'no connection is left behind')
  for (const code of ['08P01', '22021', '23505', '26000', '34000', '42601', '54000', 'XX000', '0A000']) {
    if (streams >= 4000) assert.ok(codes.has(code), `the streams reach ${code}`)
  }
  const next = new MemorySocket()
  accept(next)
  const out = new ByteWriter()
  write.writeStartup(out, new Map([['user', 'u']]))
  write.writeQuery(out, 'select 1')
  next.data(out.copy())
  assert.ok(Buffer.concat(next.received).includes(Buffer.from('SELECT 1')), 'the next client is served')
  next.destroy()
  await server.stop(0)
  await real.stop()
})
