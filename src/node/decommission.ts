/**
 * Takes a node out of the cluster for good.
 *
 *   would anything be lost? ─► refused, with reasons
 *   the node drains ─► the controller moves its replicas away ─► it has none ─► removed, by name and for ever
 *
 * Whoever is asked sees it through while it lives; asked again, another node goes on where it was. A node cannot see to
 * its own removal: it passes the request on.
 *
 * Not here: where replicas go (cluster/placement.ts), who carries them there (controller.ts).
 */
import { DbError } from '../base/index.ts'
import { isPresent, Placement, serviceDecommission } from '../cluster/index.ts'
import type { Route } from '../replication/index.ts'
import type { OpenedCluster } from './cluster.ts'
import { leavingKey } from './controller.ts'
import { drain } from './drain.ts'

const requestMs = 10_000
const pollMs = 250

type Request = { readonly act: 'drain' } | { readonly act: 'decommission'; readonly node: number }

export class Decommissioning {
  readonly #opened: OpenedCluster
  readonly #underWay = new Set<number>()
  #stopped = false

  constructor(opened: OpenedCluster) {
    this.#opened = opened
    opened.transport.onRequest(serviceDecommission, async (_from, body) => {
      const request = JSON.parse(Buffer.from(body).toString()) as Request
      if (request.act === 'drain') await drain(opened)
      else await this.start(request.node)
      return new Uint8Array(0)
    })
  }

  /**
   * Begins; the node's state becomes `left` when it is done. Raises undefined_object for a node that is none of ours,
   * object_not_in_prerequisite_state with the reasons as detail when something would be lost.
   */
  async start(node: number): Promise<void> {
    const { membership, controller, host, transport } = this.#opened
    const member = membership.get(node)
    if (member === undefined) throw new DbError('undefined_object', `the cluster has no node ${node}`)
    if (member.state === 'left' || this.#underWay.has(node)) return
    const problems = new Placement(controller.nodes()).decommissionProblems(node, controller.partitions())
    if (problems.length > 0) {
      throw new DbError('object_not_in_prerequisite_state', `node ${node} cannot be taken out of the cluster`, {
        detail: problems.join('\n'),
        hint: 'Add another node first, on a host of its own.',
      })
    }
    if (node === host.nodeId) return await this.#passOn(node)
    membership.publish(leavingKey(node), member.incarnation)
    if (isPresent(member)) {
      await transport.request(node, serviceDecommission, encode({ act: 'drain' }), requestMs)
      await this.#heardOf(node)
    }
    this.#underWay.add(node)
    this.#watch(node)
  }

  /** The node drains; word of it travels by gossip. */
  async #heardOf(node: number): Promise<void> {
    const { membership, store, host } = this.#opened
    const deadline = host.now() + requestMs * 1000
    while (membership.get(node)?.state === 'alive' && host.now() < deadline && !store.io.dead)
      await new Promise<void>((done) => store.io.tasks.after(pollMs / 10, done))
  }

  stop(): void {
    this.#stopped = true
  }

  async #passOn(node: number): Promise<void> {
    const { membership, transport } = this.#opened
    const other = membership.members.find((m) => m.nodeId !== node && m.state === 'alive')
    if (other === undefined)
      throw new DbError('object_not_in_prerequisite_state', 'the only node of a cluster cannot be taken out of it')
    await transport.request(other.nodeId, serviceDecommission, encode({ act: 'decommission', node }), requestMs)
  }

  /** Until nothing of the node is left. */
  #watch(node: number): void {
    const { store, host, membership } = this.#opened
    const { io } = store
    io.tasks.after(pollMs, () => {
      if (this.#stopped || io.dead || !this.#underWay.has(node)) return
      // Started again meanwhile: whoever wants it to go asks again.
      if (membership.get(node)?.state === 'alive') {
        this.#underWay.delete(node)
        io.log.warn('decommission-ended', { node, reason: 'the node was started again' })
        return
      }
      const holds = (route: Route) => route.nodes.includes(node) || route.learners.includes(node)
      if (host.router.routes.some(holds)) return this.#watch(node)
      this.#underWay.delete(node)
      membership.remove(node)
      io.log.info('decommissioned', { node })
    })
  }
}

function encode(request: Request): Uint8Array {
  return Buffer.from(JSON.stringify(request))
}
