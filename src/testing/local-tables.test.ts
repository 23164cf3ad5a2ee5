/** Tables with replication = 'local' in a cluster: every gateway goes on by itself, and all end with the same rows. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simCluster } from './index.ts'

test('rows of local tables come to all gateways; a minority goes on writing', async () => {
  await using cluster = await simCluster({ nodes: 3, seed: Number(process.env.LATTICE_SEED ?? 5) })
  const [a, b, c] = [1, 2, 3].map((n) => cluster.connect(n))
  await a.query(`create table note (author text, body text) with (replication = 'local')`)
  const say = (db: typeof a, author: string) =>
    db.query('insert into note (author, body) values ($1, $2)', [author, 'hello'])
  const authors = async (db: typeof a) =>
    (await db.query<{ author: string }>('select author from note order by author')).rows.map((row) => row.author)
  const everywhere = (names: readonly string[]) =>
    cluster.until(async () => {
      for (const db of [a, b, c]) if ((await authors(db)).join() !== names.join()) return false
      return true
    }, '10s')
  await say(a, 'ada')
  await say(b, 'bob')
  await say(c, 'cem')
  await everywhere(['ada', 'bob', 'cem'])
  {
    using _cut = cluster.partition([1], [2, 3])
    await say(a, 'alone')
    await say(b, 'both')
    assert.deepEqual(await authors(a), ['ada', 'alone', 'bob', 'cem'])
    await cluster.advance('6s')
    assert.deepEqual(await authors(a), ['ada', 'alone', 'bob', 'cem'])
  }
  cluster.heal()
  await everywhere(['ada', 'alone', 'bob', 'both', 'cem'])
  await cluster.crash(2)
  await say(c, 'later')
  await cluster.restart(2)
  await everywhere(['ada', 'alone', 'bob', 'both', 'cem', 'later'])
})
