/**
 * The gossip core over a network that loses, delays and cuts. Everything is drawn from the seed.
 *
 *   replay:  SEED=<n> node --test src/cluster/members.test.ts      longer:  SEEDS=1000 node --test …
 */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { SimRandom, SimWorld } from '../testing/index.ts'
import { decodeGossip, encodeGossip } from './gossip-message.ts'
import { isPresent, type Member } from './member.ts'
import { defaultGossip, type Effects, type MemberEvent, Members } from './members.ts'

const count = Number(process.env.SEEDS ?? 12)
const seeds = process.env.SEED ? [process.env.SEED] : Array.from({ length: count }, (_, i) => String(i + 1))

function record(nodeId: number, incarnation = 1): Member {
  const address = { host: `h${nodeId}`, peerPort: 7400, pgHost: `h${nodeId}`, pgPort: 7432, httpPort: 7480 }
  return { nodeId, incarnation, version: 1, state: 'alive', ...address, locality: {}, protocol: 1, startedMicros: 0 }
}

class Net {
  readonly world: SimWorld
  readonly random: SimRandom
  readonly nodes = new Map<number, Members>()
  readonly events: { at: number; node: number; event: MemberEvent }[] = []
  loss = 0
  delayMicros: [number, number] = [100, 5000]
  /** Nodes whose loop stands still: neither ticks nor messages until it goes on. */
  readonly stalled = new Map<number, (() => void)[]>()
  /** Groups that do not hear each other; nodes in none hear all. */
  sides: Set<number>[] = []

  constructor(seed: string) {
    this.world = new SimWorld(seed)
    this.random = this.world.random.fork('net')
  }

  start(nodeId: number, incarnation = 1): Members {
    const random = this.world.random.fork(`node ${nodeId} ${incarnation}`)
    const core = new Members(record(nodeId, incarnation), defaultGossip, random)
    this.nodes.set(nodeId, core)
    const tick = () => {
      if (this.nodes.get(nodeId) !== core) return
      if (!this.stalled.has(nodeId)) this.act(nodeId, core.tick(this.world.nowMicros))
      this.world.schedule(100_000, tick)
    }
    this.world.schedule(this.random.below(100_000), tick)
    return core
  }

  /** A node asks node 1 for what it knows, as after joining. */
  join(nodeId: number, incarnation = 1): Members {
    const core = this.start(nodeId, incarnation)
    if (nodeId !== 1) this.act(nodeId, core.contact(1))
    return core
  }

  act(from: number, { messages, events }: Effects): void {
    for (const event of events) this.events.push({ at: this.world.nowMicros, node: from, event })
    for (const { to, message } of messages) this.deliver(from, to, encodeGossip(message))
  }

  deliver(from: number, to: number, bytes: Uint8Array): void {
    if (this.random.chance(this.loss) || this.isCut(from, to)) return
    this.world.schedule(this.random.between(...this.delayMicros), () => this.arrive(from, to, bytes))
  }

  arrive(from: number, to: number, bytes: Uint8Array): void {
    const core = this.nodes.get(to)
    if (core === undefined) return
    const held = this.stalled.get(to)
    if (held !== undefined) held.push(() => this.arrive(from, to, bytes))
    else this.act(to, core.receive(from, decodeGossip(bytes)!, this.world.nowMicros))
  }

  /** The loop of a node goes on: timers first, then what has arrived meanwhile. */
  resume(node: number): void {
    const held = this.stalled.get(node)!
    this.stalled.delete(node)
    this.act(node, this.nodes.get(node)!.tick(this.world.nowMicros))
    for (const arrive of held) arrive()
  }

  isCut(a: number, b: number): boolean {
    const side = (node: number) => this.sides.findIndex((s) => s.has(node))
    return this.sides.length > 0 && side(a) >= 0 && side(b) >= 0 && side(a) !== side(b)
  }

  pass(seconds: number): Promise<void> {
    return this.world.runFor(seconds * 1_000_000)
  }

  /** What a node thinks of the others. */
  view(nodeId: number): string {
    return [...this.nodes.get(nodeId)!.all]
      .sort((a, b) => a.nodeId - b.nodeId)
      .map((m) => `${m.nodeId}.${m.incarnation}.${m.version} ${m.state}`)
      .join(', ')
  }

  deaths(): number[] {
    return this.events.flatMap(({ event }) =>
      event.kind === 'member' && event.member.state === 'dead' ? [event.member.nodeId] : [],
    )
  }

  /** All running nodes think the same, and everybody who runs is alive. */
  assertAgreed(): void {
    const views = [...this.nodes.keys()].map((node) => this.view(node))
    for (const view of views) assert.equal(view, views[0], `SEED=${this.world.seed}`)
    for (const node of this.nodes.keys()) {
      assert.ok(isPresent(this.nodes.get(1)!.get(node)!), `SEED=${this.world.seed}: node ${node} is missing`)
      assert.equal(this.nodes.get(1)!.get(node)!.state, 'alive', `SEED=${this.world.seed}: node ${node}`)
    }
  }
}

function forSeeds(name: string, body: (net: Net) => Promise<void>): void {
  test(name, async (t) => {
    for (const seed of seeds) {
      t.diagnostic(`SEED=${seed}`)
      await body(new Net(seed))
    }
  })
}

async function cluster(net: Net, size: number): Promise<void> {
  for (let node = 1; node <= size; node++) net.join(node)
  await net.pass(5)
  net.assertAgreed()
}

forSeeds('nodes find each other', async (net) => {
  await cluster(net, 2 + net.random.below(12))
  assert.deepEqual(net.deaths(), [])
})

forSeeds('nobody is declared dead for a few lost messages', async (net) => {
  await cluster(net, 3 + net.random.below(8))
  net.loss = 0.05
  await net.pass(120)
  assert.deepEqual(net.deaths(), [], `SEED=${net.world.seed}`)
  net.loss = 0
  await net.pass(15)
  net.assertAgreed()
})

forSeeds('a crash is noticed by all within seconds, a restart as well', async (net) => {
  const size = 3 + net.random.below(6)
  await cluster(net, size)
  net.loss = 0.02
  const victim = 2 + net.random.below(size - 1)
  net.nodes.delete(victim)
  const died = net.world.nowMicros
  await net.pass(25)
  for (const node of net.nodes.keys()) {
    assert.equal(net.nodes.get(node)!.get(victim)!.state, 'dead', `SEED=${net.world.seed}: at node ${node}`)
    const seen = net.events.find(
      (e) => e.node === node && e.event.kind === 'member' && e.event.member.state === 'dead' && e.at > died,
    )!
    const limit = (size + 2) * 0.5 + 4 * 0.5 * Math.max(1, Math.log2(size)) + 2
    assert.ok(seen.at - died < limit * 1e6, `SEED=${net.world.seed}: after ${(seen.at - died) / 1e6} s of ${limit}`)
  }
  net.loss = 0
  net.join(victim, 2)
  await net.pass(10)
  net.assertAgreed()
  assert.equal(net.nodes.get(1)!.get(victim)!.incarnation, 2)
})

forSeeds('two halves declare each other dead, and find each other when the cut is over', async (net) => {
  const size = 4 + net.random.below(5)
  await cluster(net, size)
  const left = new Set<number>()
  const right = new Set<number>()
  for (let node = 1; node <= size; node++) (net.random.chance(0.5) ? left : right).add(node)
  net.sides = [left, right]
  await net.pass(60)
  for (const a of left) for (const b of right) assert.equal(net.nodes.get(a)!.get(b)!.state, 'dead')
  net.sides = []
  await net.pass(60)
  net.assertAgreed()
})

forSeeds('a suspect refutes', async (net) => {
  await cluster(net, 4)
  const accused = net.nodes.get(3)!.self
  const slander = { kind: 'gossip' as const, members: [{ ...accused, state: 'dead' as const }], info: [] }
  net.act(1, net.nodes.get(1)!.receive(2, slander, net.world.nowMicros))
  assert.equal(net.nodes.get(1)!.get(3)!.state, 'dead')
  await net.pass(10)
  assert.ok(net.events.some(({ node, event }) => node === 3 && event.kind === 'refuted'))
  net.assertAgreed()
  assert.ok(net.nodes.get(1)!.get(3)!.version > accused.version)
})

forSeeds('a node that stood still blames nobody', async (net) => {
  const size = 3 + net.random.below(4)
  await cluster(net, size)
  // What it suspects when it stops is not dead when it goes on: the refutation waits to be read.
  const suspect = { ...net.nodes.get(1)!.self, state: 'suspect' as const }
  net.act(2, net.nodes.get(2)!.receive(3, { kind: 'gossip', members: [suspect], info: [] }, net.world.nowMicros))
  net.stalled.set(2, [])
  await net.pass(60)
  const from = net.events.length
  net.resume(2)
  await net.pass(20)
  const blamed = net.events
    .slice(from)
    .filter(({ node, event }) => node === 2 && event.kind === 'member' && event.member.state === 'dead')
  assert.deepEqual(blamed, [], `SEED=${net.world.seed}`)
  await net.pass(30)
  net.assertAgreed()
})

forSeeds('who left stays away', async (net) => {
  await cluster(net, 4)
  net.act(3, net.nodes.get(3)!.change({ state: 'left' }))
  net.act(3, net.nodes.get(3)!.broadcast())
  await net.pass(3)
  net.nodes.delete(3)
  await net.pass(3)
  for (const node of [1, 2, 4]) assert.equal(net.nodes.get(node)!.get(3)!.state, 'left')
  net.join(3, 2)
  await net.pass(5)
  for (const node of [1, 2, 4]) assert.equal(net.nodes.get(node)!.get(3)!.state, 'left')
  assert.ok(net.events.some(({ node, event }) => node === 3 && event.kind === 'expelled' && event.reason === 'left'))
})

forSeeds('an earlier start of a node is told so', async (net) => {
  await cluster(net, 3)
  net.join(2, 5)
  await net.pass(5)
  net.join(2, 4)
  await net.pass(5)
  assert.ok(net.events.some(({ node, event }) => node === 2 && event.kind === 'expelled'))
  assert.equal(net.nodes.get(1)!.get(2)!.incarnation, 5)
})

forSeeds('information reaches all, the newest wins, whatever happens meanwhile', async (net) => {
  const size = 3 + net.random.below(6)
  await cluster(net, size)
  net.loss = 0.1
  const newest = new Map<string, number>()
  for (let i = 1; i <= 150; i++) {
    const key = `k${net.random.below(60)}`
    const node = 1 + net.random.below(size)
    newest.set(key, i)
    net.act(node, net.nodes.get(node)!.publish({ key, value: i, version: i, node }))
    if (i % 10 === 0) await net.pass(0.1)
    if (i === 70) net.sides = [new Set([1]), new Set([2, 3])]
    if (i === 120) net.sides = []
  }
  net.loss = 0
  await net.pass(60)
  for (const [node, core] of net.nodes) {
    for (const [key, value] of newest) assert.equal(core.info.get(key)?.value, value, `node ${node} ${key}`)
  }
})

test('news is sent a bounded number of times', async () => {
  const net = new Net('bounded')
  await cluster(net, 5)
  await net.pass(20)
  let carried = 0
  const deliver = net.deliver.bind(net)
  net.deliver = (from, to, bytes) => {
    const message = decodeGossip(bytes)!
    if (message.kind !== 'state') carried += message.info.length
    deliver(from, to, bytes)
  }
  net.act(1, net.nodes.get(1)!.publish({ key: 'k', value: 1, version: 1, node: 1 }))
  await net.pass(60)
  const limit = Math.ceil(3 * Math.log2(6)) * 5
  assert.ok(carried > 4 && carried <= limit + 5, `${carried} copies, at most ${limit}`)
})

test('what is no message is no message', () => {
  const random = new SimRandom(7)
  const sound = encodeGossip({ kind: 'ping', sequence: 1, members: [record(1)], info: [] })
  assert.ok(decodeGossip(sound))
  for (let round = 0; round < 2000; round++) {
    const bytes = Buffer.from(sound)
    for (let i = random.below(4); i >= 0; i--) bytes[random.below(bytes.length)] = 32 + random.below(95)
    // It may be another sound message, but never something that the core cannot take.
    const message = decodeGossip(bytes)
    if (message === undefined) continue
    const core = new Members(record(2), defaultGossip, random)
    core.receive(1, message, 0)
    core.tick(1)
  }
})
