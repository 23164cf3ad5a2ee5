/**
 * `lattice demo`: a node with the Chinook sample data (a music shop), and a shell when there is somebody at a terminal.
 *
 * The data directory is kept between runs; the sample is loaded into an empty one only.
 *
 * Not here: the shell (sql-command.ts), the node (node/).
 */
import { fileURLToPath } from 'node:url'
import { DbError } from '../base/index.ts'
import { RawSession } from '../client/index.ts'
import { readText } from '../io/index.ts'
import { type NodeIo, nodeIo } from '../io/node/index.ts'
import { checkConfig, startNode } from '../node/index.ts'
import { runSql } from './sql-command.ts'
import { stopSignal } from './start-command.ts'
import { processScreen } from './terminal.ts'

export interface DemoOptions {
  readonly nodes: number
  readonly data: string
  readonly pg?: string
  readonly http?: string
  readonly empty?: boolean
  /** commander's way to say --no-shell. */
  readonly shell: boolean
}

export async function runDemo(options: DemoOptions): Promise<void> {
  if (options.nodes !== 1) {
    throw new DbError('feature_not_supported', 'a demo of more than one node is not possible yet')
  }
  const interactive = options.shell && process.stdin.isTTY === true
  const io = nodeIo({ logLevel: 'warn' })
  const { data, pg, http } = options
  const config = checkConfig({ data, pg, http, log: 'warn' }, 'the command line')
  const node = await startNode(config, { io })
  const url = `postgres://lattice@127.0.0.1:${node.pgPort}/lattice`
  const screen = processScreen()
  if (options.empty !== true) await loadSample(io, url, (text) => screen.write(text))
  screen.write(
    [
      `LatticeDB serves PostgreSQL clients at ${url}`,
      `Health and metrics: http://127.0.0.1:${node.httpPort}/readyz and /metrics. Data: ${data}`,
      `Try: psql ${url} -c 'select name, title from artist join album using (artist_id) limit 5'`,
      '',
    ].join('\n'),
  )
  if (interactive) await runSql(url, {})
  else await stopSignal()
  await node.stop()
  await io.stop()
}

/** Loads the sample in one transaction, so that a run that is interrupted leaves nothing behind. */
async function loadSample(io: NodeIo, url: string, say: (text: string) => void): Promise<void> {
  const session = await RawSession.open(url)
  try {
    if (await hasTables(session)) return
    const began = io.clock.monotonicMicros()
    say('Loading the sample data … ')
    const script = await readText(io, fileURLToPath(new URL('./data/chinook.sql', import.meta.url)))
    await session.script(`begin; ${script}; commit`)
    say(`done in ${((io.clock.monotonicMicros() - began) / 1e6).toFixed(1)} s.\n`)
  } finally {
    await session.close()
  }
}

async function hasTables(session: RawSession): Promise<boolean> {
  const [found] = await session.script(`select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n
    on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind = 'r' limit 1`)
  return found.rows.length > 0
}
