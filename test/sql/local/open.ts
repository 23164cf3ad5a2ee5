/** Databases with local tables for these tests: in memory, on a simulated disk, two of them that meet. */
import assert from 'node:assert/strict'
import { EmbeddedChannel } from '../../../src/client/embedded-channel.ts'
import { SessionClient } from '../../../src/client/session-client.ts'
import type { Io } from '../../../src/io/index.ts'
import { nodeIo } from '../../../src/io/node/index.ts'
import { answerSync, type SyncReport, type SyncStore, syncWith } from '../../../src/model/events/index.ts'
import { type OpenedDatabase, openDatabase } from '../../../src/node/database.ts'
import type { LocalStore } from '../../../src/sql/index.ts'

export interface TestDatabase {
  readonly client: SessionClient
  readonly opened: OpenedDatabase
  /** Rows of a query, as plain objects. */
  rows(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>
  /** The error that a statement raises: its SQLSTATE, message and hint. */
  refusal(text: string): Promise<{ state: string; message: string; hint: string | undefined }>
  /** The event database of that name. */
  store(name: string): Promise<LocalStore>
  close(): Promise<void>
}

export async function openOn(io: Io, directory: string | undefined): Promise<TestDatabase> {
  const opened = await openDatabase({ io, directory })
  const connect = async () => new EmbeddedChannel(io, opened.database, 'lattice', 'lattice', '')
  const client = new SessionClient({ io, connect, maxSessions: 8, onClose: async () => {} })
  const rows = async (text: string, values: readonly unknown[] = []) =>
    (await client.query<Record<string, unknown>>(text, values as never)).rows.map((r) => ({ ...r }))
  return {
    client,
    opened,
    rows,
    async refusal(text) {
      const error: any = await client.query(text).then(
        () => assert.fail(`${text} was not refused`),
        (e) => e,
      )
      return { state: error.sqlstate, message: error.message, hint: error.hint }
    },
    async store(name) {
      return (await (await opened.events()).open(name))!
    },
    async close() {
      await client.close()
      await opened.close()
    },
  }
}

/** In memory. */
export async function openHere(): Promise<TestDatabase> {
  const io = nodeIo({ logLevel: 'error' })
  const database = await openOn(io, undefined)
  return {
    ...database,
    async close() {
      await database.close()
      await io.stop()
    },
  }
}

/** Both have the same events of that name afterwards. */
export async function meet(a: TestDatabase, b: TestDatabase, name: string): Promise<SyncReport> {
  const [one, other] = [await a.store(name), await b.store(name)]
  return syncWith(one.store as SyncStore, (request) => answerSync(other.store as SyncStore, request))
}
