import { strict as assert } from 'node:assert'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { DbError } from '../../base/index.ts'
import type { CpuJob, Socket } from '../ports.ts'
import { nodeIo } from './index.ts'

const home = mkdtempSync(join(tmpdir(), 'lattice-io-'))
const io = nodeIo({ logLevel: 'silent' })
after(async () => {
  await io.stop()
  rmSync(home, { recursive: true })
})

/** Jobs of this test: the worker imports this module's sibling, not the test. */
const sum: CpuJob<{ shared: SharedArrayBuffer; moved: ArrayBuffer }, { sum: number; bytes: Uint8Array }> = {
  module: new URL('./sum-job.fixture.ts', import.meta.url).href,
  name: 'sumJob',
  run: () => assert.fail('production never calls run'),
}

test('clocks advance and the wall clock is now', () => {
  const wall = io.clock.wallMicros()
  assert.ok(Math.abs(wall - Date.now() * 1000) < 1_000_000)
  let last = io.clock.monotonicMicros()
  for (let i = 0; i < 10_000; i++) {
    const now = io.clock.monotonicMicros()
    assert.ok(now >= last)
    last = now
  }
})

test("files and directories are their owner's alone", { skip: process.platform === 'win32' }, async () => {
  const directory = join(home, 'own', 'data')
  await io.disk.makeDirectory(directory)
  await (await io.disk.open(join(directory, 'file'), { create: true })).close()
  const modes = [join(home, 'own'), directory, join(directory, 'file')].map((path) => statSync(path).mode & 0o777)
  assert.deepEqual(modes, [0o700, 0o700, 0o600])
})

test('random integers stay below their bound and reach every value', () => {
  const seen = new Set<number>()
  for (let i = 0; i < 2000; i++) seen.add(io.random.below(10))
  assert.equal(seen.size, 10)
  assert.ok(Math.max(...seen) < 10)
  assert.equal(io.random.bytes(33).length, 33)
})

test('a file is written, read back, listed, renamed, removed', async () => {
  const directory = join(home, 'a', 'b')
  await io.disk.makeDirectory(directory)
  const file = await io.disk.open(join(directory, 'f'), { create: true })
  const bytes = io.random.bytes(100_000)
  await file.write(bytes, 10, 90_000, 5)
  await file.sync()
  assert.equal(await file.size(), 90_005)
  const back = new Uint8Array(200_000)
  assert.equal(await file.read(back, 7, 150_000, 5), 90_000)
  assert.equal(Buffer.compare(back.subarray(7, 90_007), bytes.subarray(10, 90_010)), 0)
  await file.truncate(3)
  assert.equal(await file.size(), 3)
  await file.close()
  await io.disk.rename(join(directory, 'f'), join(directory, 'g'))
  await io.disk.syncDirectory(directory)
  assert.deepEqual(await io.disk.list(directory), ['g'])
  await io.disk.remove(join(directory, 'g'))
  assert.deepEqual(await io.disk.list(join(home, 'nowhere')), [])
  await assert.rejects(io.disk.open(join(directory, 'g')), (e) => e instanceof DbError && e.code === 'undefined_file')
  assert.ok((await io.disk.freeBytes(home)) > 0)
})

test('a directory has one holder, and a dead one is taken over', async () => {
  const directory = join(home, 'deep'.repeat(20), 'deeper'.repeat(20))
  mkdirSync(directory, { recursive: true })
  const lock = await io.disk.lock(directory)
  await assert.rejects(io.disk.lock(directory), (e) => e instanceof DbError && e.code === 'lock_file_exists')
  await lock.release()
  const child = spawn(process.execPath, [new URL('./lock-holder.fixture.ts', import.meta.url).pathname, directory])
  await new Promise((done) => child.stdout.once('data', done))
  await assert.rejects(io.disk.lock(directory), (e) => e instanceof DbError && e.code === 'lock_file_exists')
  child.kill('SIGKILL')
  await new Promise((done) => child.once('exit', done))
  assert.deepEqual(readdirSync(directory), ['LOCK'])
  const again = await io.disk.lock(directory)
  assert.deepEqual(readdirSync(directory), ['LOCK'])
  await again.release()
  assert.deepEqual(readdirSync(directory), [])
})

test('directories are made with what is missing above them; where none can be made, that is said', async () => {
  const made = join(home, 'a', 'b', 'c')
  await io.disk.makeDirectory(made)
  await io.disk.makeDirectory(made)
  assert.equal(statSync(made).mode & 0o777, 0o700)
  const file = join(home, 'file')
  await (await io.disk.open(file, { create: true })).close()
  for (const bad of [file, join(file, 'x')]) {
    await assert.rejects(io.disk.makeDirectory(bad), /could not make the directory/)
  }
  if (process.platform === 'linux') {
    await assert.rejects(io.disk.makeDirectory('/proc/nothing'), (e) => e instanceof DbError)
  }
})

test('sockets carry bytes both ways and report their end', async () => {
  const accepted = Promise.withResolvers<Socket>()
  const listener = await io.network.listen('127.0.0.1', 0, (socket) => accepted.resolve(socket))
  const client = await io.network.connect('127.0.0.1', listener.port)
  const server = await accepted.promise
  const got = new Promise<string>((done) => server.onData((chunk) => done(Buffer.from(chunk).toString())))
  client.write(Buffer.from('hello'))
  assert.equal(await got, 'hello')
  const closed = new Promise<Error | undefined>((done) => client.onClose(done))
  client.onData(() => undefined)
  server.end()
  assert.equal(await closed, undefined)
  await listener.close()
  await assert.rejects(io.network.connect('127.0.0.1', listener.port), (e) => {
    return e instanceof DbError && e.code === 'connection_failure'
  })
})

test('a job runs on a worker over shared and moved memory, and its failure comes back', async () => {
  const shared = new SharedArrayBuffer(8)
  new Uint8Array(shared).fill(2)
  const moved = new Uint8Array([1, 2, 3]).buffer
  const answer = await io.tasks.cpu(sum, { shared, moved }, [moved])
  assert.equal(answer.sum, 22)
  assert.equal(answer.bytes.length, 100_000)
  assert.equal(moved.byteLength, 0)
  assert.equal(new Uint8Array(shared)[0], 99)
  const failing = { ...sum, name: 'failingJob' }
  await assert.rejects(io.tasks.cpu(failing, { shared, moved: new ArrayBuffer(1) }), (e) => {
    return e instanceof DbError && e.code === 'data_corrupted' && e.message === 'planted'
  })
})

test('a timer fires once, a cancelled one never, and fatal ends the node', async () => {
  const statuses: number[] = []
  const mortal = nodeIo({ logLevel: 'silent', exit: (status) => statuses.push(status) })
  await new Promise<void>((done) => {
    mortal.tasks.after(0, () => assert.fail('cancelled')).cancel()
    mortal.tasks.after(1, done)
  })
  await mortal.tasks.yield()
  mortal.fatal('a planted failure', new Error('cause'))
  mortal.fatal('once is enough')
  assert.deepEqual(statuses, [70])
  assert.equal(mortal.dead, true)
  await mortal.stop()
})
