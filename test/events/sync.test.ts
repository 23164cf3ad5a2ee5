/** Stores that meet over HTTP and stay in touch over WebSocket: once, live, after restarts, refused, broken off. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { connect, createServer, type Socket } from 'node:net'
import { after, test } from 'node:test'
import type { OrderedMap } from '../../src/model/events/index.ts'
import { ask, openTestPort, post, put, type TestPort } from './port.ts'

const closing: (() => Promise<void>)[] = []
after(async () => {
  for (const close of closing.reverse()) await close()
})

async function opened(options: Parameters<typeof openTestPort>[0] = {}): Promise<TestPort> {
  const port = await openTestPort(options)
  closing.push(() => port.close())
  return port
}

const keys = async (db: string) => (await ask(`${db}/e?from=0&limit=10000`)).body.events.map((e: any) => e.key)

/** Until the store has so many events. */
async function filled(db: string, count: number): Promise<void> {
  for (let lc = 0, seen = 0; seen < count; ) {
    const { body } = await ask(`${db}/e?lc=${lc}&wait=60`)
    seen += body.events.length
    lc = body.next
  }
}

test('two servers meet once, in either direction, and end with the same events', async () => {
  const [a, b] = [await opened(), await opened()]
  const [left, right] = [`${a.url}/db/x`, `${b.url}/db/x`]
  await put(left)
  await put(right)
  await post(`${left}/e`, [1, 2, 3])
  await post(`${right}/e`, [4, 5])
  const met = await post(`${left}/sync`, { peer: right })
  assert.deepEqual([met.status, met.body.sent, met.body.received], [200, 3, 2])
  assert.deepEqual(await keys(left), await keys(right))
  assert.equal((await keys(left)).length, 5)
  await post(`${right}/e`, [6])
  const again = (await post(`${left}/sync`, { peer: right })).body
  assert.deepEqual([again.sent, again.received], [0, 1])
  const [peer] = (await ask(`${left}/sync`)).body.peers
  assert.equal(peer.store, (await ask(right)).body.store)
  assert.equal(peer.lag.toReceive, 0)
})

test('staying in touch: what is appended here is soon there, also after a restart of either', async () => {
  const maps = new Map<string, OrderedMap>()
  const b = await opened()
  const right = `${b.url}/db/x`
  await put(right)
  let a = await openTestPort({ maps })
  await put(`${a.url}/db/x`)
  await post(`${a.url}/db/x/e`, ['before'])
  assert.equal((await post(`${a.url}/db/x/sync`, { peer: right, live: true })).status, 202)
  await filled(right, 1)
  await post(`${right}/e`, ['there'])
  await filled(`${a.url}/db/x`, 2)
  await a.close()
  await post(`${right}/e`, ['while it was away'])
  a = await openTestPort({ maps })
  await filled(`${a.url}/db/x`, 3)
  const { links } = (await ask(`${a.url}/db/x/sync`)).body
  assert.deepEqual([links.length, links[0].peer], [1, right])
  const parted = await ask(`${a.url}/db/x/sync?peer=${encodeURIComponent(right)}`, { method: 'DELETE' })
  assert.equal(parted.status, 204)
  assert.deepEqual((await ask(`${a.url}/db/x/sync`)).body.links, [])
  await a.close()
  assert.deepEqual(a.errors, [])
})

test('tokens are asked of other stores too, and refusals are told', async () => {
  const sha256 = createHash('sha256').update('secret').digest('hex')
  const readers = createHash('sha256').update('reader').digest('hex')
  const guarded = await opened({
    tokens: [
      { name: 'all', sha256, scopes: ['read', 'write'] },
      { name: 'reader', sha256: readers, scopes: ['read'] },
    ],
  })
  const right = `${guarded.url}/db/x`
  await ask(right, { method: 'PUT', headers: { authorization: 'Bearer secret' } })
  const a = await opened()
  const left = `${a.url}/db/x`
  await put(left)
  await post(`${left}/e`, [1])
  const refused = await post(`${left}/sync`, { peer: right })
  assert.deepEqual([refused.status, refused.body.code], [401, 'invalid_authorization_specification'])
  assert.equal((await post(`${left}/sync`, { peer: right, token: 'reader' })).status, 403)
  assert.equal((await post(`${left}/sync`, { peer: right, token: 'secret' })).body.sent, 1)
  await post(`${left}/sync`, { peer: right, token: 'secret', live: true })
  await post(`${left}/e`, [2])
  for (let count = 0; count < 2; ) {
    const read = await ask(`${right}/e?lc=${count}&wait=60`, { headers: { authorization: 'Bearer secret' } })
    count = read.body.next
  }
  // A browser's way of handing over a token, with the wrong one.
  const socket = new WebSocket(`${right.replace('http', 'ws')}/sync`, ['lattice.sync', 'lattice.bearer.reader'])
  const closed = await new Promise<boolean>((resolve) => {
    socket.onopen = () => resolve(false)
    socket.onerror = () => resolve(true)
  })
  assert.equal(closed, true)
})

test('what is no message of the protocol is refused, and the store goes on', async () => {
  const a = await opened()
  const db = `${a.url}/db/x`
  await put(db)
  const send = (body: Uint8Array) =>
    ask(`${db}/sync`, {
      method: 'POST',
      headers: { 'content-type': 'application/vnd.lattice.sync' },
      body: body as Uint8Array<ArrayBuffer>,
    })
  for (const bytes of [new Uint8Array(0), new Uint8Array(100), new Uint8Array(1000).fill(255)]) {
    // A refusal is a message of the protocol too.
    assert.equal((await send(bytes)).status, 200)
  }
  assert.equal((await send(new Uint8Array(9 << 20))).status, 413)
  const text = await new Promise<string>((resolve) => {
    const socket = new WebSocket(`${db.replace('http', 'ws')}/sync`, ['lattice.sync'])
    socket.onopen = () => socket.send('hello')
    socket.onmessage = ({ data }) => resolve(String(data))
  })
  assert.equal(JSON.parse(text).code, 'protocol_violation')
  for (const peer of ['ftp://x/db/y', 'http://x/', 'x', 3])
    assert.equal((await post(`${db}/sync`, { peer })).status, 400)
  assert.equal((await post(`${db}/sync`, { peer: db, later: 1 })).status, 400)
  assert.equal((await post(`${db}/e`, 1)).status, 201)
  assert.deepEqual(a.errors, [])
})

test('a sync that is cut off again and again loses nothing and gets there', async () => {
  const [a, b] = [await opened(), await opened()]
  const [left, right] = [`${a.url}/db/x`, `${b.url}/db/x`]
  await put(left)
  await put(right)
  const value = 'x'.repeat(400)
  for (let i = 0; i < 4; i++) {
    await post(
      `${left}/e`,
      Array.from({ length: 1_000 }, (_, n) => ({ i, n, value })),
    )
    await post(
      `${right}/e`,
      Array.from({ length: 100 }, (_, n) => ({ back: i, n, value })),
    )
  }
  const { url, close } = await cutting(right, 300_000)
  closing.push(close)
  let cuts = 0
  for (; ; cuts++) {
    const met = await post(`${left}/sync`, { peer: url })
    if (met.status === 200) break
    assert.deepEqual([met.status, met.body.code], [503, 'connection_failure'])
    assert.ok(cuts < 50, 'it does not get on')
  }
  assert.ok(cuts > 0, 'nothing was cut')
  assert.equal((await keys(left)).length, 4_400)
  assert.deepEqual(await keys(left), await keys(right))
  assert.deepEqual([...a.errors, ...b.errors], [])
})

/** A proxy that breaks every connection after so many bytes. */
async function cutting(target: string, bytes: number): Promise<{ url: string; close: () => Promise<void> }> {
  const { hostname, port, pathname } = new URL(target)
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    let left = bytes
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ]) {
      sockets.add(from)
      from.on('error', () => {})
      from.on('close', () => to.destroy())
      from.on('data', (chunk) => {
        left -= chunk.length
        if (left < 0) from.destroy()
        else to.write(chunk)
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port: own } = server.address() as { port: number }
  const close = async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  return { url: `http://127.0.0.1:${own}${pathname}`, close }
}
