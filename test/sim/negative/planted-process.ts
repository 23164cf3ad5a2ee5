/**
 * A process with a bug planted in it, or (plant '') with none: runs the seeds it is told under a plant's wishes.
 *
 *   node test/sim/negative/planted-process.ts <plant or ''>        parent ── { wishing, seed } ──►
 *                                                                         ◄─ { violations, cpuSeconds } ──
 *
 * Not here: which seeds, and judging (main.ts).
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Violation } from '../history.ts'
import { plant } from './plant.ts'
import { plants } from './plants/index.ts'

interface Order {
  /** The plant whose wishes are drawn by. */
  readonly wishing: string
  readonly seed: string
}

const bug = plants.find(({ name }) => name === process.argv[2])
if (bug !== undefined) plant(bug)
// Not before the bug is in place.
const { runSeed } = await import('../swarm/run.ts')
const { play } = await import('../../../src/replication/raft/script.harness.ts')
const scripts = join(import.meta.dirname, '../../../src/replication/raft/golden')

/** Of this process up to now: other than the clock, it says the same on a machine that is busy with something else. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

async function run({ wishing, seed }: Order): Promise<readonly Violation[]> {
  const { wishes, seconds = 30, script } = plants.find(({ name }) => name === wishing)!
  if (script !== undefined) return playAll(script)
  return (await runSeed({ seed, seconds, wishes, hasty: true, leastCommitted: 0, leastFaults: 0 })).violations
}

function playAll(script: string): readonly Violation[] {
  try {
    play(readFileSync(join(scripts, `${script}.golden`), 'utf8'))
    return []
  } catch (error) {
    return [{ kind: `script ${script}`, message: String(error), operations: [] }]
  }
}

let counted = 0
process.on('message', (order: Order) => {
  run(order).then(
    (violations) => {
      const now = cpuSeconds()
      process.send!({ violations, cpuSeconds: now - counted })
      counted = now
    },
    (error) => {
      console.error(error)
      process.exit(1)
    },
  )
})
