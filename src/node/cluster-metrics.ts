/**
 * What a node of a cluster tells of it, beside node-metrics.ts.
 *
 * Not here: how it is written (metrics.ts).
 */
import type { OpenedCluster } from './cluster.ts'
import type { Metrics } from './metrics.ts'

export function registerClusterMetrics(metrics: Metrics, { host, membership, transport }: OpenedCluster): void {
  const count = (holds: (replica: ReturnType<typeof host.replicaFor> & object) => boolean) => {
    let n = 0
    for (const replica of host.replicas.values()) if (holds(replica)) n++
    return n
  }
  metrics.gauge('lattice_raft_replicas', 'Replicas of partitions on this node.', () => host.replicas.size)
  metrics.gauge('lattice_raft_leaders', 'Partitions that this node leads.', () =>
    count((replica) => replica.raft.role === 'leader'),
  )
  metrics.gauge('lattice_raft_leaderless', 'Replicas here that know of no leader.', () =>
    count((replica) => replica.raft.leader === 0),
  )
  metrics.counter('lattice_raft_proposals_total', 'Entries proposed by leaders here.', () => host.proposals)
  metrics.gauge('lattice_partitions', 'Partitions that this node knows of.', () => host.router.routes.length)
  metrics.gauges('lattice_members', 'Nodes of the cluster by state, as seen from here.', 'state', () => {
    const states = new Map<string, number>()
    for (const { state } of membership.members) states.set(state, (states.get(state) ?? 0) + 1)
    return states
  })
  metrics.gauges('lattice_peer_round_trip_seconds', 'Predicted round trip to a node.', 'node', () =>
    membership.present.flatMap(({ nodeId }) => {
      const ms = nodeId === host.nodeId ? undefined : membership.roundTripMs(nodeId)
      return ms === undefined ? [] : [[String(nodeId), ms / 1000] as const]
    }),
  )
  metrics.gauge('lattice_peer_connections', 'Connections with other nodes.', () => transport.stats().connections)
  metrics.counter(
    'lattice_peer_dropped_total',
    'Messages dropped because their node was out of reach.',
    () => transport.stats().dropped,
  )
  metrics.gauges('lattice_peer_refused', 'Connections refused at the peer port by reason.', 'reason', () =>
    Object.entries(transport.stats().refused),
  )
}
