/**
 * Plants bugs one after another and sees whether the swarm finds them.
 *
 *   npm run sim:negative                     all; ends with 1 when one is not found within its budget
 *   npm run sim:negative -- stale-lease …    some
 *   npm run sim:negative -- --list
 *
 * A bug counts as found by a seed when the same seed without the bug shows nothing of the kind.
 *
 * Not here: the bugs (plants/).
 */
import { availableParallelism } from 'node:os'
import type { Plant } from './plant.ts'
import { plants } from './plants/index.ts'
import { Subject } from './subject.ts'

const defaultBudget = 120

interface Verdict {
  readonly plant: Plant
  readonly seed: number | undefined
  readonly why: string
  readonly seconds: number
}

const words = process.argv.slice(2)
const unknown = words.filter((word) => word !== '--list' && !plants.some(({ name }) => name === word))
if (unknown.length > 0) throw new Error(`there is no plant ${unknown.join(', ')}`)
if (words.includes('--list')) for (const { name, breaks } of plants) console.log(`${name}: ${breaks}`)
else process.exitCode = await runAll(words.length === 0 ? plants : plants.filter(({ name }) => words.includes(name)))

async function runAll(wanted: readonly Plant[]): Promise<number> {
  const left = [...wanted]
  const missed: string[] = []
  let done = 0
  const work = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const { plant, seed, why, seconds } = await hunt(next)
      const found = seed === undefined ? 'NOT FOUND' : `found by seed ${seed}`
      console.log(`[${++done}/${wanted.length}] ${plant.name}: ${found} in ${seconds.toFixed(1)} s of CPU; ${why}`)
      if (seed === undefined) missed.push(plant.name)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  console.log(`\n${wanted.length - missed.length} of ${wanted.length} planted bugs found`)
  if (missed.length > 0) console.log(`not found: ${missed.join(', ')}`)
  return missed.length > 0 ? 1 : 0
}

/** Runs seeds with the bug until one shows it. */
async function hunt(plant: Plant): Promise<Verdict> {
  const planted = new Subject(plant.name, plant.name)
  const sound = new Subject('', plant.name)
  let last = 'no seed showed anything'
  try {
    for (let seed = 1; planted.cpuSeconds < (plant.budget ?? defaultBudget); seed++) {
      const sick = await planted.run(seed)
      if (sick.length === 0) continue
      const usual = new Set((await sound.run(seed)).map(({ kind }) => kind))
      const own = sick.filter(({ kind }) => !usual.has(kind))
      if (own.length > 0) {
        const [{ kind, message }] = own
        return { plant, seed, why: `${kind}: ${message.split('\n')[0].slice(0, 140)}`, seconds: planted.cpuSeconds }
      }
      last = `only what seed ${seed} shows without the bug too: ${[...usual].join(', ')}`
    }
    return { plant, seed: undefined, why: last, seconds: planted.cpuSeconds }
  } catch (error) {
    return {
      plant,
      seed: undefined,
      why: error instanceof Error ? error.message : String(error),
      seconds: planted.cpuSeconds,
    }
  } finally {
    planted.end()
    sound.end()
  }
}
