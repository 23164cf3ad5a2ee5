/** Decisions of placement, and random clusters in which no rule is ever broken. Replay: SEED=<n> node --test <this file>. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { SimRandom } from '../testing/index.ts'
import { parseLocality } from './locality.ts'
import { type Move, machineOf, type PlacedPartition, Placement, type PlacementNode } from './placement.ts'

const seeds = process.env.SEED ? [process.env.SEED] : Array.from({ length: 60 }, (_, i) => String(i + 1))

function node(nodeId: number, locality = '', more: Partial<PlacementNode> = {}): PlacementNode {
  const place = parseLocality(locality)
  return { nodeId, state: 'alive', host: `10.0.0.${nodeId}`, locality: place, replicas: 0, load: 0, ...more }
}

test('loopback is one machine, unless localities say otherwise', () => {
  const a = node(1, '', { host: '127.0.0.1' })
  assert.equal(machineOf(a), machineOf(node(2, '', { host: 'localhost' })))
  assert.notEqual(
    machineOf(node(1, 'host=a', { host: '127.0.0.1' })),
    machineOf(node(2, 'host=b', { host: '127.0.0.1' })),
  )
  assert.notEqual(machineOf(node(1, 'zone=x,host=a')), machineOf(node(2, 'zone=y,host=a')))
  assert.equal(machineOf(node(1, 'zone=x,host=a,rack=1')), machineOf(node(2, 'zone=x,host=a,rack=2')))
  assert.equal(new Placement([a, node(2, '', { host: '127.0.0.1' })]).chooseTarget([1]), undefined)
  const same = new Placement([a, node(2, '', { host: '127.0.0.1' })], { allowSameHost: true })
  assert.equal(same.chooseTarget([1]), 2)
})

test('a target is on another host, in another zone, the least laden, and up', () => {
  const nodes = [
    node(1, 'region=eu,zone=a,host=h1', { replicas: 5 }),
    node(2, 'region=eu,zone=a,host=h1'),
    node(3, 'region=eu,zone=a,host=h3'),
    node(4, 'region=eu,zone=b,host=h4', { replicas: 90 }),
    node(5, 'region=eu,zone=b,host=h5', { replicas: 80 }),
    node(6, 'region=us,zone=c,host=h6', { state: 'draining' }),
    node(7, 'region=us,zone=c,host=h7', { full: true }),
    node(8, 'region=us,zone=c,host=h8', { state: 'dead' }),
  ]
  const placement = new Placement(nodes)
  assert.equal(placement.chooseTarget([]), 2)
  assert.equal(placement.chooseTarget([1]), 5)
  assert.equal(placement.chooseTarget([1, 5]), 3)
  assert.equal(placement.chooseTarget([1, 3, 4, 5]), undefined)
  assert.equal(new Placement(nodes, { allowSameHost: true }).chooseTarget([1, 3, 4, 5]), 2)
  const unreliable = [node(1, '', { replicas: 10, unreliability: 0.5 }), node(2, '', { replicas: 12 })]
  assert.equal(new Placement(unreliable).chooseTarget([]), 2)
})

test('the replica given up is the dead one, the doubled one, the one that adds least', () => {
  const nodes = [
    node(1, 'zone=a,host=h1'),
    node(2, 'zone=a,host=h1'),
    node(3, 'zone=b,host=h3', { replicas: 9 }),
    node(4, 'zone=b,host=h4', { replicas: 2 }),
    node(5, 'zone=c,host=h5', { replicas: 99 }),
    node(6, 'zone=d,host=h6', { state: 'dead' }),
  ]
  const placement = new Placement(nodes)
  assert.equal(placement.chooseRemoval([1, 3, 5, 6]), 6)
  assert.equal(placement.chooseRemoval([1, 3, 5, 77]), 77)
  assert.ok([1, 2].includes(placement.chooseRemoval([1, 2, 3, 5])!))
  assert.equal(placement.chooseRemoval([1, 3, 4, 5]), 3)
  assert.equal(placement.chooseRemoval([1, 3, 4, 5], [3]), 4)
})

test('repairs replace the dead, the worst off first, within the limit', () => {
  const nodes = [node(1), node(2), node(3), node(4), node(5, '', { state: 'dead' }), node(6, '', { state: 'dead' })]
  const partitions = [
    { id: 1, replicas: [1, 2, 3], wanted: 3 },
    { id: 2, replicas: [1, 2, 5], wanted: 3 },
    { id: 3, replicas: [1, 5, 6], wanted: 3 },
    { id: 4, replicas: [1, 2], wanted: 3 },
    { id: 5, replicas: [1, 2, 3, 4], wanted: 3 },
  ]
  const moves = new Placement(nodes).repairs(partitions, 10)
  const brief = moves.map(({ partition, add, remove }) => `${partition} +${add ?? ''} -${remove ?? ''}`)
  assert.deepEqual(brief, ['3 +2 -5', '2 +3 -5', '4 +4 -', '5 + -2'])
  assert.deepEqual(new Placement(nodes).repairs(partitions, 1).length, 1)
})

test('a node that is needed is not let go', () => {
  const three = [node(1), node(2), node(3)]
  const partition = { id: 1, replicas: [1, 2, 3], wanted: 3 }
  const problems = (nodes: PlacementNode[], p: PlacedPartition, leaving = 1) =>
    new Placement(nodes).decommissionProblems(leaving, [p])
  assert.match(problems(three, partition)[0], /is to have 3 replicas, and no other node can take that of node 1/)
  assert.deepEqual(problems([...three, node(4)], partition), [])
  assert.deepEqual(problems([...three, node(4)], partition, 4), [])
  assert.match(
    problems([node(1), node(2, '', { state: 'dead' })], { id: 1, replicas: [1], wanted: 1 })[0],
    /only replica/,
  )
  const lost = [node(1), node(2, '', { state: 'dead' }), node(3, '', { state: 'dead' }), node(4)]
  assert.match(problems(lost, partition)[0], /lost its majority: 1 of 3/)
  const dead = [node(1, '', { state: 'dead' }), node(2), node(3), node(4)]
  assert.deepEqual(problems(dead, partition), [])
  assert.match(problems(dead, { id: 1, replicas: [1], wanted: 1 })[0], /lost its majority: 0 of 1/)
})

interface Cluster {
  nodes: PlacementNode[]
  readonly partitions: PlacedPartition[]
}

function draw(random: SimRandom): Cluster {
  const nodes: PlacementNode[] = []
  const zones = 1 + random.below(4)
  for (let id = 1; id <= 3 + random.below(9); id++) {
    const host = random.chance(0.3) ? 1 + random.below(id) : id
    nodes.push(node(id, `zone=z${host % zones},host=h${host}`))
  }
  const partitions = Array.from({ length: 40 }, (_, i) => ({
    id: i + 1,
    replicas: [],
    wanted: random.pick([1, 3, 3, 5]),
  }))
  return { nodes, partitions }
}

/** What the rules forbid; empty for a sound move. */
function violation({ nodes, partitions }: Cluster, move: Move): string | undefined {
  const { replicas, wanted } = partitions.find((p) => p.id === move.partition)!
  const at = (id: number) => nodes.find((n) => n.nodeId === id)!
  const after = replicas.filter((id) => id !== move.remove)
  if (move.remove !== undefined && !replicas.includes(move.remove)) return 'removes what is not there'
  if (move.add !== undefined) {
    if (replicas.includes(move.add)) return 'adds a second replica to a node'
    if (at(move.add).state !== 'alive') return 'adds to a node that is not alive'
    const live = after.filter((id) => at(id)?.state === 'alive')
    if (live.some((id) => machineOf(at(id)) === machineOf(at(move.add!)))) return 'two replicas on a host'
  } else if (after.length < wanted) return 'removes too much'
  return undefined
}

/** Carries moves out. */
function apply(cluster: Cluster, moves: readonly Move[]): void {
  for (const { partition, add, remove } of moves) {
    const at = cluster.partitions.findIndex((p) => p.id === partition)
    const replicas = cluster.partitions[at].replicas.filter((id) => id !== remove)
    if (add !== undefined) replicas.push(add)
    cluster.partitions[at] = { ...cluster.partitions[at], replicas }
  }
  cluster.nodes = cluster.nodes.map((n) => {
    const replicas = cluster.partitions.filter((p) => p.replicas.includes(n.nodeId)).length
    return { ...n, replicas }
  })
}

function settle(cluster: Cluster, seed: string, decide: (placement: Placement) => Move[]): number {
  for (let round = 0; round < 500; round++) {
    const moves = decide(new Placement(cluster.nodes))
    for (const move of moves) {
      assert.equal(violation(cluster, move), undefined, `SEED=${seed}: ${JSON.stringify(move)}`)
    }
    if (moves.length === 0) return round
    assert.ok(moves.length <= 3)
    apply(cluster, moves)
  }
  assert.fail(`SEED=${seed}: moves never end`)
}

test('random clusters: rules hold, moves come to an end, replicas even out, the dead are replaced', () => {
  for (const seed of seeds) {
    const random = new SimRandom(seed)
    const cluster = draw(random)
    settle(cluster, seed, (placement) => placement.repairs(cluster.partitions, 3))
    settle(cluster, seed, (placement) => placement.rebalance(cluster.partitions, 3))
    const machines = new Set(cluster.nodes.map(machineOf)).size
    for (const { replicas, wanted } of cluster.partitions) {
      assert.equal(replicas.length, Math.min(wanted, machines), `SEED=${seed}`)
    }
    // Machines with one node each can even out; others hold what the rule of one per host leaves them.
    if (machines === cluster.nodes.length && new Set(cluster.nodes.map((n) => n.locality.zone)).size === 1) {
      const counts = cluster.nodes.map((n) => n.replicas)
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 3, `SEED=${seed}: ${counts}`)
    }
    const victim = random.pick(cluster.nodes).nodeId
    const state = random.pick(['dead', 'draining', 'left'] as const)
    cluster.nodes = cluster.nodes.map((n) => (n.nodeId === victim ? { ...n, state } : n))
    settle(cluster, seed, (placement) => placement.repairs(cluster.partitions, 3))
    const left = new Set(cluster.nodes.filter((n) => n.nodeId !== victim).map(machineOf)).size
    for (const { replicas, wanted } of cluster.partitions) {
      const live = replicas.filter((id) => id !== victim).length
      assert.equal(live, Math.min(wanted, left), `SEED=${seed}: ${replicas} without ${victim}`)
    }
  }
})

test('the check finds planted violations', () => {
  const cluster = {
    nodes: [node(1, 'host=a'), node(2, 'host=a'), node(3, 'host=c', { state: 'dead' as const }), node(4, 'host=d')],
    partitions: [{ id: 1, replicas: [1], wanted: 1 }],
  }
  const move = (add?: number, remove?: number) => violation(cluster, { partition: 1, add, remove })
  assert.equal(move(2), 'two replicas on a host')
  assert.equal(move(3), 'adds to a node that is not alive')
  assert.equal(move(1), 'adds a second replica to a node')
  assert.equal(move(4, 2), 'removes what is not there')
  assert.equal(move(undefined, 1), 'removes too much')
  assert.equal(move(4, 1), undefined)
})
