/**
 * A server for one suite of client tests: LatticeDB in this process on a free port, or, when PGURL names a PostgreSQL
 * server, a database of its own there, which proves that the tests ask for nothing but PostgreSQL.
 */
import pg from 'pg'
import { nodeIo } from '../../src/io/node/index.ts'
import { openDatabase } from '../../src/node/index.ts'
import { PgServer } from '../../src/wire/index.ts'

export interface TestServer {
  readonly url: string
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
  close(): Promise<void>
}

export async function startTestServer(suite: string): Promise<TestServer> {
  return process.env.PGURL === undefined ? startOurs() : usePostgres(process.env.PGURL, `clients_${suite}`)
}

async function startOurs(): Promise<TestServer> {
  const io = nodeIo({ logLevel: 'warn' })
  const opened = await openDatabase({ io, directory: undefined })
  const server = await PgServer.start({ io, database: opened.database, host: '127.0.0.1', port: 0 })
  const { port } = server
  return {
    url: `postgres://lattice@127.0.0.1:${port}/lattice`,
    host: '127.0.0.1',
    port,
    user: 'lattice',
    database: 'lattice',
    close: async () => {
      // Clients that have just been closed say so a moment later; whoever does not is told by the stop.
      for (let turns = 0; turns < 1000 && server.stats().connections > 0; turns++) await io.tasks.yield()
      await server.stop(1000)
      await opened.close()
      await io.stop()
    },
  }
}

async function usePostgres(text: string, database: string): Promise<TestServer> {
  const url = new URL(text)
  const admin = async (statement: string) => {
    const client = new pg.Client({ connectionString: text })
    await client.connect()
    await client.query(statement)
    await client.end()
  }
  await admin(`drop database if exists ${database} with (force)`)
  await admin(`create database ${database}`)
  url.pathname = '/' + database
  return {
    url: url.href,
    host: url.hostname,
    port: Number(url.port || 5432),
    user: decodeURIComponent(url.username),
    database,
    close: () => admin(`drop database if exists ${database} with (force)`),
  }
}
