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
const pauseMs = 50

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

/**
 * Tries the other voters' nodes in turn until one leads: a node that has just started may not take a leadership yet, and
 * a transfer that fails can end in an election that we win.
 */
async function handOver(
  { host, membership, controller, store }: OpenedCluster,
  replica: PartitionReplica,
  deadline: number,
): Promise<boolean> {
  const { id } = replica.partition
  const { io } = store
  for (let turn = 0; !replica.removed; turn++) {
    if (replica.leaderNode !== 0 && replica.leaderNode !== host.nodeId) return true
    const candidates = replica.raft.configuration.voters
      .map((voter) => membership.get(nodeOfReplica(voter)))
      .filter((member) => member !== undefined && member.nodeId !== host.nodeId && member.state === 'alive')
      .sort((a, b) => a!.startedMicros - b!.startedMicros)
    if (candidates.length === 0 || host.now() > deadline || io.dead) return false
    const to = candidates[turn % candidates.length]!.nodeId
    try {
      if (replica.serving) await controller.changes.run({ kind: 'transfer', partition: id, to })
    } catch (error) {
      if (!(error instanceof DbError)) throw error
      io.log.info('transfer-failed', { partition: id, to, reason: error.message })
    }
    await new Promise<void>((done) => io.tasks.after(pauseMs, done))
  }
  return true
}
