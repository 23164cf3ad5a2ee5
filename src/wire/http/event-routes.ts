/**
 * Events of a database.
 *
 *   POST   /db/{name}/e                     appends (event-body.ts has the forms); {"keys": […]} once durable
 *   GET    /db/{name}/e?lc={n}&limit=       the changes feed: what was received after position n; ?wait= seconds for it;
 *                                           as JSON, one event a line, or a stream of Server-Sent Events
 *   GET    /db/{name}/e?keys=a,b            these, in this order; null where there is none; "rest" are those to ask for next
 *   GET    /db/{name}/e?from=&to=           by the time at which they happened; ?afterKey= continues, ?reverse=true turns
 *                                           a page of any of these has at most 4 MiB of values, or one event
 *   GET    /db/{name}/e/{key}               the value alone, as it was appended
 *   DELETE /db/{name}/e?keys=a,b            erases their values, here and wherever the store syncs
 *   GET    /db/{name}/conflicts             keys that came with two values; ?after= continues
 *
 * Not here: waiting and streams (feed.ts).
 */
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { DbError } from '../../base/index.ts'
import type { StoredEvent } from '../../model/events/event-store.ts'
import { formatCursor, readCursor } from './cursor.ts'
import type { DatabasePath } from './database-routes.ts'
import { readEvents } from './event-body.ts'
import { type EventDatabase, mustOpen } from './event-databases.ts'
import { conflictJson, eventJson, pageJson } from './event-json.ts'
import type { EventPort } from './event-port.ts'
import { arrival, serverSentEvents } from './feed.ts'
import { eventStream, negotiate } from './media-type.ts'
import { integer, list, onlyParameters, text, time, wrong } from './parameters.ts'
import { answer } from './reply.ts'

const defaultEvents = 1_000
const maxEvents = 10_000
const maxKeys = 1_000
const maxWaitSeconds = 60
const json = 'application/json'
const ndjson = 'application/x-ndjson'

type Request = FastifyRequest<DatabasePath>

export function eventRoutes(app: FastifyInstance, port: EventPort): void {
  const find = (request: Request) => mustOpen(port.databases, request.params.name)

  app.post<DatabasePath>('/db/:name/e', async (request, reply) => {
    onlyParameters(request.query, 'key', 'at')
    const database = await find(request)
    return reply.code(201).send({ keys: await append(database, request, port.maxBodyBytes) })
  })

  app.get<DatabasePath>('/db/:name/e', async (request, reply) => {
    const database = await find(request)
    const { query } = request
    if (query.keys !== undefined) return bulk(database, request, reply)
    if (query.from !== undefined || query.to !== undefined) return range(database, request, reply)
    return changes(database, request, reply, port)
  })

  app.get<{ Params: { name: string; key: string } }>('/db/:name/e/:key', async (request, reply) => {
    const { store } = await mustOpen(port.databases, request.params.name)
    const [event] = await store.get([request.params.key])
    if (event === undefined) throw new DbError('no_data', 'there is no event with this key')
    if (event.redacted) return reply.code(410).send({ code: 'no_data', error: 'the value of this event was erased' })
    // The type is the sender's word: no page may be made of it here.
    reply.headers({ 'x-content-type-options': 'nosniff', 'content-security-policy': 'sandbox' })
    const type = /^[ -~]+$/.test(event.contentType) ? event.contentType : 'application/octet-stream'
    return answer(request, reply, type, event.value)
  })

  app.delete<DatabasePath>('/db/:name/e', async (request, reply) => {
    onlyParameters(request.query, 'keys')
    const { store } = await find(request)
    const keys = list(request.query, 'keys', maxKeys)
    if (keys === undefined) throw wrong('keys', 'must name the events to erase')
    await store.redact(keys)
    return reply.code(204).send()
  })

  app.get<DatabasePath>('/db/:name/conflicts', async (request, reply) => {
    onlyParameters(request.query, 'limit', 'after')
    const { store } = await find(request)
    const limit = integer(request.query, 'limit', 1, maxEvents) ?? defaultEvents
    const { conflicts, after } = await store.conflicts(limit, text(request.query, 'after'))
    const tail = after === undefined ? '' : `,"after":"${after}"`
    return answer(request, reply, json, `{"conflicts":[${conflicts.map(conflictJson).join(',')}]${tail}}`)
  })
}

/** Keys in the order of the body. A stream that fails half way says how many events were appended before. */
async function append({ store, check }: EventDatabase, request: Request, maxBytes: number): Promise<string[]> {
  const options = { maxBytes, check, key: text(request.query, 'key'), atMs: time(request.query, 'at') }
  const keys: string[] = []
  try {
    const body = request.body as Readable | undefined
    for await (const batch of readEvents(request.headers['content-type'], body, options)) {
      for (const key of await store.append(batch)) keys.push(key)
    }
  } catch (error) {
    if (error instanceof DbError && keys.length > 0) Object.assign(error, { appended: keys.length })
    throw error
  }
  return keys
}

async function changes({ store }: EventDatabase, request: Request, reply: FastifyReply, port: EventPort) {
  const { query, headers } = request
  onlyParameters(query, 'lc', 'limit', 'wait')
  const type = offered(request, [json, ndjson, eventStream])
  const resumed = type === eventStream ? headers['last-event-id'] : undefined
  const after = readCursor((resumed as string | undefined) ?? text(query, 'lc') ?? '0', store)
  const signal = closing(reply)
  if (type === eventStream) {
    reply.headers({ 'content-type': eventStream, 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
    return reply.send(Readable.from(serverSentEvents(store, after, { tasks: port.tasks, signal })))
  }
  const limit = integer(query, 'limit', 1, maxEvents) ?? defaultEvents
  const waitMs = (integer(query, 'wait', 0, maxWaitSeconds) ?? 0) * 1000
  if (waitMs > 0) await arrival(store, after, { tasks: port.tasks, waitMs, signal })
  const page = await store.changes(after, limit)
  const next = formatCursor(store.identity, page.next)
  reply.header('link', `</db/${store.name}/e?lc=${next}&limit=${limit}>; rel="next"`)
  if (type === ndjson) return answer(request, reply, ndjson, lines(page.events))
  return answer(request, reply, json, pageJson(page, store.identity))
}

async function bulk({ store }: EventDatabase, request: Request, reply: FastifyReply) {
  onlyParameters(request.query, 'keys')
  const type = offered(request, [json, ndjson])
  const keys = list(request.query, 'keys', maxKeys)!
  const events = await store.get(keys, store.limits.pageBytes)
  const rest = keys.slice(events.length)
  if (type === ndjson) return answer(request, reply, ndjson, lines(events.filter((e) => e !== undefined)))
  const body = events.map((event) => (event === undefined ? 'null' : eventJson(event))).join(',')
  return answer(
    request,
    reply,
    json,
    `{"events":[${body}]${rest.length === 0 ? '' : `,"rest":${JSON.stringify(rest)}`}}`,
  )
}

async function range({ store }: EventDatabase, request: Request, reply: FastifyReply) {
  const { query } = request
  onlyParameters(query, 'from', 'to', 'limit', 'afterKey', 'reverse')
  const type = offered(request, [json, ndjson])
  const limit = integer(query, 'limit', 1, maxEvents) ?? defaultEvents
  const reverse = text(query, 'reverse')
  if (reverse !== undefined && reverse !== 'true' && reverse !== 'false')
    throw wrong('reverse', 'must be true or false')
  const span = { fromMs: time(query, 'from'), toMs: time(query, 'to'), reverse: reverse === 'true' }
  const { events, afterKey } = await store.range({ ...span, afterKey: text(query, 'afterKey'), limit })
  if (afterKey !== undefined) {
    const next = new URLSearchParams({ ...(query as Record<string, string>), afterKey })
    reply.header('link', `</db/${store.name}/e?${next}>; rel="next"`)
  }
  if (type === ndjson) return answer(request, reply, ndjson, lines(events))
  const tail = afterKey === undefined ? '' : `,"afterKey":"${afterKey}"`
  return answer(request, reply, json, `{"events":[${events.map(eventJson).join(',')}]${tail}}`)
}

function lines(events: readonly StoredEvent[]): string {
  return events.map((event) => `${eventJson(event)}\n`).join('')
}

export function offered(request: FastifyRequest, offers: readonly string[]): string {
  const type = negotiate(request.headers.accept, offers)
  if (type !== undefined) return type
  throw new DbError('not_acceptable', `${request.headers.accept?.slice(0, 80)} is not to be had here`, {
    hint: `There are ${offers.join(', ')}.`,
  })
}

/** Given when the client goes, or when the answer is out. */
export function closing(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => controller.abort())
  return controller.signal
}
