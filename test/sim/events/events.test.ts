import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { plants } from './plants.ts'
import { runEvents } from './run.ts'

const replay = (seed: string) => `npm run sim -- --workload events --seed ${seed}`

test('thousands of runs over plain memory: losses, repetitions, backdating, restarts, wiped and restored stores', async () => {
  let events = 0
  for (let i = 0; i < 2_000; i++) {
    const seed = `memory-${i}`
    const { violations, ...result } = await runEvents({ seed, on: 'memory', steps: 10, views: i % 20 === 0 })
    assert.deepEqual(violations, [], `${replay(seed)}\n${violations.join('\n')}\n${result.steps.join('\n')}`)
    events += result.events
  }
  assert.ok(events > 20_000, `${events}`)
})

test('on simulated disks, crashes included; the same seed does the same', async () => {
  for (let i = 0; i < 6; i++) {
    const seed = `${i}`
    const first = await runEvents({ seed, on: 'disk', steps: 25 })
    assert.deepEqual(first.violations, [], replay(seed))
    if (i > 1) continue
    const second = await runEvents({ seed, on: 'disk', steps: 25 })
    assert.equal(second.hash, first.hash, `seed ${seed}`)
  }
})

for (const [name, { plant, found, on = 'memory' }] of Object.entries(plants)) {
  test(`a store that ${name} is found`, async () => {
    for (let i = 0; i < 300; i++) {
      const { violations } = await runEvents({ seed: `planted-${i}`, on, views: false, plant })
      if (violations.length === 0) continue
      assert.match(violations[0], found)
      return
    }
    assert.fail('no seed found it')
  })
}
