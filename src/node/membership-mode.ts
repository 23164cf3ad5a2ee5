/**
 * Whether a node is one of a cluster, and how it is opened then.
 *
 *   --peer or --join given, or the directory has an identity   ─► a node of a cluster
 *   otherwise                                                  ─► a node of its own
 *
 * Not here: joining (cluster.ts), doors (node.ts).
 */
import { readIdentity } from '../cluster/index.ts'
import { type Io, readText } from '../io/index.ts'
import type { PeerCertificates } from '../wire/index.ts'
import type { ListenAddress } from './address.ts'
import type { ClusterOptions } from './cluster.ts'
import type { NodeConfig } from './config.ts'

const defaultPeer: ListenAddress = { host: '127.0.0.1', port: 7400 }

/** Raises data_corrupted when the directory's identity cannot be read. */
export async function isMember(io: Io, { data, peer, join }: NodeConfig): Promise<boolean> {
  return peer !== undefined || join.length > 0 || (await readIdentity(io, data)) !== undefined
}

/** @param ports where this node's doors are, for others to be told. */
export async function clusterOptions(
  io: Io,
  config: NodeConfig,
  ports: { readonly pg: number; readonly http: number },
): Promise<ClusterOptions> {
  const { data, peer, advertise, join, locality, nodeId, pg, memory, insecure, replicas, splitBytes } = config
  return {
    io,
    directory: data,
    peer: peer ?? defaultPeer,
    advertise,
    seeds: join,
    locality,
    nodeId,
    pg: { host: pg.host, port: ports.pg },
    httpPort: ports.http,
    cacheBytes: memory.cache,
    certificates: await readCertificates(io, config),
    insecure,
    replicas,
    splitBytes,
  }
}

async function readCertificates(io: Io, { peerTls }: NodeConfig): Promise<PeerCertificates | undefined> {
  if (peerTls === undefined) return undefined
  const { certificate, key, authority } = peerTls
  return {
    certificate: await readText(io, certificate),
    key: await readText(io, key),
    authority: await readText(io, authority),
  }
}
