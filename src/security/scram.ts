/**
 * SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), both sides, as PostgreSQL uses them: the server keeps a
 * verifier from which neither the password nor a log-in can be made, and both sides prove themselves.
 *
 *   client-first   gs2-header n=,r=<client nonce>
 *   server-first   r=<both nonces>,s=<salt>,i=<iterations>
 *   client-final   c=<channel binding>,r=<both nonces>,p=<proof>
 *   server-final   v=<server signature>
 *
 *   verifier       SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>      (pg_authid.rolpassword)
 *
 * For a user who does not exist the server goes through the same motions with a made-up verifier, so that nobody learns
 * which users there are.
 *
 * Not here: messages of the PostgreSQL protocol around it (wire/pg/authentication.ts).
 */
import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from 'node:crypto'
import { DbError } from '../base/index.ts'
import type { Random } from '../io/index.ts'
import { preparePassword } from './password.ts'

export const plain = 'SCRAM-SHA-256'
export const plus = 'SCRAM-SHA-256-PLUS'
const defaultIterations = 4096
const saltBytes = 16
const nonceBytes = 18

/** What a server stores about a password. */
export interface ScramVerifier {
  readonly iterations: number
  readonly salt: Buffer
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

/** Makes the verifier of a password, in PostgreSQL's text form. Costs some milliseconds, on purpose. */
export function makeVerifier(password: string, random: Random, iterations = defaultIterations): string {
  const salt = Buffer.from(random.bytes(saltBytes))
  const salted = saltedPassword(password, salt, iterations)
  const storedKey = sha256(hmac(salted, 'Client Key'))
  const serverKey = hmac(salted, 'Server Key')
  return `${plain}$${iterations}:${salt.toString('base64')}$${storedKey.toString('base64')}:${serverKey.toString('base64')}`
}

/** Reads a stored verifier; undefined when the text is none. */
export function parseVerifier(text: string): ScramVerifier | undefined {
  const match = /^SCRAM-SHA-256\$(\d{1,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)$/.exec(text)
  if (match === null) return undefined
  const [, iterations, salt, stored, server] = match
  const storedKey = Buffer.from(stored, 'base64')
  const serverKey = Buffer.from(server, 'base64')
  if (storedKey.length !== 32 || serverKey.length !== 32 || Number(iterations) < 1) return undefined
  return { iterations: Number(iterations), salt: Buffer.from(salt, 'base64'), storedKey, serverKey }
}

/** Whether a password is the verifier's. For tests of passwords outside a log-in; as slow as a client. */
export function passwordMatches(password: string, verifier: ScramVerifier): boolean {
  const salted = saltedPassword(password, verifier.salt, verifier.iterations)
  return timingSafeEqual(sha256(hmac(salted, 'Client Key')), verifier.storedKey)
}

function saltedPassword(password: string, salt: Uint8Array, iterations: number): Buffer {
  return pbkdf2Sync(preparePassword(password), salt, iterations, 32, 'sha256')
}

function hmac(key: Uint8Array, data: string | Uint8Array): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

function sha256(data: Uint8Array): Buffer {
  return createHash('sha256').update(data).digest()
}

function xor(a: Uint8Array, b: Uint8Array): Buffer {
  const out = Buffer.alloc(a.length)
  for (let i = 0; i < a.length; i++) out[i] = a[i] ^ b[i]
  return out
}

function malformed(detail: string): DbError {
  return new DbError('protocol_violation', 'malformed SCRAM message', { detail })
}

/** `name=value` attributes in the order RFC 5802 fixes. */
function attribute(part: string | undefined, name: string): string {
  if (part === undefined || !part.startsWith(name + '=')) throw malformed(`Attribute "${name}" expected.`)
  return part.slice(2)
}

export interface ScramServerOptions {
  /** The stored verifier; undefined for a user without one. */
  readonly verifier: ScramVerifier | undefined
  readonly user: string
  readonly random: Random
  /** Node-wide secret from which the made-up salts of unknown users come. */
  readonly mockSecret: Uint8Array
  /** The tls-server-end-point binding data (RFC 5929) when the connection is TLS. */
  readonly channelBinding: Uint8Array | undefined
}

/** The server's side of one log-in. */
export class ScramServer {
  readonly #options: ScramServerOptions
  readonly #verifier: ScramVerifier
  #clientFirstBare = ''
  #serverFirst = ''
  #nonce = ''
  #gs2Header = ''
  #bound = false

  constructor(options: ScramServerOptions) {
    this.#options = options
    this.#verifier = options.verifier ?? this.#mock()
  }

  /** Mechanisms to offer, best first. */
  get mechanisms(): readonly string[] {
    return this.#options.channelBinding === undefined ? [plain] : [plus, plain]
  }

  #mock(): ScramVerifier {
    const salt = hmac(this.#options.mockSecret, this.#options.user).subarray(0, saltBytes)
    return { iterations: defaultIterations, salt, storedKey: Buffer.alloc(32), serverKey: Buffer.alloc(32) }
  }

  /** Takes client-first, answers server-first. Raises protocol_violation. */
  first(mechanism: string, message: string): string {
    if (!this.mechanisms.includes(mechanism)) {
      throw new DbError('protocol_violation', 'client selected an invalid SASL authentication mechanism')
    }
    this.#bound = mechanism === plus
    const gs2 = /^(n|y|p=([^,]*)),(a=[^,]*)?,/.exec(message)
    if (gs2 === null) throw malformed('The GS2 header is missing.')
    this.#checkBinding(gs2[1], gs2[2])
    if (gs2[3] !== undefined) {
      throw new DbError('feature_not_supported', 'client uses authorization identity, but it is not supported')
    }
    this.#gs2Header = gs2[0]
    this.#clientFirstBare = message.slice(gs2[0].length)
    const parts = this.#clientFirstBare.split(',')
    // The user name is that of the startup message; clients send whatever here.
    attribute(parts[0], 'n')
    const clientNonce = attribute(parts[1], 'r')
    if (!/^[\x21-\x2b\x2d-\x7e]+$/.test(clientNonce)) throw malformed('The nonce holds non-printable characters.')
    this.#nonce = clientNonce + Buffer.from(this.#options.random.bytes(nonceBytes)).toString('base64')
    const salt = this.#verifier.salt.toString('base64')
    this.#serverFirst = `r=${this.#nonce},s=${salt},i=${this.#verifier.iterations}`
    return this.#serverFirst
  }

  #checkBinding(flag: string, kind: string | undefined): void {
    if (this.#bound) {
      if (kind === undefined) throw malformed('The client selected channel binding but sent no binding type.')
      if (kind !== 'tls-server-end-point') {
        throw new DbError('protocol_violation', `unsupported SCRAM channel-binding type "${kind}"`)
      }
    } else if (kind !== undefined) {
      throw malformed('The client sent a channel-binding type without selecting channel binding.')
    } else if (flag === 'y' && this.#options.channelBinding !== undefined) {
      // The client could bind and thinks that we cannot: somebody removed our offer.
      throw new DbError('invalid_authorization_specification', 'SCRAM channel binding negotiation error', {
        detail:
          'The client supports SCRAM channel binding but thinks the server does not. However, this server does support channel binding.',
      })
    }
  }

  /** Takes client-final, answers server-final. Raises invalid_password when the proof is wrong. */
  final(message: string): string {
    const split = message.lastIndexOf(',p=')
    if (split < 0) throw malformed('The proof is missing.')
    const withoutProof = message.slice(0, split)
    const parts = withoutProof.split(',')
    const binding = Buffer.from(attribute(parts[0], 'c'), 'base64')
    const expected = Buffer.concat([
      Buffer.from(this.#gs2Header),
      this.#bound ? this.#options.channelBinding! : new Uint8Array(0),
    ])
    if (!binding.equals(expected)) {
      throw new DbError('invalid_authorization_specification', 'SCRAM channel binding check failed')
    }
    if (attribute(parts[1], 'r') !== this.#nonce) throw malformed('The nonce does not match.')
    const proof = Buffer.from(message.slice(split + 3), 'base64')
    if (proof.length !== 32) throw malformed('The proof has the wrong length.')
    const exchange = `${this.#clientFirstBare},${this.#serverFirst},${withoutProof}`
    const { storedKey, serverKey } = this.#verifier
    const clientKey = xor(proof, hmac(storedKey, exchange))
    const right = timingSafeEqual(sha256(clientKey), storedKey)
    if (!right || this.#options.verifier === undefined) {
      throw new DbError('invalid_password', `password authentication failed for user "${this.#options.user}"`)
    }
    return 'v=' + hmac(serverKey, exchange).toString('base64')
  }
}

export interface ScramClientOptions {
  readonly password: string
  readonly random: Random
  readonly channelBinding: Uint8Array | undefined
}

/** The client's side of one log-in. */
export class ScramClient {
  readonly #options: ScramClientOptions
  #mechanism = plain
  #gs2Header = 'n,,'
  #clientFirstBare = ''
  #nonce = ''
  #serverSignature: Buffer | undefined

  constructor(options: ScramClientOptions) {
    this.#options = options
  }

  /** Picks the best mechanism of those offered. Raises feature_not_supported when there is none that we speak. */
  choose(offered: readonly string[]): string {
    const bind = this.#options.channelBinding !== undefined
    if (bind && offered.includes(plus)) {
      this.#mechanism = plus
      this.#gs2Header = 'p=tls-server-end-point,,'
    } else if (offered.includes(plain)) {
      this.#mechanism = plain
      this.#gs2Header = bind ? 'y,,' : 'n,,'
    } else {
      throw new DbError(
        'feature_not_supported',
        `no common authentication mechanism: server offers ${offered.join(', ')}`,
      )
    }
    return this.#mechanism
  }

  first(): string {
    this.#nonce = Buffer.from(this.#options.random.bytes(nonceBytes)).toString('base64')
    this.#clientFirstBare = `n=,r=${this.#nonce}`
    return this.#gs2Header + this.#clientFirstBare
  }

  /** Takes server-first, answers client-final. Raises protocol_violation. */
  final(serverFirst: string): string {
    const parts = serverFirst.split(',')
    const nonce = attribute(parts[0], 'r')
    const salt = Buffer.from(attribute(parts[1], 's'), 'base64')
    const iterations = Number(attribute(parts[2], 'i'))
    if (!nonce.startsWith(this.#nonce) || nonce === this.#nonce) throw malformed('The server changed the nonce.')
    if (!Number.isInteger(iterations) || iterations < 1 || iterations > 10_000_000) throw malformed('Bad iterations.')
    const binding = this.#mechanism === plus ? this.#options.channelBinding! : new Uint8Array(0)
    const bound = Buffer.concat([Buffer.from(this.#gs2Header), binding]).toString('base64')
    const withoutProof = `c=${bound},r=${nonce}`
    const exchange = `${this.#clientFirstBare},${serverFirst},${withoutProof}`
    const salted = saltedPassword(this.#options.password, salt, iterations)
    const clientKey = hmac(salted, 'Client Key')
    const proof = xor(clientKey, hmac(sha256(clientKey), exchange))
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), exchange)
    return `${withoutProof},p=${proof.toString('base64')}`
  }

  /** Checks server-final: the server knows the verifier. Raises invalid_authorization_specification. */
  verify(serverFinal: string): void {
    const signature = Buffer.from(attribute(serverFinal, 'v'), 'base64')
    const expected = this.#serverSignature
    if (expected === undefined || signature.length !== expected.length || !timingSafeEqual(signature, expected)) {
      throw new DbError('invalid_authorization_specification', 'the server could not prove that it knows the password')
    }
  }
}
