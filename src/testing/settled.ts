/**
 * Whether a simulated cluster has come to rest: every partition has all its replicas as voters and a leader that serves,
 * and every node that is up knows all members and all partitions.
 *
 * Not here: waiting for it (sim-cluster.ts).
 */
import type { SimNode } from './sim-node.ts'

/** Looks only; answers for the nodes that are up. */
export function isSettled(nodes: readonly SimNode[], replicas: number): boolean {
  const up = nodes.filter((node) => node.up)
  if (up.length === 0) return false
  const possible = Math.min(replicas, up.length)
  // An even number of copies survives no more failures than one less.
  const wanted = possible % 2 === 0 ? possible - 1 : possible
  const covered = new Map<number, number>()
  for (const node of up) {
    const { host, membership } = node.opened.opened
    if (membership.members.filter((m) => m.state === 'alive').length < up.length) return false
    for (const replica of host.replicas.values()) {
      const { initialized, configuration, partition } = replica.state
      if (!initialized) return false
      if (!replica.serving) continue
      const { voters, outgoing, learners } = configuration
      if (outgoing.length + learners.length > 0 || voters.length < wanted) return false
      covered.set(partition.id, partition.generation)
    }
  }
  return up.every((node) => knowsAll(node, covered))
}

/** Whether the node's routes are those that the partitions' leaders hold. */
function knowsAll(node: SimNode, covered: ReadonlyMap<number, number>): boolean {
  const { host } = node.opened.opened
  const { routes } = host.router
  if (routes.length !== covered.size) return false
  // Who leads is found out on the way; a route without a leader is one that nobody has taken since.
  for (const { partition } of routes) if (covered.get(partition.id) !== partition.generation) return false
  for (const replica of host.replicas.values()) if (!covered.has(replica.partition.id)) return false
  return true
}
