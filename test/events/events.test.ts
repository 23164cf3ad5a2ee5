/** Databases and events over HTTP: every form in, every form out, and what is refused. */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { memoryMap } from '../../src/model/events/index.ts'
import { ask, openTestPort, post, put, type TestPort } from './port.ts'

let port: TestPort
let events: string
let databases = 0

before(async () => {
  port = await openTestPort()
})
after(async () => {
  await port.close()
  assert.deepEqual(port.errors, [])
})

/** A new database; `events` is where its events are. */
async function fresh(settings?: unknown): Promise<string> {
  const url = `${port.url}/db/d${++databases}`
  assert.equal((await put(url, settings)).status, 201)
  events = `${url}/e`
  return url
}

const send = (contentType: string, body: RequestInit['body'], query = '') =>
  ask(events + query, { method: 'POST', headers: { 'content-type': contentType }, body })
const values = async () => (await ask(events)).body.events.map((e: any) => e.value)
const key = '01ARZ3NDEKTSV4RRFFQ69G5FAV'

test('databases are made once, listed, described; names are checked', async () => {
  const url = await fresh()
  const again = await put(url)
  assert.equal(again.status, 200)
  assert.equal((await post(url, {})).body.code, 'duplicate_database')
  assert.equal((await post(`${url}x`, {})).status, 201)
  const name = url.split('/').at(-1)!
  assert.deepEqual(
    (await ask(`${port.url}/db`)).body.databases.filter((d: string) => d.startsWith(name)),
    [name, `${name}x`],
  )
  const described = (await ask(url)).body
  assert.equal(described.position, 0)
  assert.match(described.store, /^[0-9a-f]{32}$/)
  for (const bad of ['Orders', '1a', 'a.b', 'a%20b', 'a'.repeat(64)]) {
    assert.deepEqual([(await put(`${port.url}/db/${bad}`)).body.code, bad], ['invalid_name', bad])
  }
  for (const bad of ['db', 'metrics', 'healthz', 'readyz', 'status', 'openapi']) {
    assert.deepEqual([(await put(`${port.url}/db/${bad}`)).body.code, bad], ['reserved_name', bad])
  }
  const unknown = await ask(`${port.url}/db/nobody/e`)
  assert.equal(unknown.status, 404)
  assert.equal(unknown.body.code, 'invalid_catalog_name')
})

test('an array is as many events, anything else is one; what is read is what was sent', async () => {
  await fresh()
  const many = await send('application/json; charset=utf-8', '[ {"n": 12345678901234567890} , [1,2], "x" ]')
  assert.equal(many.status, 201)
  assert.equal(many.body.keys.length, 3)
  assert.equal((await post(events, { one: true })).body.keys.length, 1)
  assert.deepEqual((await post(events, [])).body.keys, [])
  const page = await ask(events)
  assert.match(page.text, /"value":\{"n": 12345678901234567890\}/)
  assert.deepEqual(page.body.events.map((e: any) => e.value).slice(1), [[1, 2], 'x', { one: true }])
  assert.equal(page.body.next, 4)
  assert.match(page.body.cursor, /^[0-9a-f]{32}\.[0-9a-f]{16}\.4$/)
})

test('bytes keep their content type, text is shown as text', async () => {
  await fresh()
  const [png] = (await send('image/png', new Uint8Array([137, 80, 255]))).body.keys
  const [page] = (await send('text/html', '<script>1</script>')).body.keys
  const shown = (await ask(`${events}?keys=${png},${page}`)).body.events
  assert.deepEqual([shown[0].base64, shown[0].contentType], ['iVD/', 'image/png'])
  assert.equal(shown[1].value, '<script>1</script>')
  const raw = await fetch(`${events}/${png}`)
  assert.equal(raw.headers.get('content-type'), 'image/png')
  assert.deepEqual([...new Uint8Array(await raw.arrayBuffer())], [137, 80, 255])
  const html = await ask(`${events}/${page}`)
  assert.equal(html.headers.get('content-security-policy'), 'sandbox')
  assert.equal((await ask(`${events}/${key}`)).status, 404)
})

test('own keys and times, one by one or in envelopes', async () => {
  await fresh()
  const one = await send('application/json', '{"a":1}', `?key=${key}`)
  assert.deepEqual(one.body.keys, [key])
  const at = await send('application/json', '{"a":2}', '?at=2020-01-31T12:00:00%2B01:00')
  const [event] = (await ask(`${events}?keys=${at.body.keys[0]}`)).body.events
  assert.equal(event.at, Date.UTC(2020, 0, 31, 11))
  const type = 'application/vnd.lattice.events+json'
  const envelopes = await send(
    type,
    JSON.stringify([
      { value: null, at: 5 },
      { base64: 'AQI=', contentType: 'a/b' },
      { value: 'hi', contentType: 'text/plain' },
    ]),
  )
  assert.equal(envelopes.status, 201)
  const back = (await ask(`${events}?keys=${envelopes.body.keys.join()}`)).body.events
  assert.deepEqual([back[0].at, back[0].value, back[1].base64, back[2].value], [5, null, 'AQI=', 'hi'])
  for (const bad of [
    '{}',
    '{"value":1,"base64":"AQ=="}',
    '[3]',
    'null',
    '{"value":1,"keys":"x"}',
    '{"base64":"!"}',
    '{"value":1,"at":"yesterday"}',
  ]) {
    assert.deepEqual([(await send(type, bad)).status, bad], [400, bad])
  }
  assert.equal((await send('application/json', '[1,2]', `?key=${key}`)).body.code, 'invalid_parameter_value')
  for (const bad of ['01ARZ', '81ARZ3NDEKTSV4RRFFQ69G5FAV', '01ARZ3NDEKTSV4RRFFQ69G5FAU']) {
    const refused = await send('application/json', '1', `?key=${bad}`)
    assert.deepEqual([refused.status, refused.body.code], [400, 'event_key_malformed'])
  }
})

test('the same key with another value is refused, shown among the conflicts, and blocks nothing', async () => {
  const url = await fresh()
  await send('application/json', '1', `?key=${key}`)
  assert.equal((await send('application/json', '1', `?key=${key}`)).status, 201)
  const refused = await send('application/json', '2', `?key=${key}`)
  assert.deepEqual([refused.status, refused.body.code], [409, 'event_conflict'])
  const { conflicts } = (await ask(`${url}/conflicts`)).body
  assert.deepEqual([conflicts.length, conflicts[0].key], [1, key])
  assert.deepEqual([conflicts[0].kept.value, conflicts[0].other.value].sort(), [1, 2])
  assert.equal((await post(events, 3)).status, 201)
})

test('a stream of lines is appended as it comes; a bad line says which, and how many were kept', async () => {
  await fresh()
  const lines = Array.from({ length: 5_000 }, (_, i) => `{"i": ${i}}`)
  const all = await send('application/x-ndjson', `${lines.join('\r\n')}\n\n`)
  assert.equal(new Set(all.body.keys).size, 5_000)
  const page = await ask(`${events}?limit=10000`)
  assert.deepEqual(
    page.body.events.map((e: any) => e.value.i).sort((a: number, b: number) => a - b),
    lines.map((_, i) => i),
  )
  await fresh()
  const envelope = await send('application/vnd.lattice.events+ndjson', `{"value":1,"key":"${key}"}\n{"value":2,"at":7}`)
  assert.equal(envelope.body.keys[0], key)
  await fresh()
  const refused = await send('application/x-ndjson', '1\n2\n{"a":\n')
  assert.deepEqual(
    [refused.status, refused.body.code, refused.body.where],
    [400, 'invalid_json_text', 'line 3 of the body'],
  )
})

test('a stream that breaks off keeps what was acknowledged to the disk, and the half line not', async () => {
  await fresh()
  const url = new URL(events)
  const sent = request({
    host: url.hostname,
    port: url.port,
    path: url.pathname,
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
  })
  sent.on('error', () => {})
  sent.write('"whole"\n"half')
  const { body } = await ask(`${events}?wait=60`)
  assert.equal(body.events.length, 1)
  sent.destroy()
  assert.equal((await post(events, 'next')).status, 201)
  assert.deepEqual(await values(), ['whole', 'next'])
})

test('wrong bodies are refused by name', async () => {
  await fresh()
  const refusals: [string, RequestInit['body'], number, string][] = [
    ['application/json', '{"a":', 400, 'invalid_json_text'],
    ['application/json', '', 400, 'invalid_json_text'],
    ['application/json', new Uint8Array([0x22, 0xff, 0x22]), 400, 'character_not_in_repertoire'],
    ['application/x-www-form-urlencoded', 'a=1', 415, 'unsupported_media_type'],
    ['multipart/form-data; boundary=x', '--x--', 415, 'unsupported_media_type'],
    ['application/octet-stream', new Uint8Array(2 << 20), 413, 'event_too_large'],
    ['application/octet-stream', new Uint8Array(5 << 20), 413, 'request_too_large'],
    ['application/x-ndjson', `"${'x'.repeat(5 << 20)}"`, 413, 'request_too_large'],
  ]
  for (const [type, body, status, code] of refusals) {
    const answer = await send(type, body)
    assert.deepEqual([answer.status, answer.body.code, type], [status, code, type])
    assert.equal(typeof answer.body.error, 'string')
  }
  const none = await ask(events, { method: 'POST', body: new Uint8Array([1]) })
  assert.equal(none.status, 415)
  assert.deepEqual(await values(), [])
})

test('a schema is asked of every value; nothing of a refused array is kept', async () => {
  const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }
  const url = await fresh({ schema })
  assert.deepEqual((await ask(url)).body.schema, schema)
  assert.equal((await post(events, [{ n: 1 }, { n: 2 }])).status, 201)
  const refused = await post(events, [{ n: 3 }, { n: 'x' }])
  assert.deepEqual([refused.status, refused.body.code], [400, 'event_schema_violation'])
  assert.match(refused.body.detail, /\/n: must be integer/)
  assert.equal((await send('image/png', 'x')).body.code, 'event_schema_violation')
  assert.equal((await send('application/x-ndjson', '{"n":1}\n{}')).body.where, 'line 2 of the body')
  const changed = await put(url, { schema: { type: 'string' } })
  assert.equal(changed.status, 200)
  assert.equal((await post(events, 'now a string')).status, 201)
  assert.equal((await put(url, { schema: { type: 'nonsense' } })).body.code, 'invalid_schema_definition')
  assert.equal((await put(url, { shema: {} })).status, 400)
})

test('pages follow one another without gap or repetition; positions are checked', async () => {
  await fresh()
  await post(
    events,
    Array.from({ length: 25 }, (_, i) => i),
  )
  const seen: number[] = []
  for (let at = '0'; ; ) {
    const { body, headers } = await ask(`${events}?lc=${at}&limit=10`)
    if (body.events.length === 0) break
    seen.push(...body.events.map((e: any) => e.value))
    assert.match(headers.get('link')!, new RegExp(`lc=${body.cursor}&limit=10>; rel="next"`))
    at = at.includes('.') || at === '0' ? body.cursor : String(body.next)
  }
  assert.deepEqual(
    seen.sort((a, b) => a - b),
    Array.from({ length: 25 }, (_, i) => i),
  )
  const { cursor } = (await ask(events)).body
  const [store, incarnation] = cursor.split('.')
  const flip = (hex: string) => (hex[0] === '0' ? '1' : '0') + hex.slice(1)
  for (const lc of ['26', `${flip(store)}.${incarnation}.3`, `${store}.${flip(incarnation)}.3`]) {
    const refused = await ask(`${events}?lc=${lc}`)
    assert.deepEqual([refused.status, refused.body.code, lc], [409, 'position_unknown', lc])
  }
  for (const wrong of ['lc=-1', 'lc=x', 'limit=0', 'limit=10001', 'limit=1e2', 'wait=x', 'wiat=1', 'lc=1&lc=2']) {
    assert.deepEqual([(await ask(`${events}?${wrong}`)).status, wrong], [400, wrong])
  }
})

test('events by time: bounds, direction, continuation', async () => {
  await fresh()
  const type = 'application/vnd.lattice.events+json'
  await send(type, JSON.stringify([30, 10, 20, 40].map((at) => ({ value: at, at }))))
  const read = async (query: string) => (await ask(`${events}?${query}`)).body
  const only = (body: any) => body.events.map((e: any) => e.value)
  assert.deepEqual(only(await read('from=10&to=40')), [10, 20, 30])
  assert.deepEqual(only(await read('from=0&reverse=true')), [40, 30, 20, 10])
  const first = await read('from=0&limit=3')
  assert.deepEqual(only(await read(`from=0&limit=3&afterKey=${first.afterKey}`)), [40])
  assert.deepEqual(only(await read('to=1970-01-01T00:00:00.020Z')), [10])
  assert.equal((await ask(`${events}?from=tomorrow`)).status, 400)
  assert.equal((await ask(`${events}?keys=zzz`)).body.code, 'event_key_malformed')
  assert.deepEqual((await read(`keys=${key}`)).events, [null])
})

test('pages have so many bytes as well as so many events, and say how to go on', async () => {
  await fresh()
  const sent = Array.from({ length: 7 }, (_, i) => ({ value: `${i}`.repeat(900_000), at: 1_000 + i }))
  for (const event of sent) await send('application/vnd.lattice.events+json', JSON.stringify([event]))
  for (const start of ['?lc=0', '?from=0', '?from=0&reverse=true']) {
    const found: string[] = []
    let pages = 0
    for (let at: string | undefined = new URL(events + start).pathname + start; at !== undefined; pages++) {
      const { body, headers } = await ask(new URL(at, events).href)
      assert.ok(body.events.length <= 5)
      found.push(...body.events.map((e: any) => e.value[0]))
      const next = /<(.*)>; rel="next"/.exec(headers.get('link') ?? '')?.[1]
      at = body.events.length === 0 ? undefined : next
    }
    assert.deepEqual(found, start.includes('reverse') ? [...'6543210'] : [...'0123456'])
    assert.ok(pages >= 2)
  }
  const all = (await ask(`${events}?lc=0`)).body.events.map((e: any) => e.key)
  const keys = [...all, key, ...all, ...all, key]
  const found: (string | undefined)[] = []
  let pages = 0
  for (let rest: string[] | undefined = keys; rest !== undefined; pages++) {
    const { body, text } = await ask(`${events}?keys=${rest.join()}`)
    assert.ok(text.length < 5 << 20, `${text.length} bytes`)
    for (const event of body.events) found.push(event?.key)
    rest = body.rest
  }
  const wanted = keys.map((k) => (k === key ? undefined : k))
  assert.deepEqual(found, wanted)
  assert.equal(pages, 3)
})

test('conflicts come in pages of so many bytes', async () => {
  const url = await fresh()
  await send('application/json', '0', `?key=${key}`)
  for (let i = 1; i <= 7; i++) await send('text/plain', `${i}`.repeat(900_000), `?key=${key}`)
  const found: string[] = []
  let pages = 0
  for (let after: string | undefined = ''; after !== undefined; pages++) {
    const { body, text } = await ask(`${url}/conflicts${after === '' ? '' : `?after=${after}`}`)
    assert.ok(text.length < 5 << 20, `${text.length} bytes`)
    found.push(...body.conflicts.map((c: any) => c.other.value[0]))
    after = body.after
  }
  assert.deepEqual([found.sort().join(''), pages], ['1234567', 2])
})

test('erased values are gone', async () => {
  await fresh()
  const [gone] = (await post(events, 'secret')).body.keys
  assert.equal((await ask(`${events}?keys=${gone}`, { method: 'DELETE' })).status, 204)
  const [event] = (await ask(`${events}?keys=${gone}`)).body.events
  assert.deepEqual([event.redacted, 'value' in event], [true, false])
  assert.equal((await ask(`${events}/${gone}`)).status, 410)
  assert.equal((await ask(events, { method: 'DELETE' })).status, 400)
})

test('entity tags, compression both ways, and what may be asked for', async () => {
  await fresh()
  await post(
    events,
    Array.from({ length: 200 }, (_, i) => ({ number: i })),
  )
  const first = await ask(events)
  const same = await ask(events, { headers: { 'if-none-match': first.headers.get('etag')! } })
  assert.deepEqual([same.status, same.text], [304, ''])
  await post(events, 1)
  assert.equal((await ask(events, { headers: { 'if-none-match': first.headers.get('etag')! } })).status, 200)
  const zipped = await raw(events, { 'accept-encoding': 'gzip' })
  assert.equal(zipped.headers['content-encoding'], 'gzip')
  assert.equal(JSON.parse(gunzipSync(zipped.body).toString()).events.length, 201)
  const packed = await ask(events, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' },
    body: gzipSync('"a"\n"b"\n'),
  })
  assert.equal(packed.body.keys.length, 2)
  const lines = await ask(`${events}?lc=201`, { headers: { accept: 'application/x-ndjson' } })
  assert.deepEqual(
    lines.text
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l).value),
    ['a', 'b'],
  )
  const preferred = { accept: 'text/html, application/json;q=0.5, application/x-ndjson;q=0.9' }
  assert.match((await ask(events, { headers: preferred })).headers.get('content-type')!, /ndjson/)
  assert.equal((await ask(events, { headers: { accept: 'text/html' } })).status, 406)
})

test('what was made is there when the port is opened again', async () => {
  const maps = new Map<string, ReturnType<typeof memoryMap>>()
  const one = await openTestPort({ maps })
  await put(`${one.url}/db/kept`, { schema: { type: 'integer' } })
  await post(`${one.url}/db/kept/e`, [1, 2])
  const before = (await ask(`${one.url}/db/kept`)).body
  await one.close()
  const two = await openTestPort({ maps })
  assert.deepEqual((await ask(`${two.url}/db/kept`)).body, before)
  assert.equal((await post(`${two.url}/db/kept/e`, 'x')).status, 400)
  await two.close()
})

function raw(url: string, headers: Record<string, string>): Promise<{ headers: any; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (c) => chunks.push(c))
      answer.on('end', () => resolve({ headers: answer.headers, body: Buffer.concat(chunks) }))
    })
    asked.on('error', reject)
    asked.end()
  })
}

test('what the web server refuses has the form of our errors; a body of the encoding identity is taken', async () => {
  await fresh()
  const refused = await send('nonsense', 'x')
  assert.deepEqual([refused.status, refused.body.code], [415, 'unsupported_media_type'])
  assert.match(refused.body.hint, /with a slash/)
  const encoded = (encoding: string) =>
    ask(events, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-encoding': encoding },
      body: '1',
    })
  assert.equal((await encoded('identity')).status, 201)
  assert.equal((await encoded('compress')).body.code, 'unsupported_media_type')
})
