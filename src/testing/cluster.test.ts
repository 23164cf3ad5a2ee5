/** Every method of the simulated cluster, and that one seed is one run. */
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { DbError } from '../base/index.ts'
import { type SimCluster, simCluster } from './index.ts'

const schema = `create table accounts (id int primary key, balance int not null check (balance >= 0));
  insert into accounts select i, 100 from generate_series(1, 10) i`

async function withAccounts(options: Parameters<typeof simCluster>[0] = {}): Promise<SimCluster> {
  const cluster = await simCluster(options)
  await cluster.connect(1).script(schema)
  return cluster
}

async function total(cluster: SimCluster, node: number): Promise<number> {
  const { rows } = await cluster.connect(node).query<{ sum: number }>('select sum(balance)::int as sum from accounts')
  return rows[0].sum
}

const lost = (error: unknown) => error instanceof DbError && error.code === 'connection_failure'

test('every node serves the same rows, and simulated time stands still between calls', async () => {
  await using cluster = await withAccounts({ nodes: 3, seed: 1 })
  assert.deepEqual(cluster.nodes, [1, 2, 3])
  assert.deepEqual(cluster.alive, [1, 2, 3])
  assert.equal(cluster.seed, '1')
  assert.deepEqual(await cluster.replicasOf('accounts'), [1, 2, 3])
  for (const node of cluster.nodes) assert.equal(await total(cluster, node), 1000)
  const before = cluster.now
  const hash = cluster.traceHash
  for (let i = 0; i < 100; i++) await new Promise((done) => setImmediate(done))
  assert.equal(cluster.now, before)
  assert.equal(cluster.traceHash, hash)
  await cluster.advance('3s')
  assert.equal(cluster.now, before + 3000)
  assert.notEqual(cluster.traceHash, hash)
  assert.ok(cluster.log.some((entry) => entry.event === 'node-up' && entry.node === 3))
})

test('the whole interface of the client works on a node', async () => {
  await using cluster = await withAccounts({ nodes: 3, seed: 2 })
  await using db = cluster.connect(2)
  assert.deepEqual(await db.sql`select id, balance from accounts where id = ${3}`, [{ id: 3, balance: 100 }])
  const [one, two] = await db.script('select 1 as a; select 2 as a')
  assert.deepEqual([one.rows[0].a, two.rows[0].a], [1, 2])
  const ids: number[] = []
  for await (const row of db.cursor<{ id: number }>('select id from accounts order by id', [], { batchRows: 3 }))
    ids.push(row.id)
  assert.equal(ids.length, 10)
  const rows = (async function* () {
    for (let id = 11; id <= 30; id++) yield { id, balance: id }
  })()
  assert.equal(await db.bulkInsert('accounts', rows), 20)
  assert.equal(await db.copyIn('copy accounts from stdin', [Buffer.from('31\t5\n32\t6\n')]), 2)
  const out: Uint8Array[] = []
  for await (const piece of db.copyOut('copy accounts to stdout')) out.push(piece)
  assert.equal(Buffer.concat(out).toString().trim().split('\n').length, 32)
  const tx = await db.begin()
  await tx.savepoint(async (inner) => {
    await inner.sql`delete from accounts where id > 30`
  })
  await tx.commit()
  assert.equal(tx.open, false)
  {
    await using undone = await db.begin()
    await undone.sql`delete from accounts`
  }
  assert.equal((await db.query('select count(*)::int as n from accounts')).rows[0].n, 30)
  await using subscription = await db.listen('news')
  await cluster.connect(3).query("notify news, 'hello'")
  for await (const message of subscription) {
    assert.equal(message.payload, 'hello')
    break
  }
  await assert.rejects(db.query('select * from nowhere'), (error: DbError) => error.code === 'undefined_table')
  await db.close()
  await assert.rejects(db.query('select 1'), (error: DbError) => error.code === 'connection_does_not_exist')
  for (let i = 0; i < 1_200; i++) await cluster.connect(2).query('select 1')
})

test('errors of calls lead to the line that made them', async () => {
  await using cluster = await simCluster({ nodes: 1 })
  const error = await cluster
    .connect(1)
    .query('select * from nowhere')
    .catch((e) => e)
  assert.match(error.stack, /cluster\.test\.ts/)
})

test('transfers survive the crash of the leader in the middle of a commit', async () => {
  for (const seed of [1, 2, 3]) {
    await using cluster = await withAccounts({ nodes: 5, seed })
    const leader = await cluster.leaderOf('accounts')
    const others = cluster.nodes.filter((n) => n !== leader)
    const transfer = async (node: number, from: number, to: number) =>
      cluster.connect(node).transaction(async (tx) => {
        await tx.sql`update accounts set balance = balance - 10 where id = ${from}`
        await tx.sql`update accounts set balance = balance + 10 where id = ${to}`
      })
    const pending = [transfer(leader, 1, 2), transfer(others[0], 3, 4), transfer(others[1], 5, 6)].map((p) =>
      p.catch((error) => error),
    )
    await cluster.advance('1ms')
    await cluster.crash(leader)
    assert.equal(cluster.alive.includes(leader), false)
    await Promise.all(pending)
    await cluster.until(async () => (await total(cluster, others[0])) === 1000)
    assert.notEqual(await cluster.leaderOf('accounts'), leader)
    await assert.rejects(cluster.connect(leader).query('select 1'), lost)
    await cluster.restart(leader)
    assert.equal(await total(cluster, leader), 1000)
  }
})

test('a call under way when its node goes down is lost, and the client works again after a restart', async () => {
  await using cluster = await withAccounts({ nodes: 3, seed: 7 })
  const db = cluster.connect(2)
  const other = await cluster.connect(1).begin()
  await other.sql`update accounts set balance = 1 where id = 1`
  const blocked = db.query('update accounts set balance = 2 where id = 1')
  await Promise.all([
    assert.rejects(blocked, (error) => lost(error) && /node 2 is down: it was killed/.test(String(error))),
    cluster.advance('100ms').then(() => cluster.kill(2)),
  ])
  await other.commit()
  await cluster.restart(2)
  assert.equal((await db.query('select balance from accounts where id = 1')).rows[0].balance, 1)
  await cluster.stop(2)
  assert.deepEqual(cluster.alive, [1, 3])
  assert.equal(await total(cluster, 1), 901)
  await cluster.restart(2)
  await cluster.restart(2)
  assert.equal(await total(cluster, 2), 901)
})

test('a blackout of all nodes loses nothing that was acknowledged; one node alone waits for others', async () => {
  await using cluster = await withAccounts({ nodes: 3, seed: 8, callTimeout: '5s' })
  for (const node of cluster.nodes) await cluster.crash(node)
  assert.deepEqual(cluster.alive, [])
  await assert.rejects(cluster.restart(1), /seed 8: restart\(1\) had not ended in its time/)
  await Promise.all(cluster.nodes.map((node) => cluster.restart(node)))
  for (const node of cluster.nodes) assert.equal(await total(cluster, node), 1000)
})

test('a majority goes on behind a cut, a minority does not, and heals', async () => {
  await using cluster = await withAccounts({ nodes: 5, seed: 11, callTimeout: '5s' })
  const leader = await cluster.leaderOf('accounts')
  const others = cluster.nodes.filter((n) => n !== leader)
  {
    using cut = cluster.partition([leader], others)
    const refused = assert.rejects(
      cluster.connect(leader).query('update accounts set balance = 0 where id = 1'),
      /seed 11|cannot|could not/,
    )
    await cluster.until(async () => {
      await cluster.connect(others[0]).query('update accounts set balance = 50 where id = 2')
      return true
    })
    await refused
    cut.heal()
  }
  await cluster.until(async () => (await total(cluster, leader)) <= 950)
  assert.equal((await cluster.connect(leader).query('select balance from accounts where id = 2')).rows[0].balance, 50)
  const second = await cluster.leaderOf('accounts')
  const way = cluster.cutOneWay(
    second,
    cluster.nodes.filter((n) => n !== second),
  )
  await cluster.until(async () => (await cluster.leaderOf('accounts')) !== second, '60s')
  way.heal()
  way.heal()
  assert.throws(() => cluster.partition([1, 2], [2, 3]), DbError)
  await cluster.settle()
})

test('delays and slow links make calls take longer, until healed', async () => {
  await using cluster = await withAccounts({ nodes: 3, seed: 12 })
  const write = async () => {
    const before = cluster.now
    await cluster.connect(await cluster.leaderOf('accounts')).query('update accounts set balance = 99 where id = 1')
    return cluster.now - before
  }
  const quick = await write()
  assert.ok(quick < 30, `${quick} ms`)
  const delay = cluster.delay('20ms', '30ms')
  assert.ok((await write()) >= 40)
  delay.heal()
  assert.ok((await write()) < 30)
  const leader = await cluster.leaderOf('accounts')
  const slow = cluster.slow(
    leader,
    cluster.nodes.filter((n) => n !== leader),
    '15ms',
  )
  assert.ok((await write()) >= 30)
  slow.heal()
  cluster.delay('20ms')
  cluster.heal()
  assert.ok((await write()) < 30)
  assert.throws(() => cluster.delay('2ms', '1ms'), DbError)
})

test('a paused node stalls its sessions and loses its leadership; resumed, it goes on', async () => {
  await using cluster = await withAccounts({ nodes: 3, seed: 13 })
  const leader = await cluster.leaderOf('accounts')
  const other = leader === 1 ? 2 : 1
  cluster.pause(leader)
  let answered = false
  const stalled = cluster
    .connect(leader)
    .query('select 1')
    .then(() => {
      answered = true
    })
  await cluster.until(async () => {
    await cluster.connect(other).query('update accounts set balance = 50 where id = 1')
    return true
  })
  assert.equal(answered, false)
  assert.notEqual(await cluster.leaderOf('accounts'), leader)
  cluster.resume(leader)
  await stalled
  assert.equal(await total(cluster, leader), 950)
  cluster.pause(other)
  cluster.heal()
  assert.equal(await total(cluster, other), 950)
})

test('clocks that are off and drift within the bounds do no harm', async () => {
  await using cluster = await withAccounts({ nodes: 3, seed: 14 })
  cluster.skew(2, '200ms')
  cluster.skew(3, -200)
  cluster.drift(1, 300)
  cluster.drift(2, -300)
  await cluster.advance('5s')
  await cluster.restart(2)
  for (const node of cluster.nodes) assert.equal(await total(cluster, node), 1000)
  assert.throws(() => cluster.drift(1, -1e6), DbError)
})

test('disks: a failed sync stops the node, a full one refuses writes, a slow one is slow', async () => {
  await using cluster = await withAccounts({ nodes: 3, seed: 15 })
  const leader = await cluster.leaderOf('accounts')
  const other = leader === 1 ? 2 : 1
  cluster.disk(leader).failSyncs()
  const write = cluster.connect(leader).query('update accounts set balance = 60 where id = 1')
  await assert.rejects(write, lost)
  assert.equal(cluster.alive.includes(leader), false)
  assert.ok(cluster.log.some((entry) => entry.event === 'fatal' && entry.node === leader))
  await assert.rejects(cluster.restart(leader))
  cluster.disk(leader).heal()
  await cluster.restart(leader)
  await cluster.until(async () => (await total(cluster, leader)) <= 1000)

  cluster.disk(other).slow('5ms')
  const before = cluster.now
  await cluster.restart(other)
  assert.ok(cluster.now - before > 50)
  cluster.disk(other).heal()
  assert.ok(cluster.disk(other).files.length > 3)

  for (const fault of ['failWrites', 'failReads', 'lieAboutSyncs', 'fill'] as const) {
    const disk = cluster.disk(other)
    disk[fault]()
    await cluster.advance('200ms')
    disk.heal()
    if (!cluster.alive.includes(other)) await cluster.restart(other)
  }
  await cluster.settle()
  assert.ok((await total(cluster, other)) <= 1000)
})

test('a disk that is corrupt is noticed', async () => {
  let noticed = 0
  for (let seed = 1; seed <= 8; seed++) {
    await using cluster = await withAccounts({ nodes: 3, seed })
    await cluster.advance('1s')
    await cluster.kill(2)
    const { path, position } = cluster.disk(2).corrupt(/log/)
    assert.ok(path.includes('log') && position >= 0)
    await cluster.restart(2).catch((error) => {
      // What seems to be torn off the end of the log is known to the others: the node dies of it.
      assert.ok(['data_corrupted', 'connection_failure'].includes(error.code), error.message)
      noticed++
    })
    if (cluster.alive.includes(2)) assert.equal(await total(cluster, 2), 1000)
    assert.equal(await total(cluster, 1), 1000)
  }
  assert.ok(noticed > 0)
  await using cluster = await simCluster({ nodes: 1 })
  assert.throws(() => cluster.disk(1).corrupt(/no such file/), DbError)
})

test('tables are cut, leaders handed over, nodes added', async () => {
  await using cluster = await withAccounts({
    nodes: 3,
    seed: 16,
    localities: ['region=eu,zone=a', { region: 'eu', zone: 'b' }, 'region=us,zone=a'],
  })
  await cluster.splitAt('accounts')
  await cluster.splitAt('accounts', 5)
  const parts = await cluster.partitionsOf('accounts')
  assert.equal(parts.length, 2)
  assert.equal((await cluster.partitionsOf()).length, 3)
  const to = parts[0].replicas.find((n) => n !== parts[0].leader)!
  await cluster.transferLeader('accounts', to)
  assert.equal(await cluster.leaderOf('accounts'), to)
  await cluster.connect(1).transaction(async (tx) => {
    await tx.sql`update accounts set balance = balance - 10 where id = 1`
    await tx.sql`update accounts set balance = balance + 10 where id = 9`
  })
  assert.equal(await total(cluster, 3), 1000)
  assert.equal(await cluster.add('region=us,zone=b'), 4)
  assert.equal(await total(cluster, 4), 1000)
  await assert.rejects(cluster.leaderOf('nowhere'), (error: DbError) => error.code === 'undefined_table')
  await assert.rejects(cluster.splitAt('accounts', 1, 2), (error: DbError) => error.code === 'invalid_parameter_value')
  await assert.rejects(cluster.transferLeader('accounts', 9), DbError)
  await assert.rejects(cluster.crash(9), DbError)
})

test('a leadership handed round and round does not run the clocks away', async () => {
  await using cluster = await withAccounts({ nodes: 3, seed: 17 })
  for (let i = 0; i < 9; i++) await cluster.transferLeader('accounts', 1 + (i % 3))
  await cluster.splitAt('accounts', 5)
  for (const node of cluster.nodes)
    await cluster.connect(node).transaction(async (tx) => {
      await tx.sql`update accounts set balance = balance - 1 where id = 1`
      await tx.sql`update accounts set balance = balance + 1 where id = 9`
    })
  assert.equal(await total(cluster, 2), 1000)
})

test('one seed gives one run: twins agree in every call of a port', async () => {
  const run = async (seed: number, extra = false) => {
    await using cluster = await withAccounts({ nodes: 3, seed })
    const db = cluster.connect(1 + cluster.random.below(3))
    for (let i = 0; i < 5; i++) await db.sql`update accounts set balance = balance + 1 where id = ${i}`
    const leader = await cluster.leaderOf('accounts')
    await cluster.crash(leader)
    if (extra) await cluster.advance('1us')
    await cluster.until(async () => (await total(cluster, leader === 1 ? 2 : 1)) === 1004)
    await cluster.restart(leader)
    return cluster.traceHash
  }
  const hash = await run(21)
  assert.equal(await run(21), hash)
  assert.notEqual(await run(22), hash)
  // Two at once in one process, and with slow test code beside them.
  const [a, b] = await Promise.all([run(21), run(22)])
  assert.equal(a, hash)
  assert.notEqual(b, hash)
})

test('what waits for what never comes is rejected with the seed and what it is', async () => {
  await using cluster = await withAccounts({ nodes: 3, seed: 31, callTimeout: '4s' })
  const tx = await cluster.connect(1).begin()
  await tx.sql`update accounts set balance = 1 where id = 1`
  await assert.rejects(
    cluster.connect(2).query('update accounts set balance = 2 where id = 1'),
    /seed 31: "update accounts set balance = 2 where id = 1" on node 2 had not ended in its time/,
  )
  await tx.rollback()
  const before = cluster.now
  await assert.rejects(
    cluster.until(() => {
      throw new Error('not yet')
    }, '2s'),
    (error: Error) =>
      /seed 31: the condition did not hold within 2s/.test(error.message) && error.cause instanceof Error,
  )
  assert.ok(cluster.now - before <= 2001)
  const subscription = await cluster.connect(3).listen('silence')
  await assert.rejects(subscription[Symbol.asyncIterator]().next(), /seed 31: a message on "silence" on node 3/)
  const pending = subscription[Symbol.asyncIterator]().next()
  const gone = assert.rejects(pending, /seed 31: the simulated cluster is gone/)
  await cluster[Symbol.asyncDispose]()
  await gone
  await assert.rejects(cluster.advance('1s'), /gone/)
})

test('an idle cluster rejects what waits for it', async () => {
  await using cluster = await withAccounts({ nodes: 3, seed: 32 })
  const before = cluster.now
  for (const node of cluster.nodes) cluster.pause(node)
  await assert.rejects(
    cluster.connect(1).query('select 1'),
    /seed 32: "select 1" on node 1 waits, and nothing is left to happen/,
  )
  assert.ok(cluster.now - before < 30_000)
  cluster.heal()
  assert.equal(await total(cluster, 1), 1000)
})

test('a node that is stopped hands its leadership over', async () => {
  await using cluster = await withAccounts({ nodes: 3, seed: 33 })
  const leader = await cluster.leaderOf('accounts')
  await cluster.stop(leader)
  const before = cluster.now
  const other = cluster.alive[0]
  await cluster.connect(other).query('update accounts set balance = 90 where id = 1')
  assert.ok(cluster.now - before < 100, `${cluster.now - before} ms`)
  await assert.rejects(cluster.stop(leader), lost)
})

test('nothing in a cluster reaches for the time and the randomness of the real world', async () => {
  await using warm = await withAccounts({ nodes: 1 })
  assert.ok(warm)
  const refuse = (what: string) => () => {
    throw new Error(`${what} was called`)
  }
  const mocks = [
    mock.method(Math, 'random', refuse('Math.random')),
    mock.method(Date, 'now', refuse('Date.now')),
    mock.method(globalThis, 'setTimeout', refuse('setTimeout')),
    mock.method(globalThis, 'setInterval', refuse('setInterval')),
    mock.method(globalThis, 'setImmediate', refuse('setImmediate')),
    mock.method(globalThis, 'queueMicrotask', refuse('queueMicrotask')),
    mock.method(performance, 'now', refuse('performance.now')),
  ]
  try {
    await using cluster = await withAccounts({ nodes: 3, seed: 34 })
    await cluster.crash(await cluster.leaderOf('accounts'))
    await cluster.until(async () => (await total(cluster, cluster.alive[0])) === 1000)
    const now = 'select now()::date::text as day, random() < 1 as drawn'
    const { rows } = await cluster.connect(cluster.alive[0]).query(now)
    assert.deepEqual(rows, [{ day: '2026-01-01', drawn: true }])
  } finally {
    for (const one of mocks) one.mock.restore()
  }
})

test('fake timers of the test do not touch the cluster', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] })
  try {
    await using cluster = await withAccounts({ nodes: 3, seed: 41 })
    await cluster.crash(await cluster.leaderOf('accounts'))
    await cluster.until(async () => (await total(cluster, cluster.alive[0])) === 1000)
  } finally {
    mock.timers.reset()
  }
})

test('a cluster need not have settled, and may have a single node or many replicas', async () => {
  await using one = await withAccounts({ nodes: 1, settle: false })
  assert.equal(await total(one, 1), 1000)
  await using five = await withAccounts({ nodes: 5, replicas: 5, seed: 3, splitBytes: 100_000 })
  assert.deepEqual(await five.replicasOf('accounts'), [1, 2, 3, 4, 5])
  await assert.rejects(simCluster({ nodes: 0 }), DbError)
  await assert.rejects(simCluster({ nodes: 1, localities: ['nonsense'] }), DbError)
  assert.throws(() => five.advance('soon' as any), /is no duration/)
})
