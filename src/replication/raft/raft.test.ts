import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { entryData } from './index.ts'
import { Network } from './network.harness.ts'

test('three replicas elect, replicate and commit', () => {
  const network = new Network()
  const configuration = { voters: [1, 2, 3], outgoing: [], learners: [] }
  for (const id of configuration.voters) network.add(id, configuration)
  const settle = () => {
    for (let m = network.messages.shift(); m !== undefined; m = network.messages.shift()) network.deliver(m)
  }
  for (let i = 0; i < 10; i++) network.at(1).raft.tick()
  network.at(1).drive()
  settle()
  const leader = network.at(1)
  assert.equal(leader.raft.role, 'leader')
  assert.equal(leader.raft.leaseHolds(), true)
  leader.raft.propose([{ kind: entryData, transactionId: 7, payload: Buffer.from('x') }])
  leader.drive()
  settle()
  for (const r of network.replicas.values()) {
    assert.deepEqual(r.applied.texts, ['x'])
    assert.equal(r.raft.quiet, true, String(r.raft))
  }
})
