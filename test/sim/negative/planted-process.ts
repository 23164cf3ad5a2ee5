/**
 * A process with a bug planted in it, or (plant '') with none: runs the seeds it is told under the plant's wishes.
 *
 *   node test/sim/negative/planted-process.ts <plant or ''> <wishes of this plant>
 *
 * Not here: which seeds, and judging (main.ts).
 */
import { plant } from './plant.ts'
import { plants } from './plants/index.ts'

const [planted, wishing] = process.argv.slice(2)
const bug = plants.find(({ name }) => name === planted)
if (bug !== undefined) plant(bug)
const { wishes, seconds = 30 } = plants.find(({ name }) => name === wishing)!
// Not before the bug is in place.
const { runSeed } = await import('../swarm/run.ts')

process.on('message', (seed: string) => {
  runSeed({ seed, seconds, wishes, hasty: true, leastCommitted: 0, leastFaults: 0 }).then(
    ({ violations }) => process.send!({ violations }),
    (error) => {
      console.error(error)
      process.exit(1)
    },
  )
})
