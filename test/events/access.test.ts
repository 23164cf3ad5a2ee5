/** Tokens, origins of web pages, and the description of the port against the port itself. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { openApi } from '../../src/wire/http/openapi.ts'
import { ask, openTestPort, put } from './port.ts'

const closing: (() => Promise<void>)[] = []
after(async () => {
  for (const close of closing) await close()
})

async function opened(options: Parameters<typeof openTestPort>[0] = {}) {
  const port = await openTestPort(options)
  closing.push(() => port.close())
  return port
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

test('tokens: none, unknown, reading, writing', async () => {
  const { url } = await opened({
    tokens: [
      { name: 'reader', sha256: sha256('r-secret'), scopes: ['read'] },
      { name: 'writer', sha256: sha256('w-secret'), scopes: ['read', 'write'] },
    ],
  })
  const db = `${url}/db/x`
  const none = await ask(db, { method: 'PUT' })
  assert.deepEqual([none.status, none.headers.get('www-authenticate')], [401, 'Bearer'])
  assert.equal((await ask(db, { method: 'PUT', headers: bearer('wrong') })).status, 401)
  const reading = await ask(db, { method: 'PUT', headers: bearer('r-secret') })
  assert.deepEqual([reading.status, reading.body.code], [403, 'insufficient_privilege'])
  assert.equal((await ask(db, { method: 'PUT', headers: bearer('w-secret') })).status, 201)
  assert.equal((await ask(`${db}/e`, { headers: bearer('r-secret') })).status, 200)
  assert.equal((await ask(`${db}/e`)).status, 401)
  assert.equal((await ask(`${url}/db`)).status, 401)
  assert.equal((await ask(`${url}/openapi.json`)).status, 200)
})

test('pages of listed origins may ask, others may change nothing', async () => {
  const { url } = await opened({ origins: ['https://app.example'] })
  const from = (origin: string) => ({ origin })
  const preflight = await fetch(`${url}/db/x/e`, {
    method: 'OPTIONS',
    headers: {
      ...from('https://app.example'),
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type',
    },
  })
  assert.equal(preflight.status, 204)
  assert.equal(preflight.headers.get('access-control-allow-origin'), 'https://app.example')
  assert.match(preflight.headers.get('access-control-allow-methods')!, /DELETE/)
  const put = (origin: string) => ask(`${url}/db/x`, { method: 'PUT', headers: from(origin) })
  assert.equal((await put('https://app.example')).status, 201)
  assert.equal((await put(url)).status, 200)
  for (const other of ['https://evil.example', 'null', 'http://127.0.0.1:1'])
    assert.equal((await put(other)).status, 403)
  const read = await ask(`${url}/db/x/e`, { headers: from('https://evil.example') })
  assert.equal(read.headers.get('access-control-allow-origin'), null)
  const stream = await fetch(`${url}/db/x/e`, {
    headers: { ...from('https://app.example'), accept: 'text/event-stream' },
  })
  assert.equal(stream.headers.get('access-control-allow-origin'), 'https://app.example')
  await stream.body!.cancel()
})

const operations = Object.entries(openApi.paths).flatMap(([path, methods]) =>
  Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
)

test('the description has every route, and no other', async () => {
  const { routes, url } = await opened()
  const real = routes
    .filter((route) => !/^(HEAD|OPTIONS) /.test(route))
    .map((route) => route.replace(/:([a-z]+)/g, '{$1}'))
  assert.deepEqual([...operations].sort(), real.sort())
  const served = await ask(`${url}/openapi.json`)
  assert.equal(served.body.openapi, '3.1.0')
  assert.equal(served.text, JSON.stringify(openApi))
})

const ajv = new Ajv2020({ strict: false })
ajv.addSchema(openApi, 'api')

/** What is wrong with an answer by the description; undefined when nothing is. */
function problem(
  method: string,
  path: string,
  answer: { status: number; headers: Headers; body: unknown },
): string | undefined {
  const at = path.replaceAll('~', '~0').replaceAll('/', '~1').replaceAll('{', '%7B').replaceAll('}', '%7D')
  const { responses } = (openApi.paths as any)[path][method.toLowerCase()]
  const response = responses[answer.status]
  if (response === undefined) return `${answer.status} is not described`
  if (response.content?.['application/json'] === undefined) return undefined
  const schema = `api#/paths/${at}/${method.toLowerCase()}/responses/${answer.status}/content/application~1json/schema`
  const validate = ajv.getSchema(schema)
  if (validate === undefined) return `no schema at ${schema}`
  return validate(answer.body) ? undefined : ajv.errorsText(validate.errors)
}

test('answers are as described, refusals included', async () => {
  const { url, errors } = await opened()
  const seen = new Set<string>()
  const check = async (method: string, path: string, query = '', init: Parameters<typeof ask>[1] = {}) => {
    const concrete = path.replace('{name}', 'x').replace('{key}', '01ARZ3NDEKTSV4RRFFQ69G5FAV').replace('{view}', 'sum')
    const answer = await ask(`${url}${concrete}${query}`, { method, ...init })
    assert.equal(
      problem(method, path, answer),
      undefined,
      `${method} ${path}${query} → ${answer.status} ${answer.text}`,
    )
    seen.add(`${method} ${path}`)
    return answer
  }
  await check('GET', '/db/{name}')
  await check('PUT', '/db/{name}', '', { json: { schema: { type: 'integer' } } })
  await check('PUT', '/db/{name}', '', { json: {} })
  await check('PUT', '/db/{name}', '', { json: { schema: 3 } })
  await check('POST', '/db/{name}', '', { json: {} })
  await check('GET', '/db')
  await check('GET', '/db', '?x=1')
  await check('GET', '/db/{name}')
  await check('GET', '/openapi.json')
  for (const json of [[1, 2], 'x']) await check('POST', '/db/{name}/e', '', { json })
  for (const json of [3, 4]) await check('POST', '/db/{name}/e', '?key=01ARZ3NDEKTSV4RRFFQ69G5FAV', { json })
  await check('POST', '/db/{name}/e', '', { body: 'x', headers: { 'content-type': 'multipart/form-data' } })
  const queries = [
    '',
    '?lc=9',
    '?limit=x',
    '?keys=01ARZ3NDEKTSV4RRFFQ69G5FAV,01ARZ3NDEKTSV4RRFFQ69G5FAA',
    '?from=0',
    '?from=0&limit=1',
  ]
  for (const query of queries) await check('GET', '/db/{name}/e', query)
  await check('GET', '/db/{name}/e', '', { headers: { accept: 'image/png' } })
  await check('GET', '/db/{name}/e/{key}')
  await check('GET', '/db/{name}/conflicts')
  await check('DELETE', '/db/{name}/e', '?keys=01ARZ3NDEKTSV4RRFFQ69G5FAV')
  await check('GET', '/db/{name}/e/{key}')
  await check('GET', '/db/{name}/e')
  const definition = { version: 1, aggregates: { n: 'count', total: { sum: '' } } }
  await check('GET', '/db/{name}/v/{view}')
  await check('PUT', '/db/{name}/v/{view}', '', { json: definition })
  await check('PUT', '/db/{name}/v/{view}', '', { json: definition })
  await check('PUT', '/db/{name}/v/{view}', '', { json: { version: 1, aggregates: { n: 'count' } } })
  await check('PUT', '/db/{name}/v/{view}', '', { json: { version: 'x' } })
  await check('GET', '/db/{name}/v')
  for (const path of ['/db/{name}/v/{view}', '/{name}/{view}']) {
    for (const query of ['', '?at=0', '?lc=1', '?lc=77', '?key=x', '?at=x']) await check('GET', path, query)
  }
  await check('GET', '/db/{name}/v/{view}/changes')
  await check('POST', '/db/{name}/v/{view}/resume')
  const peer = `${url}/db/y`
  await put(peer)
  await check('POST', '/db/{name}/sync', '', { json: { peer } })
  await check('POST', '/db/{name}/sync', '', { json: { peer: `${url}/db/nobody` } })
  await check('POST', '/db/{name}/sync', '', { json: { peer: 'http://127.0.0.1:1/db/y' } })
  await check('POST', '/db/{name}/sync', '', { json: { peer: 'x' } })
  await check('POST', '/db/{name}/sync', '', { json: { peer, live: true } })
  await check('GET', '/db/{name}/sync')
  await check('DELETE', '/db/{name}/sync', `?peer=${encodeURIComponent(peer)}`)
  await check('DELETE', '/db/{name}/sync', '?peer=x')
  await check('DELETE', '/db/{name}/v/{view}')
  await check('DELETE', '/db/{name}/v/{view}')
  assert.deepEqual(
    operations.filter((o) => !seen.has(o)),
    [],
  )
  assert.deepEqual(errors, [])
})

test('a planted answer that is not as described is found', () => {
  const headers = new Headers()
  assert.equal(problem('GET', '/db', { status: 200, headers, body: { databases: ['a'] } }), undefined)
  assert.match(problem('GET', '/db', { status: 200, headers, body: { databases: [1] } })!, /must be string/)
  assert.match(
    problem('GET', '/db', { status: 200, headers, body: { databases: [], more: 1 } })!,
    /additional properties/,
  )
  assert.match(problem('GET', '/db', { status: 418, headers, body: {} })!, /not described/)
  assert.match(problem('GET', '/db', { status: 401, headers, body: {} })!, /required/)
})
