/** Runs the recorded statements of each client in a fresh database with the reference schema, and keeps what they answer. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { idsOf, localized, type Recorded, valuesFor } from './statements.ts'

export interface Answer {
  readonly error?: string
  readonly message?: string
  readonly columns?: readonly string[]
  /** Cells as the wire has them, in text. */
  readonly rows?: readonly (readonly (string | null)[])[]
}

export const schema = readFileSync(join(import.meta.dirname, 'schema.sql'), 'utf8')

const asText = { getTypeParser: () => (value: string) => value }

/** @param url of a server; @param database made anew for the statements. */
export async function connect(url: string, database: string): Promise<pg.Client> {
  const target = new URL(url)
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  await admin.query(`drop database if exists ${database}`)
  await admin.query(`create database ${database}`)
  await admin.end()
  target.pathname = `/${database}`
  const client = new pg.Client({ connectionString: target.href })
  await client.connect()
  return client
}

export async function answer(client: pg.Client, sql: string, values?: readonly unknown[]): Promise<Answer> {
  try {
    const query = { text: sql, rowMode: 'array' as const, types: asText as never }
    const result: any = await client.query(values === undefined ? query : { ...query, values: [...values] })
    const last = Array.isArray(result) ? result[result.length - 1] : result
    return { columns: last.fields.map((f: any) => f.name), rows: last.rows }
  } catch (error: any) {
    return { error: error.code ?? 'XX000', message: error.message }
  }
}

export async function runAll(url: string, statements: readonly Recorded[]): Promise<Answer[]> {
  const out: Answer[] = new Array(statements.length)
  for (const db of [...new Set(statements.map((s) => s.db))]) {
    const client = await connect(url, db)
    client.on('error', () => {})
    await client.query(schema)
    const ids = await idsOf(client)
    for (let i = 0; i < statements.length; i++) {
      const { sql } = statements[i]
      if (statements[i].db !== db) continue
      // COPY's data are the driver's business, not the catalog's.
      if (/^\s*copy\b/i.test(sql)) {
        out[i] = { columns: [], rows: [] }
        continue
      }
      const text = localized(sql, ids)
      out[i] = await answer(client, text, valuesFor(text, ids))
    }
    await client.end()
  }
  return out
}
