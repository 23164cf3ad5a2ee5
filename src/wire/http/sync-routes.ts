/**
 * Syncing with other stores.
 *
 *   POST /db/{name}/sync   application/vnd.lattice.sync: a message of the sync protocol, answered with one
 *                          {"peer": "http://…/db/orders", "token"?}: this store meets that one, now; with
 *                          "live": true it stays in touch from now on, also after a restart
 *   DELETE …/sync?peer=    stays in touch no longer
 *   GET  /db/{name}/sync   the stores that this one has met, what each lacks, and those that it stays in touch with
 *                          upgraded to a WebSocket: messages of the protocol, answered in order; "changed" as text
 *                          whenever there is something new to ask for; before it ends for an error, that as JSON
 *
 * Not here: the messages (model/events).
 */
import type { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { WebSocket } from 'ws'
import { DbError } from '../../base/index.ts'
import { answerSync, type SyncStore } from '../../model/events/index.ts'
import { syncMessage } from '../sync/peer-address.ts'
import { type DatabasePath, readJsonObject } from './database-routes.ts'
import { readWhole } from './event-body.ts'
import { mustOpen } from './event-databases.ts'
import type { EventPort } from './event-port.ts'
import { closing } from './event-routes.ts'
import { mediaType } from './media-type.ts'
import { onlyParameters, text, wrong } from './parameters.ts'
import { answer, errorBody } from './reply.ts'

/** Longest message of the protocol. Bytes. */
export const maxMessageBytes = 8 << 20

export function syncRoutes(app: FastifyInstance, port: EventPort): void {
  app.post<DatabasePath>('/db/:name/sync', async (request, reply) => {
    onlyParameters(request.query)
    const { store } = await mustOpen(port.databases, request.params.name)
    const type = request.headers['content-type']
    const body = await readWhole(request.body as Readable, maxMessageBytes)
    if (mediaType(type ?? '') === syncMessage) return reply.type(syncMessage).send(await answerSync(store, body))
    const { peer, token, live } = readPeer(readJsonObject(type, body))
    if (!live) return reply.send(await port.databases.meet(store, peer, { token, signal: closing(reply) }))
    await port.databases.join(store.name, peer, token)
    return reply.code(202).send({ peer, live })
  })

  app.delete<DatabasePath>('/db/:name/sync', async (request, reply) => {
    onlyParameters(request.query, 'peer')
    const { store } = await mustOpen(port.databases, request.params.name)
    const peer = text(request.query, 'peer')
    if (peer === undefined) throw wrong('peer', 'must be the address to part from')
    await port.databases.part(store.name, peer)
    return reply.code(204).send()
  })

  app.route<DatabasePath>({
    method: 'GET',
    url: '/db/:name/sync',
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      onlyParameters(request.query)
      const { store, links } = await mustOpen(port.databases, request.params.name)
      const body = JSON.stringify({ peers: store.peers(), links: links() })
      return answer(request, reply, 'application/json', body)
    },
    wsHandler: (socket, request) => {
      mustOpen(port.databases, request.params.name).then(
        ({ store }) => converse(socket, store),
        (error) => end(socket, error),
      )
      // Nothing is lost meanwhile.
      socket.pause()
    },
  })
}

function readPeer({ peer, token, live = false, ...more }: Record<string, unknown>) {
  const extra = Object.keys(more)[0]
  if (extra !== undefined) throw wrong(extra.slice(0, 80), 'is not known here', 'Known are peer, token and live.')
  if (typeof peer !== 'string')
    throw wrong('peer', 'must be the address of a database: "http://127.0.0.1:7480/db/orders"')
  if (token !== undefined && typeof token !== 'string') throw wrong('token', 'must be a string')
  if (typeof live !== 'boolean') throw wrong('live', 'must be true or false')
  return { peer, token, live }
}

/** Answers one message after the other; reads no further while one is being answered. */
function converse(socket: WebSocket, store: SyncStore): void {
  // Once told, the peer will ask; only what changes after that is news to it.
  let told = false
  const unsubscribe = store.subscribe(() => {
    if (!told) socket.send('changed')
    told = true
  })
  let last = Promise.resolve()
  socket.on('message', (message, isBinary) => {
    told = false
    socket.pause()
    last = last.then(async () => {
      try {
        if (!isBinary) throw new DbError('protocol_violation', 'messages of the sync protocol are binary')
        socket.send(await answerSync(store, message as Buffer))
        socket.resume()
      } catch (error) {
        end(socket, error)
      }
    })
  })
  socket.on('close', unsubscribe)
  socket.on('error', unsubscribe)
  socket.resume()
}

const refused = 1008

function end(socket: WebSocket, error: unknown): void {
  const known = error instanceof DbError ? error : new DbError('internal_error', 'internal error', { cause: error })
  socket.resume()
  socket.send(JSON.stringify(errorBody(known)))
  socket.close(refused, known.code)
}
