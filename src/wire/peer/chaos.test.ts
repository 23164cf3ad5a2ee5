/**
 * Nodes that talk while hosts are cut off, crash and come back. What must hold: a request reaches its handler at most
 * once; one that failed with `sent` false never does; messages arrive in order, none twice; in the end all talk again.
 *
 *   replay:  SEED=<n> node --test src/wire/peer/chaos.test.ts      longer:  SEEDS=1000 node --test …
 */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { channelGossip, channelRaft, RemoteFailure } from '../../cluster/index.ts'
import type { SimIo } from '../../testing/index.ts'
import type { PeerTransport } from './peer-server.ts'
import { hostOf, port, SimPeers, textOf } from './peers.fixture.ts'

const count = Number(process.env.SEEDS ?? 25)
const seeds = process.env.SEED ? [process.env.SEED] : Array.from({ length: count }, (_, i) => String(i + 1))
const size = 3
const service = 7

class Chaos {
  readonly sim: SimPeers
  readonly random
  readonly nodes: { io: SimIo; peer: PeerTransport; incarnation: number }[] = []
  /** How often handlers saw each request. */
  readonly seen = new Map<string, number>()
  readonly unsent = new Set<string>()
  readonly answered = new Set<string>()
  /** The last message of a sender's incarnation at a receiver's. */
  readonly last = new Map<string, number>()
  #number = 0

  constructor(seed: string) {
    this.sim = new SimPeers(seed)
    this.random = this.sim.world.random.fork('chaos')
  }

  say(what: string): string {
    return `SEED=${this.sim.world.seed}: ${what}`
  }

  async start(node: number, incarnation: number): Promise<void> {
    const io = this.sim.io(node)
    const peer = await this.sim.start(node, { io, identity: { incarnation }, handshakeMs: 1000 })
    for (let other = 1; other <= size; other++) peer.setAddress(other, hostOf(other), port)
    peer.onRequest(service, (_, body) => {
      const key = textOf(body.subarray(0, 20)).trim()
      this.seen.set(key, (this.seen.get(key) ?? 0) + 1)
      return new Promise((done) => io.tasks.after(this.random.below(30), () => done(body)))
    })
    for (const channel of [channelRaft, channelGossip]) {
      peer.onMessage(channel, (from, bytes) => {
        const [sender, number] = textOf(bytes.subarray(0, 20)).trim().split(' ')
        const key = `${sender} ${from}→${node}.${incarnation} ${channel}`
        assert.ok(
          Number(number) > (this.last.get(key) ?? -1),
          this.say(`${key}: ${number} after ${this.last.get(key)}`),
        )
        this.last.set(key, Number(number))
      })
    }
    this.nodes[node] = { io, peer, incarnation }
  }

  body(text: string): Uint8Array {
    const length = this.random.chance(0.1) ? this.random.below(300_000) : this.random.below(200)
    return Buffer.concat([Buffer.from(text.padEnd(20)), Buffer.alloc(length, 'x')])
  }

  request(from: number, to: number): Promise<void> {
    const { peer } = this.nodes[from]
    const key = String(++this.#number)
    const body = this.body(key)
    return peer.request(to, service, body, 50 + this.random.below(3000)).then(
      (answer) => {
        assert.equal(answer.length, body.length)
        this.answered.add(key)
      },
      (error) => {
        assert.ok(error instanceof RemoteFailure, this.say(String(error)))
        if (!error.sent) this.unsent.add(key)
      },
    )
  }

  message(from: number, to: number): void {
    const { peer, incarnation } = this.nodes[from]
    const channel = this.random.pick([channelRaft, channelGossip])
    peer.send(to, channel, this.body(`${incarnation} ${++this.#number}`))
  }

  async disturb(): Promise<void> {
    const node = 1 + this.random.below(size)
    const { internet } = this.sim.world
    if (this.random.chance(0.4)) internet.cut(hostOf(node), hostOf(1 + this.random.below(size)))
    else if (this.random.chance(0.5)) internet.heal()
    else {
      const { io, incarnation } = this.nodes[node]
      io.crash()
      await this.start(node, incarnation + 1)
    }
  }

  async run(): Promise<void> {
    const failures: unknown[] = []
    for (let node = 1; node <= size; node++) await this.start(node, 1)
    for (let step = 0; step < 400; step++) {
      const from = 1 + this.random.below(size)
      const to = 1 + ((from + this.random.below(size - 1)) % size)
      if (this.random.chance(0.5)) this.request(from, to).catch((error) => failures.push(error))
      else this.message(from, to)
      if (this.random.chance(0.03)) await this.disturb()
      if (this.random.chance(0.3)) await this.sim.pass(this.random.below(this.random.chance(0.1) ? 3000 : 20))
    }
    this.sim.world.internet.heal()
    await this.sim.until(() => this.nodes.slice(1).every(({ peer }) => peer.stats().connections === size - 1))
    await this.sim.pass(5000)
    for (let from = 1; from <= size; from++) {
      for (let to = 1; to <= size; to++) if (from !== to) await this.request(from, to)
    }
    assert.deepEqual(failures, [])
    this.audit()
  }

  audit(): void {
    for (const [key, times] of this.seen) {
      assert.equal(times, 1, this.say(`request ${key} was seen ${times} times`))
      assert.ok(!this.unsent.has(key), this.say(`request ${key} was seen, and reported as not sent`))
    }
    for (const key of this.answered) assert.ok(this.seen.has(key), this.say(`request ${key} was answered, not seen`))
    const last = [...Array(size * (size - 1)).keys()].map((i) => String(this.#number - i))
    for (const key of last) assert.ok(this.answered.has(key), this.say(`request ${key} in the quiet end failed`))
  }
}

test('chaos', async (t) => {
  let unsent = 0
  for (const seed of seeds) {
    t.diagnostic(`SEED=${seed}`)
    const chaos = new Chaos(seed)
    await chaos.sim.run(() => chaos.run())
    unsent += chaos.unsent.size
  }
  if (seeds.length > 10) assert.ok(unsent > 0, 'some requests could not be sent')
})
