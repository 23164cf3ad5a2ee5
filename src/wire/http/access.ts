/**
 * Who may ask: bearer tokens with a scope, and web pages by their origin.
 *
 * Only hashes of tokens are kept. All of them are compared, each in constant time, so that the time of an answer tells
 * nothing about any of them. Without tokens everybody who reaches the port may read and write; then it listens on
 * loopback, where web pages reach it too: what changes something is refused to pages of other origins that are not listed.
 *
 * Not here: what listens where (node/exposure.ts).
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { DbError } from '../../base/index.ts'

export type Scope = 'read' | 'write'

export interface AccessToken {
  readonly name: string
  /** Of the token's text, 64 hexadecimal digits. */
  readonly sha256: string
  readonly scopes: readonly Scope[]
}

/** Raises invalid_authorization_specification (401) and insufficient_privilege (403). */
export function checkToken(tokens: readonly AccessToken[], token: string | undefined, scope: Scope): void {
  if (tokens.length === 0) return
  if (token === undefined) {
    throw new DbError('invalid_authorization_specification', 'this needs a token', {
      hint: 'Send the header Authorization: Bearer TOKEN.',
    })
  }
  const hash = createHash('sha256').update(token).digest()
  let found: AccessToken | undefined
  for (const one of tokens) {
    if (timingSafeEqual(Buffer.from(one.sha256, 'hex'), hash)) found = one
  }
  if (found === undefined) throw new DbError('invalid_authorization_specification', 'the token is not known')
  if (found.scopes.includes(scope)) return
  throw new DbError('insufficient_privilege', `the token "${found.name}" may not ${scope}`, {
    detail: `Its scopes are ${found.scopes.join(', ') || 'none'}.`,
  })
}

const bearerProtocol = 'lattice.bearer.'

/**
 * Out of the Authorization header, or, since a browser's WebSocket sends none, out of the offered protocols
 * ("lattice.sync, lattice.bearer.TOKEN").
 */
export function tokenOf(authorization: string | undefined, protocols: string | undefined): string | undefined {
  const bearer = /^bearer +([\w.~+/=-]+) *$/i.exec(authorization ?? '')?.[1]
  if (bearer !== undefined) return bearer
  const offered = protocols?.split(',').map((p) => p.trim()) ?? []
  return offered.find((p) => p.startsWith(bearerProtocol))?.slice(bearerProtocol.length)
}

/** Raises insufficient_privilege for a page of an origin that is neither ours nor listed. */
export function checkOrigin(origins: readonly string[], origin: string | undefined, host: string | undefined): void {
  if (origin === undefined || origins.includes('*') || origins.includes(origin)) return
  if (host !== undefined && URL.canParse(origin) && new URL(origin).host === host) return
  throw new DbError('insufficient_privilege', `pages of ${origin.slice(0, 200)} may not do this`, {
    hint: 'List the origin in the configuration: "cors": ["https://app.example"].',
  })
}
