/**
 * An HTTP port over event databases in memory, on a free port of loopback, with simulated timers: a long poll or a
 * heartbeat comes when the test says so.
 */
import { fastify } from 'fastify'
import { web } from '../../src/io/browser/index.ts'
import type { Tasks } from '../../src/io/index.ts'
import { nodeIo } from '../../src/io/node/index.ts'
import { memoryMap, type OrderedMap } from '../../src/model/events/index.ts'
import { NodeEventDatabases } from '../../src/node/event-databases.ts'
import { type EventPort, eventPort } from '../../src/wire/http/index.ts'

export interface TestPort {
  readonly url: string
  readonly databases: NodeEventDatabases
  /** Every route that was registered: "GET /db/:name". */
  readonly routes: readonly string[]
  /** Errors that were logged: bugs. */
  readonly errors: unknown[]
  /** How many timers wait. */
  readonly timers: () => number
  /** Lets all timers that wait run out. */
  readonly expire: () => void
  close(): Promise<void>
}

export type TestPortOptions = Partial<Pick<EventPort, 'tokens' | 'origins' | 'maxBodyBytes'>> & {
  readonly maps?: Map<string, OrderedMap>
}

export async function openTestPort({ maps = new Map(), ...options }: TestPortOptions = {}): Promise<TestPort> {
  const { clock, random } = nodeIo({ logLevel: 'silent' })
  const waiting = new Set<() => void>()
  const tasks = {
    after: (_delayMs: number, callback: () => void) => {
      waiting.add(callback)
      return { cancel: () => void waiting.delete(callback) }
    },
    yield: () => new Promise<void>((resolve) => setImmediate(resolve)),
  } as Tasks
  const errors: unknown[] = []
  const quiet = {
    debug() {},
    info() {},
    warn() {},
    error: (_event: string, fields: unknown) => errors.push(fields),
    child: () => quiet,
  }
  const openMap = async (space: string) => {
    const map = maps.get(space) ?? memoryMap()
    maps.set(space, map)
    return { ...bound(map), close: async () => {} }
  }
  const databases = await NodeEventDatabases.open({ io: { clock, random, tasks, log: quiet }, web, openMap })
  const app = fastify({ forceCloseConnections: true })
  const routes: string[] = []
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) routes.push(`${one} ${url}`)
  })
  await app.register(eventPort, {
    databases,
    tasks,
    log: quiet,
    tokens: [],
    origins: [],
    maxBodyBytes: 4 << 20,
    ...options,
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const close = async () => {
    await app.close()
    await databases.close()
  }
  const expire = () => {
    for (const callback of [...waiting]) {
      waiting.delete(callback)
      callback()
    }
  }
  return { url, databases, routes, errors, timers: () => waiting.size, expire, close }
}

/** The methods of a map as a plain object: closing the port must not close what the next one opens again. */
function bound(map: OrderedMap): OrderedMap {
  return { write: (c) => map.write(c), get: (k) => map.get(k), scan: (o) => map.scan(o), close: () => map.close() }
}

export const jsonType = { 'content-type': 'application/json' }

/** Status, headers and body of an answer; the body parsed when it is JSON. */
export async function ask(url: string, init: RequestInit & { json?: unknown } = {}) {
  const { json, ...rest } = init
  const answer = await fetch(
    url,
    json === undefined ? rest : { ...rest, headers: { ...jsonType, ...rest.headers }, body: JSON.stringify(json) },
  )
  const text = await answer.text()
  const body = /[/+]json(;|$)/.test(answer.headers.get('content-type') ?? '') && text !== '' ? JSON.parse(text) : text
  return { status: answer.status, headers: answer.headers, text, body: body as any }
}

export const put = (url: string, json?: unknown) => ask(url, { method: 'PUT', json })
export const post = (url: string, json: unknown) => ask(url, { method: 'POST', json })
