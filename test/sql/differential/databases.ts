/** The two sides of a comparison: LatticeDB in this process without a wire, and PostgreSQL as PGlite. */
import { PGlite } from '@electric-sql/pglite'
import { DbError, END, WAIT } from '../../../src/base/index.ts'
import { nodeIo } from '../../../src/io/node/index.ts'
import { openDatabase } from '../../../src/node/index.ts'

export interface Answer {
  readonly types: readonly number[]
  readonly rows: readonly (string | null)[][]
  /** SQLSTATE and message, when it failed. */
  readonly error?: { readonly code: string; readonly message: string }
}

export interface Side {
  ask(sql: string): Promise<Answer>
  close(): Promise<void>
}

const session = ["set timezone = 'America/New_York'", "set bytea_output = 'hex'"]

/** @param settings more statements to begin the session with */
export async function lattice(settings: readonly string[] = []): Promise<Side> {
  const io = nodeIo({ logLevel: 'warn' })
  const opened = await openDatabase({ io, directory: undefined })
  const s = opened.database.connect({ user: 'lattice', database: 'lattice', parameters: new Map(), client: '' })
  s.events = { notice: () => {}, parameter: () => {}, notification: () => {}, terminate: () => {} }
  const ask = async (sql: string): Promise<Answer> => {
    let types: number[] = []
    let rows: (string | null)[][] = []
    try {
      const script = s.script(sql)
      for (let portal = script.next(); portal !== undefined; portal = script.next()) {
        const fields = portal.fields ?? []
        if (fields.length > 0) {
          types = fields.map((f) => f.type.oid)
          rows = []
        }
        const row = (r: readonly any[]): boolean => {
          rows.push(fields.map((f) => (r[f.slot] === null ? null : f.type.format(r[f.slot], s.types))))
          return true
        }
        for (;;) {
          const step = portal.run({ row, copyOut: () => true }, 0)
          if (step === END) break
          if (step === WAIT) await portal.ready()
        }
      }
      return { types, rows }
    } catch (error) {
      s.fail()
      if (sql.startsWith('begin')) await ask('rollback')
      if (error instanceof DbError)
        return { types: [], rows: [], error: { code: error.sqlstate, message: error.message } }
      return { types: [], rows: [], error: { code: 'XX000', message: (error as Error).stack ?? String(error) } }
    }
  }
  for (const sql of [...session, ...settings]) await ask(sql)
  return {
    ask,
    close: async () => {
      s.close()
      await opened.close()
      await io.stop()
    },
  }
}

export async function postgres(): Promise<Side & { readonly query: PGlite['query'] }> {
  const db = await PGlite.create()
  const { rows: oids } = await db.query<{ oid: number }>('select oid::int from pg_type')
  const parsers = Object.fromEntries(oids.map(({ oid }) => [oid, (v: string) => v]))
  const ask = async (sql: string): Promise<Answer> => {
    try {
      // A script goes by the simple protocol; the answer is that of its last query.
      const results = await db.exec(sql, { rowMode: 'array', parsers })
      const result = results.findLast((r) => r.fields.length > 0)
      return { types: result?.fields.map((f) => f.dataTypeID) ?? [], rows: (result?.rows ?? []) as never }
    } catch (error) {
      if (sql.startsWith('begin')) await db.exec('rollback')
      const e = error as { code?: string; message: string }
      if (e.code === undefined) throw error
      return { types: [], rows: [], error: { code: e.code, message: e.message } }
    }
  }
  for (const sql of session) await ask(sql)
  return { ask, query: db.query.bind(db), close: () => db.close() }
}
