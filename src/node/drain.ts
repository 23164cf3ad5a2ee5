/**
 * A node on its way out, for a restart or for good: it says so, and hands over what it leads, so that nobody has to wait
 * for an election.
 *
 * Not here: clients (wire/pg), moving replicas elsewhere (controller.ts, decommission.ts).
 */
import { DbError } from '../base/index.ts'
import { nodeOfReplica, type PartitionReplica } from '../replication/index.ts'
import type { OpenedCluster } from './cluster.ts'

/** All handing over together. */
const patienceMicros = 5_000_000

/** Never raises a DbError: what cannot be handed over is left to an election. */
export async function drain(opened: OpenedCluster): Promise<void> {
  const { host, membership, store } = opened
  const { log } = store.io
  membership.change({ state: 'draining' })
  const deadline = host.now() + patienceMicros
  const led = [...host.replicas.values()].filter((replica) => replica.raft.role === 'leader')
  const results = await Promise.all(led.map((replica) => handOver(opened, replica, deadline)))
  const kept = results.filter((done) => !done).length
  if (led.length > 0) log.info('leaderships-handed-over', { partitions: led.length - kept, kept })
}

/** Tries the other voters' nodes, those within reach first. */
async function handOver(
  { host, membership, controller, store }: OpenedCluster,
  replica: PartitionReplica,
  deadline: number,
): Promise<boolean> {
  const { id } = replica.partition
  const others = replica.raft.configuration.voters.map(nodeOfReplica).filter((node) => node !== host.nodeId)
  const live = others.filter((node) => membership.get(node)?.state === 'alive')
  for (const to of live) {
    if (host.now() > deadline || replica.removed || replica.raft.role !== 'leader') break
    try {
      await controller.changes.run({ kind: 'transfer', partition: id, to })
      return true
    } catch (error) {
      if (!(error instanceof DbError)) throw error
      store.io.log.info('transfer-failed', { partition: id, to, reason: error.message })
    }
  }
  return replica.raft.role !== 'leader'
}
