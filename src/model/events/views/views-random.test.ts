/** Replay one run: SEED=17 node --test src/model/events/views/views-random.test.ts */
import { test } from 'node:test'
import { ViewsRun } from './views.harness.ts'

const only = process.env.SEED
const seeds = only === undefined ? Array.from({ length: Number(process.env.SEEDS ?? 40) }, (_, i) => String(i)) : [only]

test(`views equal a recomputation from nothing, whatever happens: ${seeds.length} runs`, async () => {
  for (const seed of seeds) {
    try {
      await new ViewsRun(seed).run(50)
    } catch (error) {
      throw new Error(`seed ${seed} (SEED=${seed} node --test src/model/events/views/views-random.test.ts)`, {
        cause: error,
      })
    }
  }
})
