/**
 * Views of a database's events.
 *
 *   GET    /db/{name}/v                    which there are, and how they are
 *   PUT    /db/{name}/v/{view}             adds one, or another version of it: a definition (model/events/views/definition.ts)
 *   DELETE /db/{name}/v/{view}             forgets it
 *   POST   /db/{name}/v/{view}/resume      goes on after its code threw
 *   GET    /db/{name}/v/{view}             what it answers; also as /{name}/{view}
 *            ?key=                         of one key; without it of all: ?from=, ?behind=, ?limit=
 *            ?at=, ?lc=                    as of an event time, a position
 *   GET    /db/{name}/v/{view}/changes     ?after=&limit=: which answers changed, also as Server-Sent Events
 *
 * Not here: views (model/events/views).
 */
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { DbError } from '../../base/index.ts'
import type { Tasks } from '../../io/index.ts'
import { type AsOf, type Views, viewFromDefinition } from '../../model/events/views/index.ts'
import { readCursor } from './cursor.ts'
import { readJsonObject } from './database-routes.ts'
import { readWhole } from './event-body.ts'
import { type EventDatabase, mustOpen } from './event-databases.ts'
import type { EventPort } from './event-port.ts'
import { closing, offered } from './event-routes.ts'
import { heartbeatMs, streamBeginning } from './feed.ts'
import { eventStream } from './media-type.ts'
import { integer, onlyParameters, type Query, text, time, wrong } from './parameters.ts'
import { answer } from './reply.ts'

interface ViewPath {
  Params: { name: string; view: string }
  Querystring: Query
}

const defaultEntries = 1_000
const maxEntries = 10_000
const json = 'application/json'

export function viewRoutes(app: FastifyInstance, port: EventPort): void {
  const find = (name: string) => mustOpen(port.databases, name)

  app.get<{ Params: { name: string }; Querystring: Query }>('/db/:name/v', async (request, reply) => {
    onlyParameters(request.query)
    const { views } = await find(request.params.name)
    return answer(request, reply, json, JSON.stringify({ views: views.list() }))
  })

  app.put<ViewPath>('/db/:name/v/:view', async (request, reply) => {
    onlyParameters(request.query)
    const { name, view } = request.params
    const { views, viewChanged } = await find(name)
    const bytes = await readWhole(request.body as Readable | undefined, port.maxBodyBytes)
    const definition = readJsonObject(request.headers['content-type'], bytes)
    if (definition.name !== undefined && definition.name !== view)
      throw wrong('name', `is not that of the path, "${view}"`)
    const isNew = !views.list().some((v) => v.name === view)
    await views.add(viewFromDefinition({ ...definition, name: view }))
    viewChanged(view)
    const status = JSON.stringify(views.status(view))
    return reply
      .code(isNew ? 201 : 200)
      .header('location', `/db/${name}/v/${view}`)
      .type(json)
      .send(status)
  })

  app.delete<ViewPath>('/db/:name/v/:view', async (request, reply) => {
    onlyParameters(request.query)
    const { views, viewChanged } = await find(request.params.name)
    await views.remove(request.params.view)
    viewChanged(request.params.view)
    return reply.code(204).send()
  })

  app.post<ViewPath>('/db/:name/v/:view/resume', async (request, reply) => {
    onlyParameters(request.query)
    const { views } = await find(request.params.name)
    views.resume(request.params.view)
    return reply.code(204).send()
  })

  for (const url of ['/db/:name/v/:view', '/:name/:view']) {
    app.get<ViewPath>(url, async (request, reply) => read(await find(request.params.name), request, reply))
  }

  app.get<ViewPath>('/db/:name/v/:view/changes', async (request, reply) =>
    changes((await find(request.params.name)).views, request, reply, port.tasks),
  )
}

async function read({ store, views }: EventDatabase, request: FastifyRequest<ViewPath>, reply: FastifyReply) {
  const { query, params } = request
  onlyParameters(query, 'key', 'at', 'lc', 'from', 'behind', 'limit')
  const { keyed } = views.status(params.view)
  const key = text(query, 'key')
  const lc = text(query, 'lc')
  const timeMs = time(query, 'at')
  const position = lc === undefined ? undefined : readCursor(lc, store)
  const asOf: AsOf | undefined = lc === undefined && timeMs === undefined ? undefined : { position, timeMs }
  if (keyed && key === undefined) {
    const limit = integer(query, 'limit', 1, maxEntries) ?? defaultEntries
    const options = { from: text(query, 'from'), behind: text(query, 'behind'), limit, asOf }
    const entries = await views.entries(params.view, options)
    const behind = entries.length < limit ? undefined : entries.at(-1)!.key
    return answer(request, reply, json, JSON.stringify({ entries, behind }))
  }
  const value = asOf === undefined ? await views.get(params.view, key) : await views.asOf(params.view, asOf, key)
  if (value === undefined && keyed) throw new DbError('no_data', 'no event concerns this key')
  return answer(request, reply, json, JSON.stringify({ key, value: value ?? null }))
}

async function changes(views: Views, request: FastifyRequest<ViewPath>, reply: FastifyReply, tasks: Tasks) {
  const { query, headers, params } = request
  onlyParameters(query, 'after', 'limit')
  const type = offered(request, [json, eventStream])
  const resumed = { ...query, ...(type === eventStream && { after: headers['last-event-id'] ?? query.after }) }
  const after = integer(resumed, 'after', 0, Number.MAX_SAFE_INTEGER) ?? 0
  if (type === eventStream) {
    views.status(params.view)
    reply.headers({ 'content-type': eventStream, 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
    return reply.send(Readable.from(changeEvents(views, params.view, after, { tasks, signal: closing(reply) })))
  }
  const limit = integer(query, 'limit', 1, maxEntries) ?? defaultEntries
  return answer(request, reply, json, JSON.stringify(await views.corrections(params.view, after, limit)))
}

async function* changeEvents(
  views: Views,
  view: string,
  after: number,
  { tasks, signal }: { tasks: Tasks; signal: AbortSignal },
): AsyncGenerator<string> {
  yield streamBeginning
  const follow = views.follow(view, { after, signal })
  for (let next = follow.next(); ; ) {
    const quiet = Promise.withResolvers<undefined>()
    const timer = tasks.after(heartbeatMs, () => quiet.resolve(undefined))
    const found = await Promise.race([next, quiet.promise]).finally(() => timer.cancel())
    if (found === undefined) {
      yield ': nothing new\n\n'
      continue
    }
    if (found.done) return
    yield `id: ${found.value.sequence}\ndata: ${JSON.stringify(found.value)}\n\n`
    next = follow.next()
  }
}
