/** Membership over the real transport on a simulated network: joining, dying, coming back, hints. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { SimIo } from '../testing/index.ts'
import type { PeerTransport } from '../wire/peer/index.ts'
import { hostOf, port, SimPeers } from '../wire/peer/peers.fixture.ts'
import type { Member } from './member.ts'
import { Membership } from './membership.ts'

const seeds = process.env.SEED ? [Number(process.env.SEED)] : [1, 2, 3, 4, 5]

interface Node {
  readonly io: SimIo
  readonly peer: PeerTransport
  readonly membership: Membership
}

function record(nodeId: number, incarnation: number): Member {
  const address = { host: hostOf(nodeId), peerPort: port, pgHost: hostOf(nodeId), pgPort: 7432, httpPort: 7480 }
  const rest = { locality: { zone: `z${nodeId}` }, protocol: 1, startedMicros: 0 }
  return { nodeId, incarnation, version: 1, state: 'joining', ...address, ...rest }
}

/** Starts a node that knows node 1 only. */
async function start(sim: SimPeers, nodeId: number, incarnation = 1): Promise<Node> {
  const io = sim.io(nodeId)
  const peer = await sim.start(nodeId, { io, identity: { incarnation } })
  const known = nodeId === 1 ? [] : [record(1, 1)]
  const membership = Membership.start({ io, transport: peer, self: record(nodeId, incarnation), known })
  membership.change({ state: 'alive' })
  return { io, peer, membership }
}

function states(node: Node): string {
  return node.membership.members.map((m) => `${m.nodeId} ${m.state}`).join(', ')
}

test('nodes meet through one of them, notice a death and a return, share hints', async (t) => {
  for (const seed of seeds) {
    t.diagnostic(`SEED=${seed}`)
    const sim = new SimPeers(seed)
    await sim.run(async () => {
      const nodes: Node[] = []
      for (let id = 1; id <= 4; id++) nodes.push(await start(sim, id))
      const all = (text: string) => sim.until(() => nodes.every((node) => states(node) === text))
      await all('1 alive, 2 alive, 3 alive, 4 alive')
      await sim.until(() => nodes.every((node) => node.peer.stats().connections === 3))
      assert.equal(nodes[3].membership.get(2)!.locality.zone, 'z2')

      const heard: unknown[] = []
      nodes[3].membership.onInfo((entry) => heard.push(entry.value))
      nodes[1].membership.publish('partition/7', { leader: 2 })
      nodes[1].membership.publish('partition/7', { leader: 3 })
      await sim.until(() => nodes.every((n) => JSON.stringify(n.membership.info('partition/7')) === '{"leader":3}'))
      assert.deepEqual(heard.at(-1), { leader: 3 })
      nodes[0].membership.publish('partition/7', null)
      await sim.until(() => nodes.every((n) => n.membership.info('partition/7') === undefined))
      assert.deepEqual(nodes[2].membership.infoEntries('partition/'), [])

      await sim.pass(20_000)
      const rtt = nodes[0].membership.roundTripMs(2)
      assert.ok(rtt !== undefined && rtt > 0 && rtt < 10, `${rtt}`)

      const changes: string[] = []
      nodes[0].membership.onChange((m, before) => changes.push(`${m.nodeId} ${before?.state} ${m.state}`))
      const dead = nodes.pop()!
      dead.io.crash()
      await all('1 alive, 2 alive, 3 alive, 4 dead')
      assert.deepEqual(changes, ['4 alive suspect', '4 suspect dead'])
      assert.ok(nodes.some((node) => node.membership.unreliability(4) > 0))
      nodes.push(await start(sim, 4, 2))
      await all('1 alive, 2 alive, 3 alive, 4 alive')
      assert.equal(nodes[0].membership.get(4)!.incarnation, 2)

      nodes[2].membership.change({ state: 'draining' })
      await all('1 alive, 2 alive, 3 draining, 4 alive')
      nodes[2].membership.leave()
      nodes.splice(2, 1)
      await all('1 alive, 2 alive, 3 left, 4 alive')
      assert.ok(nodes.every((node) => node.membership.garbage === 0))
      for (const { membership, peer } of nodes) {
        membership.close()
        await peer.close()
      }
    })
  }
})

test('a cut that heals costs nobody its place', async (t) => {
  for (const seed of seeds) {
    t.diagnostic(`SEED=${seed}`)
    const sim = new SimPeers(seed)
    await sim.run(async () => {
      const nodes: Node[] = []
      for (let id = 1; id <= 3; id++) nodes.push(await start(sim, id))
      const alive = '1 alive, 2 alive, 3 alive'
      await sim.until(() => nodes.every((node) => states(node) === alive))
      const { internet } = sim.world
      // Nodes 1 and 2 reach each other through node 3: nobody is even suspected.
      internet.cut(hostOf(1), hostOf(2))
      const blamed: number[] = []
      for (const { membership } of nodes) {
        membership.onChange((m) => {
          if (m.state === 'dead' || m.state === 'suspect') blamed.push(m.nodeId)
        })
      }
      await sim.pass(30_000)
      assert.deepEqual(blamed, [])
      internet.cut(hostOf(1), hostOf(3))
      await sim.until(
        () => states(nodes[1]) === '1 dead, 2 alive, 3 alive' && states(nodes[0]).endsWith('2 dead, 3 dead'),
      )
      internet.heal()
      await sim.until(() => nodes.every((node) => states(node) === alive), 120_000)
    })
  }
})
