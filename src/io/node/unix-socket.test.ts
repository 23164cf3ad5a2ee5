/** Unix domain sockets: for their owner only, dead processes' are replaced, living ones' are refused by name. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Listener, Socket } from '../ports.ts'
import { nodeIo } from './node-io.ts'

const directory = mkdtempSync(join(tmpdir(), 'lattice-socket-'))
const io = nodeIo({ logLevel: 'error' })
after(async () => {
  await io.stop()
  rmSync(directory, { recursive: true })
})

const echo = (path: string): Promise<Listener> =>
  io.network.listen(path, 0, (socket) => {
    assert.equal(socket.remoteAddress, '[local]')
    socket.onData((chunk) => socket.write(Uint8Array.from(chunk)))
  })

async function said(path: string, text: string): Promise<string> {
  const socket: Socket = await io.network.connect(path, 0)
  const answer = new Promise<string>((resolve) => socket.onData((chunk) => resolve(Buffer.from(chunk).toString())))
  socket.write(Buffer.from(text))
  try {
    return await answer
  } finally {
    socket.destroy()
  }
}

/** A process that listens there and is killed: its socket's file stays. */
async function leave(path: string): Promise<void> {
  const code = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('there'))`
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

test('what is written comes through; only the owner may connect; the name goes with the listener', async () => {
  const path = join(directory, 'a')
  const listener = await echo(path)
  assert.equal(statSync(path).mode & 0o777, 0o700)
  assert.equal(await said(path, 'hear'), 'hear')
  assert.equal(listener.port, 0)
  await listener.close()
  assert.deepEqual(readdirSync(directory), [])
  await assert.rejects(io.network.connect(path, 0), { message: new RegExp(`could not connect to ${path}`) })
})

test('a dead process leaves its socket, and another takes its place', async () => {
  const path = join(directory, 'b')
  await leave(path)
  assert.ok(existsSync(path))
  const listener = await echo(path)
  assert.equal(await said(path, 'alive'), 'alive')
  assert.deepEqual(readdirSync(directory), ['b'])
  await listener.close()
})

test('a living one is refused by name, and goes on; so are paths that no socket can have', async () => {
  const path = join(directory, 'c')
  const listener = await echo(path)
  await assert.rejects(echo(path), { code: 'lock_file_exists', message: new RegExp(path) })
  assert.equal(await said(path, 'still'), 'still')
  assert.deepEqual(readdirSync(directory), ['c'])
  await listener.close()
  await assert.rejects(echo(join(directory, 'x'.repeat(100))), { code: 'invalid_parameter_value', message: /too long/ })
  await assert.rejects(echo(join(directory, 'nowhere/d')), { code: 'undefined_file' })
})

test('of many that come at once for a dead one, one gets it', async () => {
  const path = join(directory, 'e')
  await leave(path)
  const all = await Promise.allSettled(Array.from({ length: 8 }, () => echo(path)))
  const held = all.filter((r) => r.status === 'fulfilled')
  assert.equal(held.length, 1)
  assert.equal(await said(path, 'one'), 'one')
  await held[0].value.close()
  assert.deepEqual(readdirSync(directory), [])
  // What is no socket at all is nobody's either.
  writeFileSync(path, '')
  await (await echo(path)).close()
})
