/**
 * Event databases on an HTTP server: everything below /db, views also as /{name}/{view}, and the description of it all.
 *
 *   request ─► origin ─► token ─► route ─► store          database-routes.ts, event-routes.ts, view-routes.ts, sync-routes.ts
 *              CORS               ◄─ tag ◄─ compression
 *
 * It lives in a scope of its own: parsers, hooks and error handlers do not reach the port's other pages.
 *
 * Not here: the server (node/http-server.ts), what stores do (model/events).
 */
import compress from '@fastify/compress'
import cors from '@fastify/cors'
import websocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import type { Log, Tasks } from '../../io/index.ts'
import { syncProtocol } from '../sync/peer-address.ts'
import { type AccessToken, checkOrigin, checkToken, type Scope, tokenOf } from './access.ts'
import { databaseRoutes } from './database-routes.ts'
import type { EventDatabases } from './event-databases.ts'
import { eventRoutes } from './event-routes.ts'
import { eventStream } from './media-type.ts'
import { openApi } from './openapi.ts'
import { sendError } from './reply.ts'
import { maxMessageBytes, syncRoutes } from './sync-routes.ts'
import { viewRoutes } from './view-routes.ts'

export interface EventPort {
  /** Asked for at each request: raises while there are none yet. */
  readonly databases: EventDatabases
  readonly tasks: Tasks
  readonly log: Log
  /** None: everybody may read and write. */
  readonly tokens: readonly AccessToken[]
  /** Web pages of these origins may ask; '*' is all. */
  readonly origins: readonly string[]
  /** Longest body that is held in memory. Bytes. */
  readonly maxBodyBytes: number
}

/** Below this a compressed answer is no smaller on the wire. Bytes. */
const compressFrom = 1024

export async function eventPort(app: FastifyInstance, port: EventPort): Promise<void> {
  app.removeAllContentTypeParsers()
  // Routes read bodies themselves: as streams, with the limits that each has.
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  app.setErrorHandler((error, _request, reply) => sendError(error as Error, reply, port.log))
  if (port.origins.length > 0) {
    await app.register(cors, {
      origin: port.origins.includes('*') ? '*' : [...port.origins],
      methods: ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'],
      allowedHeaders: ['authorization', 'content-type', 'if-none-match', 'last-event-id'],
      exposedHeaders: ['etag', 'link', 'retry-after'],
      maxAge: 600,
    })
  }
  app.addHook('onRequest', async (request, reply) => {
    const { method, headers, raw } = request
    // It says that nothing was done to the body: there is nothing to undo.
    if (headers['content-encoding'] === 'identity') delete headers['content-encoding']
    // The server has given up such a connection: when it is answered instead of upgraded, nobody else ends it.
    if (headers.upgrade !== undefined) reply.raw.once('finish', () => raw.socket.end())
    // Over a WebSocket events come in: it is as good as writing.
    const changing = (method !== 'GET' && method !== 'HEAD') || headers.upgrade !== undefined
    if (changing) checkOrigin(port.origins, headers.origin, headers.host)
    const scope = request.routeOptions.config.scope ?? (changing ? 'write' : 'read')
    if (scope === 'open') return
    checkToken(port.tokens, tokenOf(headers.authorization, headers['sec-websocket-protocol']), scope)
  })
  await app.register(compress, {
    threshold: compressFrom,
    encodings: ['zstd', 'br', 'gzip'],
    requestEncodings: ['gzip', 'br', 'zstd'],
    customTypes: (type) => type !== eventStream && /^text\/|json/.test(type),
  })
  await app.register(websocket, { options: { maxPayload: maxMessageBytes, handleProtocols: () => syncProtocol } })
  const document = JSON.stringify(openApi)
  app.get('/openapi.json', { config: { scope: 'open' } }, async (_request, reply) =>
    reply.type('application/json').send(document),
  )
  databaseRoutes(app, port)
  eventRoutes(app, port)
  viewRoutes(app, port)
  syncRoutes(app, port)
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a token must allow; reads read and everything else writes when it does not say. */
    readonly scope?: Scope | 'open'
  }
}
