/** The store from the ground: what was committed is there after every kind of restart. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ROW } from '../base/index.ts'
import { nodeIo } from '../io/node/index.ts'
import { type OpenedStore, openStore } from './store.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet }
const io = nodeIo({ log: quiet })
const root = mkdtempSync(join(tmpdir(), 'lattice-store-'))

after(async () => {
  await io.stop()
  rmSync(root, { recursive: true })
})

function put({ store }: OpenedStore, key: string, value: string): Promise<void> {
  const builder = store.builder()
  builder.put(Buffer.from(key), Buffer.from(value))
  return new Promise((resolve) => store.commit(builder, 1, resolve))
}

/** At the snapshot that a new transaction would get. */
function get({ store, engine }: OpenedStore, key: string): string | undefined {
  const found = engine.found()
  if (engine.get(Buffer.from(key), store.visible, found) !== ROW) return undefined
  return Buffer.from(found.slab.bytes.subarray(found.valueStart, found.valueEnd)).toString()
}

test('in memory', async () => {
  const opened = await openStore({ io, directory: undefined })
  await put(opened, 'a', '1')
  assert.equal(get(opened, 'a'), '1')
  await opened.close()
})

test('replayed from the log, read from tables, and both', async () => {
  const directory = join(root, 'data')
  let opened = await openStore({ io, directory })
  await put(opened, 'a', 'in tables')
  await opened.engine.flush()
  await opened.close()

  opened = await openStore({ io, directory })
  assert.ok(opened.store.visible > 0, 'time does not begin anew')
  await opened.engine.compact()
  const before = opened.store.visible
  await put(opened, 'b', 'in the log')
  assert.ok(opened.store.visible > before)
  await opened.close()

  opened = await openStore({ io, directory })
  assert.equal(get(opened, 'b'), 'in the log')
  const found = opened.engine.found()
  while (opened.engine.get(Buffer.from('a'), opened.store.visible, found) !== ROW) await found.ready()
  await put(opened, 'a', 'newer')
  assert.equal(get(opened, 'a'), 'newer')
  await opened.close()
})

test('a directory has one holder, and is free after a failed start', async () => {
  const directory = join(root, 'held')
  const opened = await openStore({ io, directory })
  await assert.rejects(openStore({ io, directory }), { code: 'lock_file_exists' })
  await opened.close()
  await (await openStore({ io, directory })).close()
})
