/**
 * Where a database is, and how to get at it:
 *
 *   ':memory:'                          in this process, gone when closed
 *   'postgres://user@host:port/name'    over the network
 *   anything else                       a directory, in this process; one process at a time
 *
 * Not here: sessions (the channels), building the database (node/).
 */
import { nodeIo } from '../io/node/index.ts'
import type { Client } from './client.ts'
import { isConnectionString } from './connection-string.ts'
import { EmbeddedChannel } from './embedded-channel.ts'
import { defaultSessions, type OpenOptions, openRemote } from './open-remote.ts'
import { SessionClient } from './session-client.ts'

/**
 * Opens a database. Raises connection_failure, invalid_password and the like for a remote one; lock_file_exists,
 * incompatible_format, data_corrupted, insufficient_privilege for a directory.
 */
export async function open(target: string, options: OpenOptions = {}): Promise<Client> {
  return isConnectionString(target) ? openRemote(target, options) : openEmbedded(target, options)
}

async function openEmbedded(directory: string, options: OpenOptions): Promise<Client> {
  // Loaded only here: a remote client has no use for a whole node.
  const { openDatabase } = await import('../node/index.ts')
  const io = nodeIo({ logLevel: 'warn' })
  const opened = await openDatabase({ io, directory: directory === ':memory:' ? undefined : directory })
  const user = options.user ?? 'lattice'
  const connect = async () =>
    new EmbeddedChannel(io, opened.database, user, options.database ?? 'lattice', options.applicationName ?? '')
  const maxSessions = options.maxSessions ?? defaultSessions
  const onClose = async () => {
    await opened.close()
    await io.stop()
  }
  return new SessionClient({ io, connect, maxSessions, onClose })
}
