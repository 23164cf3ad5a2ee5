/**
 * Frames: what is written is read, whatever the chunks; what is damaged is found, and never reaches a handler.
 *
 *   replay:  SEED=<n> node --test src/wire/peer/frame.test.ts      longer:  ROUNDS=100000 node --test …
 */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { channelGossip, channelLiveness, channelRaft } from '../../cluster/index.ts'
import { SimRandom } from '../../testing/index.ts'
import { Assembly } from './assembly.ts'
import { flagPiece, kindMessage, kindRequest, maxPieceBytes, PeerFrameReader } from './frame.ts'
import { encodePacket, PacketReader, packetHello } from './handshake.ts'
import { Outbox } from './outbox.ts'

const seed = process.env.SEED ?? '20261120'
const rounds = Number(process.env.ROUNDS ?? 400)

interface Got {
  readonly kind: number
  readonly service: number
  readonly payload: Uint8Array
}

/** Reads a stream to its end, pieces put together. */
class Reading {
  readonly got: Got[] = []
  readonly #assembly = new Assembly()
  readonly reader = new PeerFrameReader({
    frame: (kind, flags, service, id, payload) => {
      const whole = flags === flagPiece ? this.#assembly.add(kind, id, payload) : payload
      if (whole !== undefined) this.got.push({ kind, service, payload: whole })
    },
  })
}

/** What an outbox wrote, as one stream. */
function written(fill: (outbox: Outbox) => void): Buffer {
  const chunks: Uint8Array[] = []
  const outbox = new Outbox((bytes) => {
    chunks.push(bytes)
    return true
  })
  fill(outbox)
  outbox.flush()
  assert.equal(outbox.queuedBytes, 0)
  return Buffer.concat(chunks)
}

function cutUp(stream: Buffer, random: SimRandom, push: (chunk: Uint8Array) => void): void {
  for (let at = 0; at < stream.length; ) {
    const end = Math.min(stream.length, at + 1 + random.below(random.chance(0.5) ? 20 : 100_000))
    push(stream.subarray(at, end))
    at = end
  }
}

test(`any payloads through any chunks (SEED=${seed})`, () => {
  const random = new SimRandom(seed)
  for (let round = 0; round < rounds / 4; round++) {
    const sent: Buffer[] = []
    const stream = written((outbox) => {
      for (let i = random.below(20); i >= 0; i--) {
        const length = random.chance(0.2) ? maxPieceBytes - 1 + random.below(3) : random.below(300)
        const bytes = Buffer.from(random.bytes(random.chance(0.1) ? length * 3 : length))
        sent.push(bytes)
        outbox.message(channelRaft, bytes)
        if (random.chance(0.2)) outbox.message(channelLiveness, bytes)
      }
    })
    const reading = new Reading()
    cutUp(stream, random, (chunk) => reading.reader.push(chunk))
    const raft = reading.got.filter((got) => got.service === channelRaft)
    assert.equal(raft.length, sent.length)
    for (const [i, got] of raft.entries()) assert.ok(sent[i].equals(got.payload), `SEED=${seed} round ${round}`)
  }
})

test(`damaged streams are refused and nothing false is delivered (SEED=${seed})`, () => {
  const random = new SimRandom(seed)
  let refused = 0
  for (let round = 0; round < rounds; round++) {
    const sent = Array.from({ length: 5 }, () => Buffer.from(random.bytes(random.below(200))))
    const stream = written((outbox) => {
      for (const bytes of sent) outbox.message(channelRaft, bytes)
    })
    const at = random.below(stream.length)
    stream[at] ^= 1 << random.below(8)
    const reading = new Reading()
    try {
      cutUp(stream, random, (chunk) => reading.reader.push(chunk))
    } catch (error) {
      assert.ok(
        error instanceof DbError && error.code === 'protocol_violation',
        `SEED=${seed} round ${round}: ${error}`,
      )
      refused++
    }
    // A longer length may swallow the rest and wait for more; nothing wrong comes out.
    assert.ok(reading.got.length < sent.length, `SEED=${seed} round ${round}`)
    for (const [i, got] of reading.got.entries()) assert.ok(sent[i].equals(got.payload), `SEED=${seed} round ${round}`)
  }
  assert.ok(refused > rounds / 2)
})

test(`random first packets are refused or waited for, never believed (SEED=${seed})`, () => {
  const random = new SimRandom(seed)
  for (let round = 0; round < rounds; round++) {
    const packet = encodePacket(packetHello, { text: 'x'.repeat(random.below(50)) })
    // The kind and the versions, bytes 8 to 15, are outside of the checksum: they are checked by what they mean.
    const at = random.below(packet.length - 8)
    packet[at < 8 ? at : at + 8] ^= 1 + random.below(255)
    const reader = new PacketReader()
    try {
      assert.equal(reader.push(packet), undefined, `SEED=${seed} round ${round}`)
    } catch (error) {
      assert.ok(error instanceof DbError, `SEED=${seed} round ${round}: ${error}`)
    }
  }
})

test('pieces that do not fit are refused', () => {
  const piece = (total: number, offset: number, count: number) => {
    const bytes = Buffer.alloc(8 + count)
    bytes.writeUInt32BE(total, 0)
    bytes.writeUInt32BE(offset, 4)
    return bytes
  }
  const refused = { code: 'protocol_violation' }
  const assembly = new Assembly()
  assert.throws(() => assembly.add(kindRequest, 1, piece(100, 50, 10)), refused)
  assert.throws(() => assembly.add(kindRequest, 1, piece(0xffff_ffff, 0, 10)), refused)
  assert.throws(() => assembly.add(kindRequest, 1, piece(5, 0, 10)), refused)
  const other = new Assembly()
  assert.equal(other.add(kindMessage, 1, piece(100, 0, 10)), undefined)
  assert.equal(other.add(kindRequest, 1, piece(30, 0, 10)), undefined)
  assert.throws(() => other.add(kindMessage, 1, piece(100, 20, 10)), refused)
  assert.throws(() => other.add(kindMessage, 1, piece(99, 10, 10)), refused)
})

test('heartbeats leave before all that was queued earlier', () => {
  const stream = written((outbox) => {
    outbox.message(channelRaft, Buffer.alloc(200_000))
    for (let i = 0; i < 100; i++) outbox.message(channelGossip, Buffer.alloc(10_000))
    outbox.message(channelLiveness, Buffer.alloc(10))
  })
  const reading = new Reading()
  reading.reader.push(stream)
  assert.equal(reading.got[0].service, channelLiveness)
  assert.equal(reading.got.length, 102)
})

test('what nobody waits for any more does not leave, and a full socket stops the rest', () => {
  let open = true
  let bytes = 0
  const outbox = new Outbox((chunk) => {
    bytes += chunk.length
    return open
  })
  const kept = { sent: false, cancelled: false }
  const cancelled = { sent: false, cancelled: true }
  outbox.request(1, 1, Buffer.alloc(100), cancelled)
  outbox.request(1, 2, Buffer.alloc(100_000), cancelled)
  outbox.request(1, 3, Buffer.alloc(100), kept)
  outbox.flush()
  assert.deepEqual([bytes, kept.sent, cancelled.sent], [116, true, false])
  open = false
  const later = { sent: false, cancelled: false }
  outbox.message(channelRaft, Buffer.alloc(1_000_000))
  outbox.flush()
  outbox.request(1, 4, Buffer.alloc(100), later)
  outbox.flush()
  assert.equal(later.sent, false)
  assert.ok(outbox.queuedBytes > 800_000)
  open = true
  outbox.drained()
  assert.deepEqual([later.sent, outbox.queuedBytes], [true, 0])
})
