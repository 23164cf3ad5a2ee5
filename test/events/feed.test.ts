/** Waiting for events: long polls and streams, cut off and resumed. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ask, openTestPort, post, put, type TestPort } from './port.ts'

let port: TestPort
let databases = 0

before(async () => {
  port = await openTestPort()
})
after(async () => {
  await port.close()
  assert.deepEqual(port.errors, [])
})

async function fresh(): Promise<string> {
  const url = `${port.url}/db/f${++databases}`
  await put(url)
  return `${url}/e`
}

/** Until somebody waits at the port. */
async function waiting(count: number): Promise<void> {
  while (port.timers() !== count) await new Promise((resolve) => setImmediate(resolve))
}

/** Messages of a stream as they come; a block of a comment or of the retry time has no data. */
async function* messages(url: string, lastEventId?: string, signal?: AbortSignal) {
  const headers: Record<string, string> = { accept: 'text/event-stream' }
  if (lastEventId !== undefined) headers['last-event-id'] = lastEventId
  const answer = await fetch(url, { headers, signal })
  assert.equal(answer.headers.get('content-type'), 'text/event-stream')
  assert.equal(answer.headers.get('content-encoding'), null)
  let rest = ''
  for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + chunk).split('\n\n')
    rest = blocks.pop()!
    for (const block of blocks) {
      const id = /^id: (.*)$/m.exec(block)?.[1]
      const data = /^data: (.*)$/m.exec(block)?.[1]
      yield { id, value: data && JSON.parse(data).value, block }
    }
  }
}

test('a long poll answers when something comes, at once when it is there, and empty when its time is over', async () => {
  const events = await fresh()
  const polled = ask(`${events}?lc=0&wait=30`)
  await waiting(1)
  await post(events, 'came')
  const { body } = await polled
  assert.deepEqual([body.events[0].value, body.next], ['came', 1])
  assert.equal((await ask(`${events}?lc=0&wait=30`)).body.events.length, 1)
  const inVain = ask(`${events}?lc=1&wait=30`)
  await waiting(1)
  port.expire()
  assert.deepEqual((await inVain).body.events, [])
  assert.equal(port.timers(), 0)
})

test('whoever goes away while waiting is forgotten', async () => {
  const events = await fresh()
  const controller = new AbortController()
  const polled = ask(`${events}?wait=30`, { signal: controller.signal })
  await waiting(1)
  controller.abort()
  await assert.rejects(polled)
  await waiting(0)
})

test('a stream tells what is there and what comes, and is resumed where it was cut off, in the middle too', async () => {
  const events = await fresh()
  await post(events, [1, 2, 3])
  const seen: unknown[] = []
  let last: string | undefined
  for (let expected = 2; expected <= 8; expected += 2) {
    const controller = new AbortController()
    for await (const { id, value } of messages(events, last, controller.signal)) {
      if (id === undefined) continue
      seen.push(value)
      last = id
      if (seen.length === expected) break
      if (seen.length === 3) await post(events, [4, 5, 6, 7, 8])
    }
    controller.abort()
  }
  assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7, 8])
  await waiting(0)
})

test('a stream in which nothing happens shows that it lives', async () => {
  const events = await fresh()
  const controller = new AbortController()
  const stream = messages(events, undefined, controller.signal)
  assert.match((await stream.next()).value!.block, /^retry: /)
  const next = stream.next()
  await waiting(1)
  port.expire()
  assert.match((await next).value!.block, /^: /)
  controller.abort()
  await assert.rejects(stream.next())
  await waiting(0)
})

test('a position of another store is refused before the stream begins', async () => {
  const events = await fresh()
  const wrong = `${'0'.repeat(32)}.${'0'.repeat(16)}.0`
  const headers = { accept: 'text/event-stream', 'last-event-id': wrong }
  assert.equal((await ask(events, { headers })).status, 409)
})

test('streams end with the port', async () => {
  const own = await openTestPort()
  await put(`${own.url}/db/x`)
  const stream = messages(`${own.url}/db/x/e`)
  await stream.next()
  const next = stream.next()
  await own.close()
  await next.catch(() => undefined)
  assert.deepEqual(own.errors, [])
})

test('JSON of several lines is on one line of a stream, and the value is the same', async () => {
  const events = await fresh()
  const value = { text: 'one\ntwo', list: [1, 2] }
  for (const end of ['\n', '\r\n']) {
    const body = `${JSON.stringify(value, null, 2).replaceAll('\n', end)}${end}`
    await ask(events, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  }
  const lines = await (await fetch(events, { headers: { accept: 'application/x-ndjson' } })).text()
  const read = lines.trimEnd().split('\n')
  assert.deepEqual(
    read.map((line) => JSON.parse(line).value),
    [value, value],
  )
  const controller = new AbortController()
  const seen: unknown[] = []
  for await (const message of messages(events, undefined, controller.signal)) {
    if (message.id !== undefined) seen.push(message.value)
    if (seen.length === 2) break
  }
  assert.deepEqual(seen, [value, value])
})
