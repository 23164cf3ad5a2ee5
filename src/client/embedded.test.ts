/** Both clients on our own database: embedded in memory and in a directory, and remote over a socket. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { nodeIo } from '../io/node/index.ts'
import { openDatabase } from '../node/index.ts'
import { PgServer } from '../wire/index.ts'
import { clientConformance } from './client.conformance.ts'
import { open } from './open.ts'

const directory = mkdtempSync(join(tmpdir(), 'lattice-embedded-'))
const cleanups: (() => Promise<void>)[] = []

after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
  rmSync(directory, { recursive: true })
})

clientConformance('embedded in memory', () => open(':memory:'))
clientConformance('embedded in a directory', () => open(join(directory, 'data')))
clientConformance('remote', async () => {
  const io = nodeIo({ logLevel: 'warn' })
  const opened = await openDatabase({ io, directory: undefined })
  const server = await PgServer.start({ io, database: opened.database, host: '127.0.0.1', port: 0 })
  cleanups.push(async () => {
    await server.stop(1000)
    await opened.close()
    await io.stop()
  })
  return open(`postgres://lattice@127.0.0.1:${server.port}/lattice`)
})

test('a directory keeps what was committed, and serves one process at a time', async () => {
  const path = join(directory, 'kept')
  {
    await using db = await open(path)
    await db.script('create table t (a int primary key); insert into t values (1), (2)')
    await assert.rejects(open(path), { code: 'lock_file_exists' })
  }
  await using again = await open(path)
  assert.deepEqual((await again.query('select a from t order by a')).rows, [{ a: 1 }, { a: 2 }])
})
