/** A leader that cannot be heard, or hears nobody, is replaced, and gateways do not go on asking it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simCluster } from './index.ts'

const seeds = 10

for (const deaf of [false, true]) {
  test(`a leader that ${deaf ? 'hears nobody' : 'nobody hears'}: written again within seconds`, async (t) => {
    const gaps: number[] = []
    for (let seed = 1; seed <= seeds; seed++) {
      await using cluster = await simCluster({ nodes: 3, seed })
      await cluster.connect(1).query('create table counter (id int primary key, value int not null)')
      await cluster.connect(1).query('insert into counter values (1, 0)')
      for (let cut = 0; cut < 4; cut++) {
        const leader = await cluster.leaderOf('counter')
        const others = [1, 2, 3].filter((n) => n !== leader)
        const db = cluster.connect(others[cut % 2])
        using _way = deaf ? cluster.cutOneWay(others, leader) : cluster.cutOneWay(leader, others)
        const began = cluster.now
        await cluster.until(async () => {
          try {
            await db.query('update counter set value = value + 1 where id = 1')
            return true
          } catch (error) {
            if (/^(08|40)/.test((error as { code: string }).code)) return false
            throw error
          }
        }, '20s')
        gaps.push(cluster.now - began)
        await cluster.advance('6s')
        cluster.heal()
        // Every other time they are cut again as soon as they hear each other: what has waited for so long comes now.
        await cluster.advance(cut % 2 === 0 ? '300ms' : '2s')
      }
    }
    const longest = Math.max(...gaps)
    t.diagnostic(`longest ${Math.round(longest)} ms of ${gaps.length}`)
    assert.ok(longest < 4_000, `a write came through only after ${longest} ms`)
  })
}
