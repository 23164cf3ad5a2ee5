/** Replicas of nodes that are gone are made anew, whatever the controller's node has forgotten. */
import { mock, test } from 'node:test'
import { simCluster } from '../testing/index.ts'
import { SimNode } from '../testing/sim-node.ts'

test('a partition whose leader the controller’s node has forgotten gets its lost replica back', async () => {
  const nodes = new Map<number, SimNode>()
  const original = SimNode.prototype.start
  const spied = mock.method(SimNode.prototype, 'start', function (this: SimNode) {
    nodes.set(this.number, this)
    return original.call(this)
  })
  try {
    await using cluster = await simCluster({ nodes: 5, seed: 4 })
    await cluster.connect(1).query('create table item (id int primary key)')
    await cluster.splitAt('item')
    await cluster.advance('30s')
    const controller = await cluster.leaderOf()
    const [place] = await cluster.partitionsOf('item')
    const leader = place.replicas.find((n) => n !== controller)!
    await cluster.transferLeader('item', leader)
    await cluster.advance('1s')
    nodes.get(controller)!.opened.opened.host.router.setLeader(place.id, 0)
    const gone = place.replicas.find((n) => n !== controller && n !== leader)!
    await cluster.kill(gone)
    await cluster.until(async () => !(await cluster.replicasOf('item')).includes(gone), '60s')
  } finally {
    spied.mock.restore()
  }
})
