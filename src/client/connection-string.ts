/**
 * Connection strings: postgres://user:password@host:port,host:port/database?sslmode=…&application_name=…
 *
 * As in libpq, several hosts are tried in turn, a host that begins with '/' (in the host part %2F) is the directory of a
 * Unix domain socket, and unknown words after the '?' go to the server as settings.
 *
 * Not here: connecting (remote-channel.ts).
 */
import { DbError } from '../base/index.ts'

export type SslMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

export interface RemoteAddress {
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
  readonly user: string
  readonly password: string | undefined
  readonly database: string
  readonly sslMode: SslMode
  /** Paths of PEM files. */
  readonly authorityFile: string | undefined
  readonly certificateFile: string | undefined
  readonly keyFile: string | undefined
  readonly connectTimeoutMs: number
  /** Settings for the session's start. */
  readonly parameters: ReadonlyMap<string, string>
}

export const defaultPort = 7432
const sslModes: readonly string[] = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full']
const ours = new Set([
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'connect_timeout',
  'user',
  'password',
  'dbname',
  'host',
  'port',
])

export function isConnectionString(target: string): boolean {
  return /^(postgres|postgresql|lattice):\/\//.test(target)
}

/** Raises invalid_parameter_value. */
export function parseConnectionString(text: string): RemoteAddress {
  const match = /^\w+:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(text)
  if (match === null) {
    throw new DbError('invalid_parameter_value', `not a connection string: "${text.slice(0, 80)}"`, {
      hint: 'Write it as postgres://user@127.0.0.1:7432/database.',
    })
  }
  const [, credentials = '', places, path = '', search = ''] = match
  const colon = credentials.indexOf(':')
  const words = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(search)) words.set(name, value)
  const user = decode(colon < 0 ? credentials : credentials.slice(0, colon)) || words.get('user') || 'lattice'
  const password = colon < 0 ? words.get('password') : decode(credentials.slice(colon + 1))
  const hosts = places === '' ? [] : places.split(',').map(place)
  if (hosts.length === 0) {
    hosts.push({ host: words.get('host') ?? '127.0.0.1', port: Number(words.get('port') ?? defaultPort) })
  }
  const sslMode = words.get('sslmode') ?? 'prefer'
  if (!sslModes.includes(sslMode)) throw new DbError('invalid_parameter_value', `invalid sslmode value: "${sslMode}"`)
  const parameters = new Map<string, string>()
  for (const [name, value] of words) if (!ours.has(name)) parameters.set(name, value)
  return {
    hosts,
    user,
    password,
    database: decode(path) || words.get('dbname') || user,
    sslMode: sslMode as SslMode,
    authorityFile: words.get('sslrootcert'),
    certificateFile: words.get('sslcert'),
    keyFile: words.get('sslkey'),
    connectTimeoutMs: Number(words.get('connect_timeout') ?? 10) * 1000,
    parameters,
  }
}

function place(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text)
  if (match === null) throw new DbError('invalid_parameter_value', `invalid host in connection string: "${text}"`)
  const port = Number(match[3] ?? defaultPort)
  if (port < 1 || port > 65535) throw new DbError('invalid_parameter_value', `invalid port number: "${match[3]}"`)
  return { host: match[1] ?? (decode(match[2]) || '127.0.0.1'), port }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new DbError('invalid_parameter_value', `invalid percent-encoding in connection string: "${text}"`)
  }
}
