/**
 * Making and listing event databases.
 *
 *   GET  /db             {"databases": ["orders", …]}
 *   PUT  /db/{name}      makes it (201), or is content that it is there (200); {"schema": …} sets its JSON Schema
 *   POST /db/{name}      makes it (201), or refuses when it is there (409)
 *   GET  /db/{name}      {"name", "store", "incarnation", "position", "count", "schema"?}
 *
 * Not here: events (event-routes.ts).
 */
import type { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { DbError } from '../../base/index.ts'
import { decode, parse, readWhole, unsupported } from './event-body.ts'
import { checkName, type DatabaseSettings, type EventDatabase, mustOpen } from './event-databases.ts'
import type { EventPort } from './event-port.ts'
import { isJson, mediaType } from './media-type.ts'
import { onlyParameters, type Query, wrong } from './parameters.ts'
import { answer } from './reply.ts'

export interface DatabasePath {
  Params: { name: string }
  Querystring: Query
}

export function databaseRoutes(app: FastifyInstance, port: EventPort): void {
  app.get<{ Querystring: Query }>('/db', async (request, reply) => {
    onlyParameters(request.query)
    return answer(request, reply, 'application/json', JSON.stringify({ databases: await port.databases.list() }))
  })

  app.get<DatabasePath>('/db/:name', async (request, reply) => {
    onlyParameters(request.query)
    const found = await mustOpen(port.databases, request.params.name)
    return answer(request, reply, 'application/json', databaseJson(found))
  })

  app.route<DatabasePath>({
    method: ['PUT', 'POST'],
    url: '/db/:name',
    handler: async (request, reply) => {
      const { name } = request.params
      onlyParameters(request.query)
      checkName(name)
      const settings = await readSettings(request.headers['content-type'], request.body as Readable, port.maxBodyBytes)
      const present = request.method === 'POST' && (await port.databases.open(name)) !== undefined
      if (present) throw new DbError('duplicate_database', `there is an event database "${name}" already`)
      const isNew = await port.databases.create(name, settings)
      const body = databaseJson(await mustOpen(port.databases, name))
      return reply
        .code(isNew ? 201 : 200)
        .header('location', `/db/${name}`)
        .type('application/json')
        .send(body)
    },
  })
}

async function readSettings(
  contentType: string | undefined,
  body: Readable | undefined,
  maxBytes: number,
): Promise<DatabaseSettings> {
  const bytes = await readWhole(body, maxBytes)
  if (bytes.length === 0) return {}
  const settings = readJsonObject(contentType, bytes)
  const extra = Object.keys(settings).find((member) => member !== 'schema')
  if (extra !== undefined)
    throw wrong(extra.slice(0, 80), 'is no setting of a database', 'Known is schema, a JSON Schema.')
  const { schema } = settings
  if (schema !== undefined && (typeof schema !== 'object' || schema === null || Array.isArray(schema))) {
    throw wrong('schema', 'must be a JSON Schema, an object')
  }
  return { schema: schema as object | undefined }
}

/** Raises unsupported_media_type, invalid_json_text, invalid_parameter_value. */
export function readJsonObject(contentType: string | undefined, bytes: Uint8Array): Record<string, unknown> {
  const type = mediaType(contentType ?? '')
  if (!isJson(type)) throw unsupported(type)
  const value = parse(decode(bytes))
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw wrong('the body', 'must be a JSON object')
}

function databaseJson({ store, settings }: EventDatabase): string {
  const { name, identity, position, count } = store
  return JSON.stringify({ name, ...identity, position, count, schema: settings.schema })
}
