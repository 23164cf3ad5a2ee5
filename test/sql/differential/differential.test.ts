/**
 * Generated statements on LatticeDB and on PostgreSQL (PGlite): a bounded number a kind. One seed stands for
 * every run, so that it says the same everywhere; SEED=n draws others, and the runner beside this file replays single
 * cases and runs long with seeds of its own.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Comparison, coverage } from './runner.ts'

const seed = Number(process.env.SEED ?? 1)
const shares: Record<string, number> = { expression: 1500, query: 600, write: 150 }

let comparison: Comparison
before(async () => {
  comparison = await Comparison.open(seed)
})
after(() => comparison.close())

for (const [kind, share] of Object.entries(shares)) {
  test(`${kind} statements`, async (t) => {
    const count = process.env.DIFFERENTIAL_COUNT === undefined ? share : Number(process.env.DIFFERENTIAL_COUNT)
    const report = await comparison.run({ seed, kind, count })
    t.diagnostic(
      `SEED=${seed}: ${report.ran} statements, ${report.failedOnBoth} refused by both; ${coverage(report.vocabulary)}`,
    )
    const lines = report.differences.map(
      (d) =>
        `${d.why}\n  ${d.sql}\n  node test/sql/differential/runner.ts --seed ${d.seed} --kind ${d.kind} --case ${d.number}`,
    )
    assert.equal(report.differences.length, 0, lines.slice(0, 5).join('\n'))
  })
}
