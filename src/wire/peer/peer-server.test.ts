/** The transport between nodes over the simulated network. Replay one seed: SEED=<n> node --test <this file>. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { channelGossip, channelLiveness, channelRaft, RemoteFailure } from '../../cluster/index.ts'
import { encodePacket, PacketReader, packetHello, packetWelcome } from './handshake.ts'
import type { PeerTransport } from './peer-server.ts'
import { bytesOf, cluster, hostOf, port, SimPeers, textOf, tokenOf } from './peers.fixture.ts'

const seeds = process.env.SEED ? [Number(process.env.SEED)] : Array.from({ length: 20 }, (_, i) => i + 1)

function forSeeds(name: string, body: (sim: SimPeers) => Promise<void>, some = seeds): void {
  test(name, async (t) => {
    for (const seed of some) {
      t.diagnostic(`SEED=${seed}`)
      const sim = new SimPeers(seed)
      await sim.run(() => body(sim))
    }
  })
}

function collect(peer: PeerTransport, channel: number): string[] {
  const out: string[] = []
  peer.onMessage(channel, (from, bytes) => out.push(`${from}:${textOf(bytes)}`))
  return out
}

function echo(peer: PeerTransport, service = 7): void {
  peer.onRequest(service, (from, body) => bytesOf(`${peer.self}<${from} ${textOf(body)}`))
}

forSeeds('messages come in order, whatever dials cross', async (sim) => {
  const [a, b, c] = await sim.startAll(3)
  const atA = collect(a, channelRaft)
  const atC = collect(c, channelRaft)
  for (let i = 0; i < 50; i++) {
    b.send(1, channelRaft, bytesOf(String(i)))
    b.send(3, channelRaft, bytesOf(String(i)))
    if (i % 10 === 0) await sim.pass(1)
  }
  const expected = Array.from({ length: 50 }, (_, i) => `2:${i}`)
  await sim.until(() => atA.length === 50 && atC.length === 50)
  assert.deepEqual(atA, expected)
  assert.deepEqual(atC, expected)
  await sim.pass(500)
  for (const peer of [a, b, c]) assert.equal(peer.stats().connections, 2)
})

forSeeds('requests are answered, also by the node itself', async (sim) => {
  const [a, b] = await sim.startAll(2)
  echo(a)
  echo(b)
  const answers = await Promise.all([
    a.request(2, 7, bytesOf('x'), 1000),
    b.request(1, 7, bytesOf('y'), 1000),
    a.request(1, 7, bytesOf('z'), 1000),
    ...Array.from({ length: 100 }, (_, i) => a.request(2, 7, bytesOf(String(i)), 1000)),
  ])
  assert.deepEqual(answers.slice(0, 3).map(textOf), ['2<1 x', '1<2 y', '1<1 z'])
  assert.deepEqual(
    answers.slice(3).map(textOf),
    Array.from({ length: 100 }, (_, i) => `2<1 ${i}`),
  )
})

forSeeds('errors keep their code and fields', async (sim) => {
  const [a, b] = await sim.startAll(2)
  b.onRequest(1, () => {
    throw new DbError('unique_violation', 'taken', { detail: 'Key (a)=(1).', hint: 'Do not.', constraint: 'pk' })
  })
  b.onRequest(2, async () => {
    throw new TypeError('a bug')
  })
  const failed = (service: number) => a.request(2, service, bytesOf(''), 1000).catch((error) => error)
  const error: DbError = await failed(1)
  assert.ok(error instanceof DbError && !(error instanceof RemoteFailure))
  assert.deepEqual(
    [error.code, error.message, error.detail, error.hint, error.constraint, error.position],
    ['unique_violation', 'taken', 'Key (a)=(1).', 'Do not.', 'pk', undefined],
  )
  assert.equal((await failed(2)).code, 'internal_error')
  assert.equal((await failed(3)).code, 'feature_not_supported')
})

forSeeds('large payloads interleave, and do not hold heartbeats up', async (sim) => {
  const [a, b] = await sim.startAll(2)
  const order: string[] = []
  b.onMessage(channelLiveness, (_, bytes) => order.push(textOf(bytes)))
  b.onMessage(channelRaft, (_, bytes) => order.push(`raft ${bytes.length}`))
  b.onRequest(7, (_, body) => {
    order.push(`request ${body.length}`)
    return body.slice().reverse()
  })
  await sim.until(() => a.stats().connections === 1)
  const snapshot = sim.world.random.bytes(3_000_000)
  const whole = a.request(2, 7, snapshot, 60_000)
  const middle = a.request(2, 7, snapshot.subarray(0, 200_000), 60_000)
  a.send(2, channelRaft, snapshot.subarray(0, 1_000_000))
  a.send(2, channelRaft, snapshot.subarray(0, 10))
  a.send(2, channelGossip, snapshot)
  await sim.pass(1)
  a.send(2, channelLiveness, bytesOf('beat'))
  const small = a.request(2, 7, snapshot.subarray(0, 100), 60_000)
  assert.deepEqual(Buffer.from(await small), Buffer.from(snapshot.subarray(0, 100)).reverse())
  assert.deepEqual(Buffer.from(await middle), Buffer.from(snapshot.subarray(0, 200_000)).reverse())
  assert.deepEqual(Buffer.from(await whole), Buffer.from(snapshot).reverse())
  const at = (what: string) => order.indexOf(what)
  assert.ok(at('beat') < at('request 3000000'), order.join(', '))
  assert.ok(at('request 200000') < at('request 3000000'), order.join(', '))
  assert.ok(at('raft 1000000') < at('raft 10'), order.join(', '))
})

forSeeds('a timeout says whether the request may have arrived', async (sim) => {
  const [a, b] = await sim.startAll(2)
  b.onRequest(1, () => new Promise(() => {}))
  const silent: RemoteFailure = await a.request(2, 1, bytesOf(''), 300).catch((error) => error)
  assert.deepEqual([silent.code, silent.sent], ['query_canceled', true])
  const unknown: RemoteFailure = await a.request(9, 1, bytesOf(''), 300).catch((error) => error)
  assert.deepEqual([unknown.code, unknown.sent], ['connection_failure', false])
  a.setAddress(9, 'nowhere', 1)
  const nobody: RemoteFailure = await a.request(9, 1, bytesOf(''), 300).catch((error) => error)
  assert.deepEqual([nobody.code, nobody.sent], ['connection_failure', false])
  const waiting = a.request(2, 1, bytesOf(''), 60_000).catch((error) => error)
  await sim.pass(20)
  await b.close()
  const lost: RemoteFailure = await waiting
  assert.deepEqual([lost.code, lost.sent], ['connection_failure', true])
})

forSeeds('a cut is found out, and healed', async (sim) => {
  const [a, b] = await sim.startAll(2)
  echo(b)
  const events: string[] = []
  a.onPeer((peer, event, incarnation) => events.push(`${peer} ${event} ${incarnation}`))
  assert.equal(textOf(await a.request(2, 7, bytesOf('x'), 1000)), '2<1 x')
  sim.world.internet.cut(hostOf(1), hostOf(2))
  const over: RemoteFailure = await a.request(2, 7, bytesOf('x'), 1000).catch((error) => error)
  assert.equal(over.sent, true)
  await sim.until(() => events.includes('2 down 1'))
  const refused: RemoteFailure = await a.request(2, 7, bytesOf('x'), 1000).catch((error) => error)
  assert.deepEqual([refused.code, refused.sent], ['connection_failure', false])
  sim.world.internet.heal()
  await sim.until(() => events.at(-1) === '2 up 1')
  await sim.pass(1000)
  assert.equal(textOf(await a.request(2, 7, bytesOf('y'), 1000)), '2<1 y')
})

forSeeds('a restarted peer is found again with its next incarnation', async (sim) => {
  const a = await sim.start(1)
  const io = sim.io(2)
  let b = await sim.start(2, { io })
  const events: string[] = []
  a.onPeer((peer, event, incarnation) => events.push(`${peer} ${event} ${incarnation}`))
  for (const peer of [a, b]) peer.setAddress(3 - peer.self, hostOf(3 - peer.self), port)
  await sim.until(() => events.length === 1)
  io.crash()
  b = await sim.start(2, { identity: { incarnation: 2 } })
  b.setAddress(1, hostOf(1), port)
  echo(b)
  await sim.until(() => events.at(-1) === '2 up 2')
  assert.deepEqual(events, ['2 up 1', '2 down 1', '2 up 2'])
  assert.equal(textOf(await a.request(2, 7, bytesOf('x'), 1000)), '2<1 x')
})

forSeeds('strangers and doubles are refused by name', async (sim) => {
  const a = await sim.start(1)
  const reason = (peer: PeerTransport) => {
    peer.setAddress(1, hostOf(1), port)
    return peer.request(1, 7, bytesOf(''), 5000).then(
      () => 'answered',
      (error) => error.message,
    )
  }
  echo(a)
  const stranger = await sim.start(2, { identity: { clusterId: 'd'.repeat(32) } })
  assert.match(await reason(stranger), /this node belongs to cluster c{32}, you to d{32}/)
  await stranger.close()
  const b = await sim.start(2, { identity: { incarnation: 5 } })
  assert.equal(await reason(b), 'answered')
  const copy = await sim.start(2, { host: 'copy', io: sim.io(8, 'copy'), identity: { token: tokenOf(8) } })
  assert.match(await reason(copy), /node id 2 is in use by another node, at h2:7400/)
  const earlier = await sim.start(2, { host: 'early', io: sim.io(9, 'early'), identity: { incarnation: 4 } })
  assert.match(await reason(earlier), /node id 2 is in use by a later start of it/)
  const double = await sim.start(2, { host: 'double', io: sim.io(7, 'double'), identity: { incarnation: 5 } })
  assert.match(await reason(double), /node id 2 is in use by another process with a copy of its directory/)
  const twin = await sim.start(1, { host: 'twin', io: sim.io(10, 'twin') })
  twin.setAddress(2, hostOf(1), port)
  const self = await twin.request(2, 7, bytesOf(''), 5000).catch((error) => error.message)
  assert.match(self, /node id 1 is in use by this node/)
  const { cluster, identity } = a.stats().refused
  assert.ok(cluster >= 1 && identity >= 4)
  assert.equal(textOf(await b.request(1, 7, bytesOf('still'), 1000)), '1<2 still')
})

forSeeds('garbage behind a sound handshake ends the connection, nothing else', async (sim) => {
  const [a, b] = await sim.startAll(2)
  echo(a)
  assert.equal(textOf(await b.request(1, 7, bytesOf('x'), 1000)), '1<2 x')
  const io = sim.io(3)
  for (let round = 0; round < 10; round++) {
    const socket = await io.network.connect(hostOf(1), port)
    let closed = false
    socket.onClose(() => {
      closed = true
    })
    const self = { cluster, node: 3, token: tokenOf(3), incarnation: round + 1, run: '0'.repeat(16), host: 'h3', port }
    socket.write(encodePacket(packetHello, { ...self, connection: 1, lost: 0 }))
    await sim.pass(10)
    assert.equal(a.stats().connections, 2)
    socket.write(sim.world.random.bytes(1 + sim.world.random.below(200)).map((byte, i) => (i < 2 ? 255 : byte)))
    socket.write(new Uint8Array(20))
    await sim.until(() => closed)
    await sim.until(() => a.stats().connections === 1)
  }
  assert.equal(textOf(await b.request(1, 7, bytesOf('y'), 1000)), '1<2 y')
})

forSeeds(
  'a peer that reads nothing fills its queue only',
  async (sim) => {
    const [a, b] = await sim.startAll(2)
    await sim.until(() => a.stats().connections === 1)
    sim.world.internet.cut(hostOf(1), hostOf(2))
    const large = new Uint8Array(20_000_000)
    for (let i = 0; i < 6; i++) a.send(2, channelRaft, large)
    const refused: RemoteFailure = await a.request(2, 7, bytesOf(''), 1000).catch((error) => error)
    assert.deepEqual([refused.code, refused.sent], ['connection_failure', false])
    assert.ok(a.stats().dropped >= 1 && a.stats().dropped <= 3, String(a.stats().dropped))
    a.send(2, channelRaft, new Uint8Array(65 * 1024 * 1024))
    const long: RemoteFailure = await a.request(2, 7, new Uint8Array(65 * 1024 * 1024), 1000).catch((error) => error)
    assert.equal(long.sent, false)
    await b.close()
  },
  seeds.slice(0, 2),
)

forSeeds('of two dials at once one is kept, and a dial after a loss is taken', async (sim) => {
  const a = await sim.start(1)
  const io = sim.io(2)
  const self = { cluster, node: 2, token: tokenOf(2), incarnation: 1, run: '0'.repeat(16), host: hostOf(2), port }
  let dialled = 0
  await io.network.listen(hostOf(2), port, (socket) => {
    const reader = new PacketReader()
    socket.onData((chunk) => {
      const hello = dialled === 0 ? reader.push(chunk) : undefined
      if (hello === undefined) return
      dialled = Number(hello.packet.body.connection)
      socket.write(encodePacket(packetWelcome, self))
    })
  })
  a.setAddress(2, hostOf(2), port)
  await sim.until(() => a.stats().connections === 1)
  const dial = async (lost: number) => {
    const socket = await io.network.connect(hostOf(1), port)
    const reader = new PacketReader()
    let answer: Record<string, unknown> | undefined
    socket.onData((chunk) => {
      answer ??= reader.push(chunk)?.packet.body
    })
    socket.write(encodePacket(packetHello, { ...self, connection: 99, lost }))
    await sim.until(() => answer !== undefined)
    return answer!.reason ?? answer!.node
  }
  assert.equal(await dial(0), 'duplicate')
  assert.equal(await dial(dialled), 1)
  assert.equal(await dial(0), 1)
})

test('one seed gives one trace', async () => {
  const hash = async () => {
    const sim = new SimPeers('twin')
    await sim.run(async () => {
      const [a, b] = await sim.startAll(3)
      echo(b)
      await Promise.all(Array.from({ length: 20 }, (_, i) => a.request(2, 7, new Uint8Array(i * 10_000), 5000)))
    })
    return sim.world.trace.hash
  }
  assert.equal(await hash(), await hash())
})
