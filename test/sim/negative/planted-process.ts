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

/** Of this process up to now: other than the clock, it says the same on a machine that is busy with something else. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

process.on('message', (seed: string) => {
  runSeed({ seed, seconds, wishes, hasty: true, leastCommitted: 0, leastFaults: 0 }).then(
    ({ violations }) => process.send!({ violations, cpuSeconds: cpuSeconds() }),
    (error) => {
      console.error(error)
      process.exit(1)
    },
  )
})
