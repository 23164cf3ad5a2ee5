/** Event databases of a real node: what was acknowledged is there after kill -9; its port's rules come from its configuration. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { EventStore } from '../../src/client/events/index.ts'
import { startNode } from '../cluster/node-process.ts'
import { ask, post, put } from './port.ts'

const root = mkdtempSync(join(tmpdir(), 'lattice-event-node-'))
after(() => rmSync(root, { recursive: true, force: true }))

test('a node that is killed has every event that it acknowledged, its schemas, views and links', async () => {
  const data = join(root, 'killed')
  let node = await startNode(data)
  let db = `http://127.0.0.1:${node.httpPort}/db/orders`
  assert.equal((await put(db, { schema: { type: 'object' } })).status, 201)
  assert.equal((await put(`${db}/v/n`, { version: 1, aggregates: { n: 'count' } })).status, 201)
  const acknowledged: string[] = []
  let ended = false
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let i = 0; !ended; i++) {
      const answer = await post(`${db}/e`, { writer, i }).catch(() => undefined)
      if (answer?.status !== 201) return
      acknowledged.push(answer.body.keys[0])
    }
  })
  while (acknowledged.length < 400) await new Promise((resolve) => setImmediate(resolve))
  await node.end('SIGKILL')
  ended = true
  await Promise.all(writers)
  node = await startNode(data)
  db = `http://127.0.0.1:${node.httpPort}/db/orders`
  for (let i = 0; i < acknowledged.length; i += 500) {
    const { events } = (await ask(`${db}/e?keys=${acknowledged.slice(i, i + 500).join()}`)).body
    assert.equal(events.filter((e: unknown) => e === null).length, 0)
  }
  const { count } = (await ask(db)).body
  assert.ok(count >= acknowledged.length)
  assert.deepEqual((await ask(`${db}/v/n`)).body.value, { n: count })
  assert.equal((await post(`${db}/e`, 3)).body.code, 'event_schema_violation')
  await using laptop = await EventStore.open('orders')
  assert.equal((await laptop.sync(db)).received, count)
  assert.equal(await node.end(), 0)
})

test('tokens and origins are configured; a stream that is open does not keep a node from stopping', async () => {
  const config = join(root, 'config.json')
  const sha256 = createHash('sha256').update('secret').digest('hex')
  const tokens = [{ name: 'app', sha256, scopes: ['read', 'write'] }]
  writeFileSync(config, JSON.stringify({ tokens, cors: ['https://app.example'] }))
  const node = await startNode(join(root, 'guarded'), { args: ['--config', config] })
  const db = `http://127.0.0.1:${node.httpPort}/db/orders`
  assert.equal((await put(db)).status, 401)
  const headers = { authorization: 'Bearer secret', origin: 'https://app.example' }
  const made = await ask(db, { method: 'PUT', headers })
  assert.deepEqual([made.status, made.headers.get('access-control-allow-origin')], [201, 'https://app.example'])
  assert.equal((await ask(`http://127.0.0.1:${node.httpPort}/healthz`)).status, 200)
  const stream = await fetch(`${db}/e`, { headers: { ...headers, accept: 'text/event-stream' } })
  await using laptop = await EventStore.open('orders')
  const live = laptop.sync(db, { live: true, token: 'secret' })
  await laptop.append(1)
  const polled = await ask(`${db}/e?wait=60`, { headers })
  assert.equal(polled.body.events.length, 1)
  assert.equal(await node.end(), 0)
  await stream.text().catch(() => {})
  await laptop.close()
  await live
})

test('what is not there, and what is no address, is refused with a code and a hint', async () => {
  const node = await startNode(join(root, 'refusing'))
  const url = `http://127.0.0.1:${node.httpPort}`
  const nothing = await ask(`${url}/nothing`)
  assert.deepEqual([nothing.status, nothing.body.code], [404, 'undefined_object'])
  assert.match(nothing.body.error, /GET \/nothing/)
  assert.match(nothing.body.hint, /openapi\.json/)
  for (const bad of ['/db/%ff/e', `/db/${'a'.repeat(200)}`]) {
    const { status, body } = await ask(url + bad)
    assert.deepEqual([Math.floor(status / 100), body.code], [4, 'protocol_violation'])
  }
  assert.equal(await node.end(), 0)
})
