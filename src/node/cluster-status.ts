/**
 * What a node of a cluster tells of it: members, partitions, why it could not serve. All of it is what this node has
 * heard; others may know more.
 *
 * Not here: how it is shown (cli/status-command.ts).
 */
import { formatLocality, isPresent } from '../cluster/index.ts'
import type { Route } from '../replication/index.ts'
import { formatAddress } from './address.ts'
import type { OpenedCluster } from './cluster.ts'

export interface MemberStatus {
  readonly node: number
  readonly state: string
  readonly peer: string
  readonly pg: string
  readonly httpPort: number
  readonly locality: string
  /** Predicted round trip; absent for ourselves and before the first one. */
  readonly roundTripMs: number | undefined
  readonly replicas: number
  readonly leaders: number
}

export interface PartitionStatus {
  readonly id: number
  /** Keys as hex; absent where the keyspace ends. */
  readonly start: string
  readonly end: string | undefined
  /** 0: nobody known. */
  readonly leader: number
  readonly replicas: readonly number[]
  readonly bytes: number
  readonly entries: number
}

export function clusterStatus(opened: OpenedCluster): Record<string, unknown> {
  const { membership, clusterId, peerPort } = opened
  const { nodeId, state, incarnation, locality } = membership.self
  return {
    node: { id: nodeId, cluster: clusterId, state, incarnation, locality: formatLocality(locality), peerPort },
    members: memberStatus(opened),
    partitions: partitionStatus(opened),
  }
}

function memberStatus({ membership, host }: OpenedCluster): MemberStatus[] {
  const { routes } = host.router
  return membership.members.map((m) => ({
    node: m.nodeId,
    state: m.state,
    peer: formatAddress({ host: m.host, port: m.peerPort }),
    pg: formatAddress({ host: m.pgHost, port: m.pgPort }),
    httpPort: m.httpPort,
    locality: formatLocality(m.locality),
    roundTripMs: m.nodeId === host.nodeId ? undefined : membership.roundTripMs(m.nodeId),
    replicas: routes.filter((r) => r.nodes.includes(m.nodeId)).length,
    leaders: routes.filter((r) => r.leader === m.nodeId).length,
  }))
}

function partitionStatus({ host }: OpenedCluster): PartitionStatus[] {
  return host.router.routes.map((heard) => {
    const own = host.replicas.get(heard.partition.id)
    const { partition, leader, nodes, bytes, entries }: Route = own?.state.initialized ? host.routeOf(own) : heard
    const hex = (key: Uint8Array) => Buffer.from(key).toString('hex')
    const end = partition.end === undefined ? undefined : hex(partition.end)
    return { id: partition.id, start: hex(partition.start), end, leader, replicas: nodes, bytes, entries }
  })
}

/** Why SQL cannot be served in full: a partition has lost its majority, as far as is known here. */
export function lostMajority({ host, membership }: OpenedCluster): string | undefined {
  for (const { partition, nodes } of host.router.routes) {
    const live = nodes.filter((node) => {
      const member = membership.get(node)
      return member !== undefined && isPresent(member)
    })
    if (live.length <= nodes.length / 2)
      return `partition ${partition.id} has lost its majority: ${live.length} of ${nodes.length} replicas are live`
  }
  return undefined
}
