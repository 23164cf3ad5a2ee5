/**
 * The node's HTTP port.
 *
 *   GET  /healthz        200 while the process lives
 *   GET  /readyz         200 when clients are served, 503 while starting and stopping
 *   GET  /metrics        for Prometheus
 *   GET  /status         what `lattice status` shows, as JSON
 *   POST /decommission   {"node": 3}: takes a node out of the cluster; 202 when that has begun
 *
 *   /db, /db/…, /{name}/{view}, /openapi.json      event databases (wire/http)
 *
 * Not here: what the answers hold.
 */
import type { FastifyInstance, FastifyReply } from 'fastify'
import { DbError } from '../base/index.ts'
import type { EventPort } from '../wire/index.ts'
import { formatAddress, type ListenAddress } from './address.ts'

export interface HttpPages {
  /** Why the node does not serve, undefined when it does. */
  unready(): string | undefined
  metrics(): Promise<{ text: string; contentType: string }>
  status(): Record<string, unknown>
  /** Raises when the node cannot go, or when there is no cluster. */
  decommission(node: number): Promise<void>
}

export interface HttpServer {
  readonly port: number
  close(): Promise<void>
}

/** No page has a JSON Schema: without these its compilers are loaded at every start for nothing. */
const noSchemas = {
  compilersFactory: { buildValidator: () => refuseSchema, buildSerializer: () => refuseSchema },
}

function refuseSchema(): never {
  throw new Error('a page with a JSON Schema needs the compilers of schemas')
}

/** Raises object_in_use when the port is taken. */
export async function startHttp(address: ListenAddress, pages: HttpPages, events?: EventPort): Promise<HttpServer> {
  // Loaded here: an embedded database has no use for it, and a node listens for SQL first.
  const { fastify } = await import('fastify')
  const app: FastifyInstance = fastify({
    logger: false,
    forceCloseConnections: true,
    schemaController: noSchemas,
    frameworkErrors: (error, _request, reply) => {
      refuse(reply, new DbError('protocol_violation', error.message), error.statusCode)
    },
  })
  app.setNotFoundHandler(({ method, url }, reply) =>
    refuse(
      reply,
      new DbError('undefined_object', `there is no ${method} ${url.slice(0, 200)}`, {
        hint: 'GET /openapi.json describes what event databases offer; others are /healthz, /readyz, /metrics, /status.',
      }),
    ),
  )
  app.get('/healthz', async () => ({ alive: true }))
  app.get('/readyz', async (_request, reply) => {
    const reason = pages.unready()
    return reply.code(reason === undefined ? 200 : 503).send({ ready: reason === undefined, reason })
  })
  app.get('/metrics', async (_request, reply) => {
    const { text, contentType } = await pages.metrics()
    return reply.header('content-type', contentType).send(text)
  })
  app.get('/status', async () => pages.status())
  // Only JSON is taken: a form of some web page in a browser on this host must not be able to say it.
  app.removeContentTypeParser('text/plain')
  app.post('/decommission', async (request, reply) => {
    const node = (request.body as { node?: unknown } | null | undefined)?.node
    if (!Number.isSafeInteger(node)) return reply.code(400).send({ error: 'say which node: {"node": 3}' })
    try {
      await pages.decommission(node as number)
      return reply.code(202).send({ node })
    } catch (error) {
      if (!(error instanceof DbError)) throw error
      return refuse(reply, error)
    }
  })
  if (events !== undefined) {
    const { eventPort } = await import('../wire/http/index.ts')
    await app.register(eventPort, events)
  }
  try {
    await app.listen({ host: address.host, port: address.port })
  } catch (error) {
    await app.close()
    throw listenError(error, address)
  }
  const bound = app.server.address()
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : address.port,
    close: () => app.close(),
  }
}

function refuse(reply: FastifyReply, error: DbError, status = error.httpStatus): FastifyReply {
  const { code, sqlstate, message, detail, hint, retryable } = error
  return reply.code(status).send({ code, sqlstate, error: message, detail, hint, retry: retryable })
}

function listenError(error: unknown, address: ListenAddress): DbError {
  const { code, message } = error as NodeJS.ErrnoException
  const taken = code === 'EADDRINUSE'
  return new DbError(
    taken ? 'object_in_use' : 'io_error',
    `could not listen on ${formatAddress(address)} for HTTP: ${taken ? 'the port is taken' : message}`,
    { cause: error, hint: taken ? 'Choose another with --http HOST:PORT.' : undefined },
  )
}
