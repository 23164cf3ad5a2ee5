/**
 * Answers: a body with its entity tag, and errors.
 *
 *   { "code": "position_unknown", "sqlstate": "LE005", "error": "…", "detail": "…", "hint": "…", "where": "…", "retry": false }
 *
 * Not here: compression, which comes after.
 */
import { createHash } from 'node:crypto'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { DbError } from '../../base/index.ts'
import type { Log } from '../../io/index.ts'

/** Answers 304 to whoever has this body already. The tag is weak: compressed bytes are others. */
export function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  type: string,
  body: string | Uint8Array,
): FastifyReply {
  const tag = `W/"${createHash('sha1').update(type).update(body).digest('base64url')}"`
  // Ask again each time; the tag makes that cheap.
  reply.headers({ etag: tag, 'cache-control': 'private, no-cache', vary: 'accept, accept-encoding' })
  if (known(request.headers['if-none-match'], tag)) return reply.code(304).send()
  return reply.type(type).send(body)
}

function known(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false
  const opaque = (t: string) => t.trim().replace(/^W\//, '')
  return header.trim() === '*' || header.split(',').some((t) => opaque(t) === opaque(tag))
}

export function errorBody(error: DbError): Record<string, unknown> {
  const { code, sqlstate, message, detail, hint, where, retryable } = error
  return { code, sqlstate, error: message, detail, hint, where, retry: retryable }
}

/** What is no DbError and no fault of the request is a bug: logged, and not told. */
export function sendError(error: FastifyError | DbError | Error, reply: FastifyReply, log: Log): FastifyReply {
  if (error instanceof DbError) {
    if (error.code === 'invalid_authorization_specification') reply.header('www-authenticate', 'Bearer')
    if (error.httpStatus === 503) reply.header('retry-after', '1')
    const { appended } = error as { appended?: number }
    return reply
      .code(error.httpStatus)
      .type('application/json')
      .send({ ...errorBody(error), appended })
  }
  // The client went away while it was sending; nobody reads this.
  if ((error as FastifyError).code === 'ECONNRESET') return reply.code(499).send()
  const status = (error as FastifyError).statusCode ?? 500
  if (status < 500) return sendWithStatus(reply, status, error.message)
  log.error('http-request-failed', { error: error.stack })
  return reply
    .code(500)
    .type('application/json')
    .send(errorBody(new DbError('internal_error', 'internal error')))
}

/** The web server refused the request before it came to us. */
function sendWithStatus(reply: FastifyReply, status: number, message: string): FastifyReply {
  const error =
    status === 415
      ? new DbError('unsupported_media_type', message, { hint: encodingsHint })
      : new DbError(status === 413 ? 'request_too_large' : 'protocol_violation', message)
  return reply.code(status).type('application/json').send(errorBody(error))
}

const encodingsHint =
  'A content type is like application/json, with a slash; content encodings are gzip, br, zstd and identity.'
