/** Views over HTTP: defined, read whole, by key and as of, followed, refused. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ask, openTestPort, post, put, type TestPort } from './port.ts'

let port: TestPort
before(async () => {
  port = await openTestPort()
})
after(async () => {
  await port.close()
  assert.deepEqual(port.errors, [])
})

const envelopes = 'application/vnd.lattice.events+json'
const definition = {
  version: 1,
  key: '/customer',
  aggregates: { orders: 'count', cents: { sum: '/cents' } },
}

test('a view is added, answers by key and whole, as of times and positions, and is forgotten', async () => {
  const db = `${port.url}/db/shop`
  await put(db)
  const orders = [
    { at: 1000, value: { customer: 'ann', cents: 5 } },
    { at: 3000, value: { customer: 'bob', cents: 7 } },
    { at: 2000, value: { customer: 'ann', cents: 1 } },
  ]
  for (const order of orders)
    await ask(`${db}/e`, { method: 'POST', headers: { 'content-type': envelopes }, body: JSON.stringify(order) })
  const made = await put(`${db}/v/per-customer`, definition)
  assert.equal(made.status, 201)
  assert.equal((await put(`${db}/v/per-customer`, definition)).status, 200)
  const whole = await ask(`${port.url}/shop/per-customer`)
  assert.deepEqual(whole.body.entries, [
    { key: 'ann', value: { orders: 2, cents: 6 } },
    { key: 'bob', value: { orders: 1, cents: 7 } },
  ])
  const unchanged = await ask(`${db}/v/per-customer`, { headers: { 'if-none-match': whole.headers.get('etag')! } })
  assert.equal(unchanged.status, 304)
  const ann = async (query = '') => (await ask(`${db}/v/per-customer?key=ann${query}`)).body.value
  assert.deepEqual(await ann(), { orders: 2, cents: 6 })
  assert.deepEqual(await ann('&at=1970-01-01T00:00:01.5Z'), { orders: 1, cents: 5 })
  assert.deepEqual(await ann('&lc=2'), { orders: 1, cents: 5 })
  assert.equal((await ask(`${db}/v/per-customer?key=eve`)).status, 404)
  const first = await ask(`${db}/v/per-customer?limit=1`)
  assert.equal(first.body.behind, 'ann')
  assert.deepEqual((await ask(`${db}/v/per-customer?limit=1&behind=ann`)).body.entries[0].key, 'bob')
  const { views } = (await ask(`${db}/v`)).body
  assert.deepEqual([views.length, views[0].state], [1, 'live'])
  assert.equal((await ask(`${db}/v/per-customer`, { method: 'DELETE' })).status, 204)
  assert.equal((await ask(`${db}/v/per-customer`)).body.code, 'undefined_object')
})

test('a view of one state is one value, before the first event too', async () => {
  const db = `${port.url}/db/counted`
  await put(db)
  await put(`${db}/v/total`, { version: 1, aggregates: { n: 'count' } })
  assert.equal((await ask(`${db}/v/total`)).status, 200)
  await post(`${db}/e`, [1, 2, 3])
  assert.deepEqual((await ask(`${port.url}/counted/total`)).body.value, { n: 3 })
  assert.equal((await ask(`${db}/v/total?key=x`)).status, 400)
})

test('changes are paged and followed; an event that comes late is a correction', async () => {
  const db = `${port.url}/db/followed`
  await put(db)
  await put(`${db}/v/n`, { version: 1, aggregates: { n: 'count' } })
  await post(`${db}/e`, [1])
  await ask(`${db}/v/n`)
  const page = (await ask(`${db}/v/n/changes`)).body
  assert.deepEqual(
    page.changes.map((c: any) => c.new),
    [{ n: 1 }],
  )
  const controller = new AbortController()
  const answer = await fetch(`${db}/v/n/changes?after=${page.next}`, {
    headers: { accept: 'text/event-stream' },
    signal: controller.signal,
  })
  await ask(`${db}/e?at=5`, { method: 'POST', json: 2 })
  for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
    const data = /^data: (.*)$/m.exec(chunk)?.[1]
    if (data === undefined) continue
    const change = JSON.parse(data)
    assert.deepEqual([change.kind, change.old, change.new], ['correction', { n: 1 }, { n: 2 }])
    break
  }
  controller.abort()
})

test('wrong definitions and parameters are refused by name', async () => {
  const db = `${port.url}/db/wrong`
  await put(db)
  const bad = [
    {},
    { version: 0, aggregates: {} },
    { version: 1, aggregates: { x: { median: '/a' } } },
    { ...definition, name: 'other' },
  ]
  for (const one of bad) assert.deepEqual([(await put(`${db}/v/x`, one)).status, one], [400, one])
  await put(`${db}/v/x`, definition)
  const another = await put(`${db}/v/x`, { ...definition, aggregates: { n: 'count' } })
  assert.deepEqual([another.status, another.body.code], [409, 'duplicate_object'])
  assert.equal((await ask(`${db}/v/x?lc=5`)).body.code, 'position_unknown')
  assert.equal((await ask(`${db}/v/x?when=5`)).status, 400)
  assert.equal((await ask(`${db}/v/none/changes`, { headers: { accept: 'text/event-stream' } })).status, 404)
  assert.equal((await ask(`${port.url}/nobody/x`)).status, 404)
})
