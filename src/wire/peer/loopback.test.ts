/** The transport between nodes over real sockets: TLS, and what strangers send. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { channelRaft, type RemoteFailure } from '../../cluster/index.ts'
import type { Socket } from '../../io/index.ts'
import { nodeIo } from '../../io/node/index.ts'
import { issueAuthority, issueCertificate } from '../../security/index.ts'
import type { PeerCertificates } from './credentials.ts'
import { encodePacket, PacketReader, packetHello, packetRefusal } from './handshake.ts'
import { type JoinReply, joinCluster } from './join.ts'
import type { PeerTransport } from './peer-server.ts'
import { bytesOf, cluster, startPeer, textOf, tokenOf } from './peers.fixture.ts'

const io = nodeIo({ logLevel: 'silent' })
const host = '127.0.0.1'

function start(node: number, options: Parameters<typeof startPeer>[2] = {}): Promise<PeerTransport> {
  return startPeer(io, node, { host, port: 0, insecure: false, ...options })
}

function meet(...peers: PeerTransport[]): void {
  for (const a of peers) for (const b of peers) a.setAddress(b.self, host, b.port)
}

function ask(peer: PeerTransport, to: number, what = 'x', timeoutMs = 10_000): Promise<string> {
  return peer.request(to, 7, bytesOf(what), timeoutMs).then(textOf)
}

function echo(peer: PeerTransport): void {
  peer.onRequest(7, (from, body) => bytesOf(`${peer.self}<${from} ${textOf(body)}`))
}

/** Sends bytes to a port and waits for the end; what came back. */
async function throwAt(port: number, bytes: Uint8Array): Promise<Buffer> {
  const socket: Socket = await io.network.connect(host, port)
  const chunks: Uint8Array[] = []
  const closed = new Promise<void>((done) => socket.onClose(() => done()))
  socket.onData((chunk) => chunks.push(chunk))
  socket.write(bytes)
  await closed
  return Buffer.concat(chunks)
}

test('three nodes over loopback', async () => {
  const peers = await Promise.all([1, 2, 3].map((node) => start(node)))
  peers.forEach(echo)
  meet(...peers)
  const got: number[] = []
  const all = new Promise<void>((done) => {
    peers[2].onMessage(channelRaft, (from, bytes) => {
      assert.equal(from, 1)
      got.push(Number(textOf(bytes)))
      if (got.length === 1000) done()
    })
  })
  assert.equal(await ask(peers[0], 3), '3<1 x')
  for (let i = 0; i < 1000; i++) peers[0].send(3, channelRaft, bytesOf(String(i)))
  await all
  assert.deepEqual(
    got,
    got.map((_, i) => i),
  )
  const large = Buffer.alloc(5_000_000, 'abc')
  peers[1].onRequest(8, (_, body) => body)
  assert.ok(large.equals(Buffer.from(await peers[0].request(2, 8, large, 10_000))))
  await Promise.all(peers.map((peer) => peer.close()))
})

test('garbage is closed and counted, and others are served', async () => {
  const peer = await start(1)
  echo(peer)
  for (const bytes of [bytesOf('GET / HTTP/1.1\r\n\r\n'), bytesOf('LATTICEQ'), Buffer.alloc(100_000, 1)]) {
    assert.equal((await throwAt(peer.port, bytes)).length, 0)
  }
  const damaged = encodePacket(packetHello, { node: 2 })
  damaged[30] ^= 1
  assert.equal((await throwAt(peer.port, damaged)).length, 0)
  assert.equal(peer.stats().refused.garbage, 4)
  const other = await start(2)
  other.setAddress(1, host, peer.port)
  assert.equal(await ask(other, 1), '1<2 x')
  await Promise.all([peer.close(), other.close()])
})

test('versions that do not meet, and handshakes that say nothing, are refused by name', async () => {
  const peer = await start(1)
  const refusal = async (bytes: Uint8Array) => {
    const { packet } = new PacketReader().push(await throwAt(peer.port, bytes))!
    assert.equal(packet.kind, packetRefusal)
    return packet.body
  }
  const later = await refusal(encodePacket(packetHello, { whatever: 1 }, 7, 9))
  assert.equal(later.reason, 'protocol')
  assert.match(String(later.message), /this node speaks versions 1 to 1 of the protocol between nodes, you 7 to 9/)
  assert.equal((await refusal(encodePacket(packetHello, { node: -1 }))).reason, 'malformed')
  assert.equal((await refusal(encodePacket(77, {}))).reason, 'malformed')
  await peer.close()
})

test('a stranger who says nothing is not waited for', async () => {
  const peer = await start(1, { handshakeMs: 30 })
  await throwAt(peer.port, new Uint8Array(0))
  assert.equal(peer.stats().refused.broken, 1)
  await peer.close()
})

test('an address beyond this host needs certificates', async () => {
  await assert.rejects(start(1, { host: '0.0.0.0' }), { code: 'config_file_error' })
  const peer = await start(1)
  peer.setAddress(2, '192.0.2.1', 1)
  await assert.rejects(ask(peer, 2), (error: RemoteFailure) => !error.sent && /without TLS/.test(error.message))
  await peer.close()
})

const authority = issueAuthority('A cluster', 10, io)

function certificates(name: string, kind: 'node' | 'client' = 'node', from = authority): PeerCertificates {
  return { ...issueCertificate({ name, kind, hosts: [], days: 10 }, from, io), authority: authority.certificate }
}

test('with certificates, both sides show one of the authority that names the node', async () => {
  const one = await start(1, { certificates: certificates('node-1') })
  echo(one)
  const two = await start(2, { certificates: certificates('node') })
  meet(one, two)
  assert.equal(await ask(two, 1), '1<2 x')
  const large = Buffer.alloc(3_000_000, 'abc')
  one.onRequest(8, (_, body) => body)
  assert.ok(large.equals(Buffer.from(await two.request(1, 8, large, 10_000))))
  const refused = async (options: Parameters<typeof start>[1], pattern: RegExp, node = 3) => {
    const peer = await start(node, { handshakeMs: 2000, ...options })
    echo(peer)
    peer.setAddress(1, host, one.port)
    await assert.rejects(ask(peer, 1), pattern)
    // Nor is it trusted when it is the one that is dialled.
    one.setAddress(node, host, peer.port)
    await assert.rejects(ask(one, node), (error: RemoteFailure) => error.code === 'connection_failure' && !error.sent)
    one.forget(node)
    await peer.close()
  }
  await refused({ certificates: certificates('node-4') }, /the certificate is for "node-4", not for node 3/)
  const strangers = issueAuthority('Another cluster', 10, io)
  await refused({ certificates: certificates('node-5', 'node', strangers) }, /cannot be reached/, 5)
  await refused({ certificates: certificates('node', 'client') }, /cannot be reached/, 6)
  await refused({ certificates: certificates('ada') }, /cannot be reached/, 7)
  await refused({}, /cannot be reached/, 8)
  assert.equal(await ask(two, 1, 'still'), '1<2 still')
  await Promise.all([one.close(), two.close()])
})

test('a node joins through a seed', async () => {
  const reply: JoinReply = { clusterId: cluster, nodeId: 2, range: { first: 20_000, end: 30_000 }, members: [] }
  const sponsor = await start(1, { certificates: certificates('node-1') })
  const seeds = [
    { host, port: 1 },
    { host, port: sponsor.port },
  ]
  const options = { token: tokenOf(2), host, port: 1, attributes: { zone: 'a' }, timeoutMs: 10_000 }
  const early = joinCluster(io, seeds, { ...options, timeoutMs: 0, certificates: certificates('node') })
  await assert.rejects(early, { code: 'cannot_connect_now' })
  sponsor.sponsor(async (request) => {
    if (request.certificateNode === 9) throw new DbError('object_in_use', 'full', { hint: 'Wait.' })
    assert.deepEqual(
      [request.token, request.attributes, request.certificateNode],
      [tokenOf(2), { zone: 'a' }, undefined],
    )
    return reply
  })
  assert.deepEqual(await joinCluster(io, seeds, { ...options, certificates: certificates('node') }), reply)
  const full = joinCluster(io, seeds, { ...options, timeoutMs: 0, certificates: certificates('node-9') })
  await assert.rejects(full, { code: 'object_in_use', message: 'full', hint: 'Wait.' })
  const unknown = joinCluster(io, seeds, { ...options, timeoutMs: 0, certificates: certificates('ada') })
  await assert.rejects(unknown, { code: 'connection_failure' })
  await sponsor.close()
})
