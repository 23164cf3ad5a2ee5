/**
 * The sample data of a demo: Chinook, a music shop. It is loaded into an empty database only.
 *
 * Not here: the data (data/).
 */
import { fileURLToPath } from 'node:url'
import { RawSession } from '../client/index.ts'
import { type Io, readText } from '../io/index.ts'

/** Whether the database has tables of somebody. */
export async function isEmpty(session: RawSession): Promise<boolean> {
  const [found] = await session.script(`select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n
    on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind = 'r' limit 1`)
  return found.rows.length === 0
}

/** Loads the sample in one transaction, so that a run that is interrupted leaves nothing behind. False: it is there. */
export async function loadSample(io: Io, url: string, begun: () => void): Promise<boolean> {
  const session = await RawSession.open(url)
  try {
    if (!(await isEmpty(session))) return false
    begun()
    const script = await readText(io, fileURLToPath(new URL('./data/chinook.sql', import.meta.url)))
    await session.script(`begin; ${script}; commit`)
    return true
  } finally {
    await session.close()
  }
}
