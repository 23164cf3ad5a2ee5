/**
 * The client of a database over the network.
 *
 * Not here: the protocol (remote-channel.ts), addresses (connection-string.ts).
 */
import { nodeIo } from '../io/node/index.ts'
import type { Client } from './client.ts'
import { parseConnectionString } from './connection-string.ts'
import { RemoteChannel } from './remote-channel.ts'
import { SessionClient } from './session-client.ts'

export interface OpenOptions {
  /** Default: as the connection string says, or 'lattice'. */
  readonly user?: string
  readonly password?: string
  readonly database?: string
  /** Shown in pg_stat_activity. */
  readonly applicationName?: string
  /** Sessions at once; calls beyond it wait for their turn. Default 10. */
  readonly maxSessions?: number
}

export const defaultSessions = 10

/** A library has no business on the standard error of the program that uses it. */
const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent }

/** Connects. Raises connection_failure, invalid_password, invalid_catalog_name and the like. */
export async function openRemote(target: string, options: OpenOptions = {}): Promise<Client> {
  const parsed = parseConnectionString(target)
  const parameters = new Map(parsed.parameters)
  if (options.applicationName !== undefined) parameters.set('application_name', options.applicationName)
  const address = {
    ...parsed,
    parameters,
    user: options.user ?? parsed.user,
    password: options.password ?? parsed.password,
    database: options.database ?? parsed.database,
  }
  const io = nodeIo({ log: silent })
  const connect = () => RemoteChannel.connect(io, address)
  const maxSessions = options.maxSessions ?? defaultSessions
  const client = new SessionClient({ io, connect, maxSessions, onClose: () => io.stop() })
  try {
    // Whatever is wrong with the address shows now and not at the first statement.
    await client.query('')
  } catch (error) {
    await client.close()
    throw error
  }
  return client
}
