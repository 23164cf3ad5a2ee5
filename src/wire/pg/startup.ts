/**
 * The first messages of a connection, which have no type byte.
 *
 *   length i32 │ 80877103            SSLRequest      answered by one byte, then TLS or the next first message
 *   length i32 │ 80877104            GSSENCRequest   always answered 'N'
 *   length i32 │ 80877102 │ pid │ key                CancelRequest, answered by closing
 *   length i32 │ 3.x │ { name\0 value\0 }… │ \0      StartupMessage
 *
 * A client that asks for a newer minor version, or for options named _pq_.…, is told what is spoken here and goes on.
 *
 * Not here: authentication.
 */
import { DbError } from '../../base/index.ts'
import { BodyReader } from './body.ts'
import type { FrameReader } from './frames.ts'
import { newestMinor, protocolVersion, requestCode } from './protocol.ts'

export type FirstMessage =
  | { readonly kind: 'tls' }
  | { readonly kind: 'gss' }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secretKey: number }
  | StartupMessage

export interface StartupMessage {
  readonly kind: 'startup'
  readonly user: string
  readonly database: string
  /** Everything but user and database. */
  readonly parameters: ReadonlyMap<string, string>
  /** When the client asked for what is not known here: the version to go on with, and the options not understood. */
  readonly negotiation: { readonly version: number; readonly options: readonly string[] } | undefined
}

/** Reads an untyped message. Raises protocol_violation, feature_not_supported, invalid_authorization_specification. */
export function readFirstMessage(frame: FrameReader): FirstMessage {
  const body = new BodyReader()
  body.open(frame)
  if (body.left < 4) throw new DbError('protocol_violation', 'invalid length of startup packet')
  const code = body.u32()
  if (code === requestCode.tls) return { kind: 'tls' }
  if (code === requestCode.gssEncryption) return { kind: 'gss' }
  if (code === requestCode.cancel) {
    if (body.left !== 8) throw new DbError('protocol_violation', 'invalid length of cancel request')
    return { kind: 'cancel', processId: body.i32(), secretKey: body.i32() }
  }
  return readStartup(body, code)
}

function readStartup(body: BodyReader, version: number): StartupMessage {
  const major = version >>> 16
  const minor = version & 0xffff
  if (major !== 3) {
    throw new DbError(
      'feature_not_supported',
      `unsupported frontend protocol ${major}.${minor}: server supports 3.0 to 3.${newestMinor}`,
    )
  }
  const parameters = new Map<string, string>()
  const unknown: string[] = []
  for (;;) {
    if (body.left === 0) {
      throw new DbError('protocol_violation', 'invalid startup packet layout: expected terminator as last byte')
    }
    const name = body.cstring()
    if (name === '') break
    const value = body.cstring()
    if (name.startsWith('_pq_.')) unknown.push(name)
    else parameters.set(name, value)
  }
  if (body.left !== 0) {
    throw new DbError('protocol_violation', 'invalid startup packet layout: expected terminator as last byte')
  }
  const user = parameters.get('user') ?? ''
  if (user === '') {
    throw new DbError('invalid_authorization_specification', 'no PostgreSQL user name specified in startup packet')
  }
  const replication = parameters.get('replication')
  if (replication !== undefined && !/^(false|off|no|0)$/i.test(replication)) {
    throw new DbError('feature_not_supported', 'replication connections are not supported')
  }
  const database = parameters.get('database') || user
  for (const name of ['user', 'database', 'replication']) parameters.delete(name)
  const negotiation =
    minor > newestMinor || unknown.length > 0
      ? { version: protocolVersion(3, Math.min(minor, newestMinor)), options: unknown }
      : undefined
  return { kind: 'startup', user, database, parameters, negotiation }
}
