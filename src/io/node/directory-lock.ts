/**
 * Holds a directory for one process. Node has no flock, so the lock is a listening Unix domain socket in the
 * directory: the kernel closes it with its process, however that dies, and a connection attempt tells a live holder
 * from a dead one's leftover.
 *
 *   listen on LOCK.<unique> → link it to LOCK ──ok──▶ held
 *                                │ exists
 *                                ├ connects: somebody lives → lock_file_exists
 *                                └ refused: a dead one's. Move it aside under our name, look again at what was moved
 *                                  (a faster rival's live socket goes back), then link again.
 *
 * Not here: locks of rows or tables.
 */
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DbError } from '../../base/index.ts'
import type { DirectoryLock } from '../ports.ts'
import { systemError } from './system-error.ts'

const name = 'LOCK'

export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  if (process.platform === 'win32') return lockPipe(directory)
  // A socket's address holds about 100 bytes, a path may be longer: bind through a short way to the directory.
  const way = shortWay(directory)
  const unique = `${name}.${process.pid}.${randomBytes(6).toString('hex')}`
  const server = createServer((socket) => socket.destroy())
  try {
    await listen(server, join(way.path, unique))
    try {
      await claim(directory, way.path, unique)
    } catch (error) {
      server.close()
      fs.rmSync(join(directory, unique), { force: true })
      throw error
    }
    fs.rmSync(join(directory, unique), { force: true })
  } catch (error) {
    throw systemError(error, `lock the directory ${directory}`)
  } finally {
    way.close()
  }
  server.unref()
  let held = true
  return {
    async release() {
      if (!held) return
      held = false
      fs.rmSync(join(directory, name), { force: true })
      await new Promise<void>((done) => server.close(() => done()))
    },
  }
}

async function claim(directory: string, way: string, unique: string): Promise<void> {
  const path = join(directory, name)
  const aside = join(directory, `${unique}.dead`)
  for (let attempt = 0; attempt < 100; attempt++) {
    if (linked(join(directory, unique), path)) return
    if (await answers(join(way, name))) throw taken(directory)
    try {
      fs.renameSync(path, aside)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
      throw error
    }
    const alive = await answers(join(way, `${unique}.dead`))
    if (alive) linked(aside, path)
    fs.rmSync(aside, { force: true })
    if (alive) throw taken(directory)
  }
  throw taken(directory)
}

function linked(from: string, to: string): boolean {
  try {
    fs.linkSync(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function taken(directory: string): DbError {
  return new DbError('lock_file_exists', `the directory ${directory} is in use by another process`, {
    hint: 'Stop the other process, or choose another data directory.',
  })
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((done, fail) => {
    server.once('error', fail)
    server.listen(path, () => {
      server.off('error', fail)
      done()
    })
  })
}

/** Whether somebody listens on the socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    // EAGAIN and its like mean a full queue, hence a living owner.
    socket.once('error', (error: NodeJS.ErrnoException) => {
      done(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT' && error.code !== 'ENOTSOCK')
    })
  })
}

function shortWay(directory: string): { path: string; close(): void } {
  if (Buffer.byteLength(directory) < 60) return { path: directory, close: () => undefined }
  if (process.platform === 'linux') {
    const fd = fs.openSync(directory, 'r')
    return { path: `/proc/self/fd/${fd}`, close: () => fs.closeSync(fd) }
  }
  const home = fs.mkdtempSync(join(tmpdir(), 'ldb'))
  const path = join(home, 'd')
  fs.symlinkSync(directory, path)
  return { path, close: () => fs.rmSync(home, { recursive: true, force: true }) }
}

/** Windows has named pipes, which vanish with their process: no leftovers to tell apart. */
async function lockPipe(directory: string): Promise<DirectoryLock> {
  const real = fs.realpathSync(directory).toLowerCase()
  const server = createServer((socket) => socket.destroy())
  try {
    await listen(server, `\\\\.\\pipe\\latticedb-${Buffer.from(real).toString('base64url').slice(-200)}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') throw taken(directory)
    throw systemError(error, `lock the directory ${directory}`)
  }
  server.unref()
  return { release: () => new Promise((done) => server.close(() => done())) }
}
