/**
 * Plants bugs one after another and sees whether the swarm finds them, and by which of its checkers.
 *
 *   npm run sim:negative                     all; ends with 1 when one is not found within its budget
 *   npm run sim:negative -- stale-lease …    some
 *   npm run sim:negative -- --list
 *
 * A bug counts as found by a seed when a checker that guards what it breaks says so, and the same seed without the bug
 * shows nothing at all. A seed that fails without a bug is a bug of its own: it is printed, and the run ends with 1.
 *
 *   seed ─► with the bug: what its guards say ─► without it: nothing        found
 *                       └ anything else, nothing: the next seed
 *
 * Not here: the bugs (plants/).
 */
import { availableParallelism } from 'node:os'
import { describe } from '../history.ts'
import { guarded, type Plant } from './plant.ts'
import { plants } from './plants/index.ts'
import { Subject } from './subject.ts'

/** Seconds of CPU. */
const defaultBudget = 60

interface Verdict {
  readonly found: boolean
  /** Of the bug, and of the runs without it. */
  readonly seconds: readonly [number, number]
  readonly what: string
  /** Seeds that failed without the bug. */
  readonly unsound: readonly string[]
}

const words = process.argv.slice(2)
const unknown = words.filter((word) => word !== '--list' && !plants.some(({ name }) => name === word))
if (unknown.length > 0) throw new Error(`there is no plant ${unknown.join(', ')}`)
if (words.includes('--list')) for (const { name, breaks } of plants) console.log(`${name}: ${breaks}`)
else process.exitCode = await runAll(words.length === 0 ? plants : plants.filter(({ name }) => words.includes(name)))

async function runAll(wanted: readonly Plant[]): Promise<number> {
  const started = process.hrtime.bigint()
  const left = [...wanted]
  const missed: string[] = []
  const unsound: string[] = []
  let done = 0
  let cpu = 0
  const work = async () => {
    const sound = new Subject('')
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const verdict = await hunt(next, sound)
      const [sick, well] = verdict.seconds
      const times = `${sick.toFixed(1)} s, ${well.toFixed(1)} s without it`
      console.log(`[${++done}/${wanted.length}] ${next.name}: ${verdict.what} (${times})`)
      for (const line of verdict.unsound) console.log(`  without the bug: ${line}`)
      cpu += sick + well
      if (!verdict.found) missed.push(next.name)
      unsound.push(...verdict.unsound)
    }
    sound.end()
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  const figures = `${seconds.toFixed(0)} s, ${cpu.toFixed(0)} s of CPU`
  console.log(`\n${wanted.length - missed.length} of ${wanted.length} planted bugs found in ${figures}`)
  if (missed.length > 0) console.log(`not found: ${missed.join(', ')}`)
  if (unsound.length > 0) console.log(`${unsound.length} runs without a bug failed`)
  return missed.length + unsound.length > 0 ? 1 : 0
}

/** Runs seeds with the bug until its guards find it. */
async function hunt(plant: Plant, sound: Subject): Promise<Verdict> {
  const planted = new Subject(plant.name)
  const before = sound.cpuSeconds
  const unsound: string[] = []
  const seen = new Set<string>()
  const verdict = (found: boolean, what: string): Verdict => {
    return { found, what, unsound, seconds: [planted.cpuSeconds, sound.cpuSeconds - before] }
  }
  try {
    for (const seed of seedsOf(plant)) {
      if (planted.cpuSeconds >= (plant.budget ?? defaultBudget)) break
      const sick = await planted.run(plant.name, seed)
      const hit = sick.find((violation) => guarded(plant, violation))
      for (const { kind } of sick) seen.add(kind)
      if (hit === undefined) continue
      const usual = await sound.run(plant.name, seed)
      if (usual.length === 0)
        return verdict(true, `found by ${hit.kind}, seed ${seed}: ${hit.message.split('\n')[0].slice(0, 110)}`)
      unsound.push(`seed ${seed} of ${plant.name}: ${describe(usual, 1).slice(0, 300)}`)
    }
    return verdict(false, `NOT FOUND; seeds have shown ${[...seen].join(', ') || 'nothing'}`)
  } catch (error) {
    return verdict(false, `NOT FOUND: ${error instanceof Error ? error.message : String(error)}`)
  } finally {
    planted.end()
  }
}

function* seedsOf({ seeds = [], script }: Plant): Iterable<number> {
  yield* seeds
  // A script is the same for every seed.
  if (script !== undefined) return yield 1
  for (let seed = 1; ; seed++) if (!seeds.includes(seed)) yield seed
}
