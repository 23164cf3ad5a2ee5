/**
 * `npm run bench:failover`: three real nodes, writers at the gateways that survive, and a leader that is killed with
 * kill -9 again and again: how long nobody's write is acknowledged.
 *
 *   node bench/run.ts failover [--kills 20] [--writers 8] [--json]
 *
 * Every row has a number of its own. What was acknowledged has to be there at the end, what was refused must not.
 */
import { mkdtempSync } from 'node:fs'
import { connect, ProcessCluster, until } from '../test/cluster/process-cluster.ts'
import { type Outcome, Writers } from '../test/cluster/writers.ts'
import { Options } from './report.ts'

const options = new Options(process.argv.slice(2))
const json = options.has('json')
const kills = options.number('kills', 20)

const say = (text: string) => void (json || console.log(text))

async function grow(writers: Writers, by: number): Promise<void> {
  const due = writers.acknowledged + by
  await until(`${by} more acknowledged rows`, 60_000, async () => {
    if (writers.failures.length > 0) throw writers.failures[0]
    return writers.acknowledged >= due
  })
}

async function run(): Promise<void> {
  const cluster = new ProcessCluster(mkdtempSync('/tmp/bench-failover-'))
  try {
    await cluster.form()
    const first = await connect(cluster.node(1))
    await first.query('create table written (n int primary key)')
    await first.end()
    let usable = [1, 2, 3]
    const writers = new Writers('written', () => usable.map((n) => cluster.node(n).url))
    writers.start(options.number('writers', 8))
    const gaps: number[] = []
    for (let kill = 1; kill <= kills; kill++) {
      const leader = await cluster.leader(usable[0])
      usable = [1, 2, 3].filter((n) => n !== leader)
      await grow(writers, 500)
      const errors = writers.errors.length
      const killed = performance.now()
      await cluster.node(leader).end('SIGKILL')
      await grow(writers, 500)
      const gap = writers.longestGap(killed, performance.now())
      gaps.push(gap)
      const came = writers.errors.slice(errors)
      const count = (outcome: Outcome) => came.filter((e) => e.outcome === outcome).length
      say(
        `kill ${String(kill).padStart(2)}  node ${leader}  gap ${gap.toFixed(0).padStart(5)} ms  ` +
          `errors: ${count('refused')} not applied, ${count('unknown')} unknown`,
      )
      await cluster.start(leader)
      await cluster.replicated(3)
      usable = [1, 2, 3]
    }
    await writers.stop()
    const client = await connect(cluster.node(1))
    await writers.check(client)
    await client.end()
    gaps.sort((a, b) => a - b)
    const [median, worst] = [gaps[gaps.length >> 1], gaps[gaps.length - 1]]
    const rows = writers.acknowledged
    if (json) console.log(JSON.stringify({ bench: 'failover', kills, median, worst, lost: 0, rows }))
    else
      console.log(`median ${median.toFixed(0)} ms, worst ${worst.toFixed(0)} ms, lost 0 of ${rows} acknowledged rows`)
  } finally {
    await cluster.close()
  }
}

await run()
