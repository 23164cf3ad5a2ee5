/**
 * Listens on a Unix domain socket under a name that a dead process may have left behind: the kernel closes a socket
 * with its process, however that dies, but its file stays. A connection attempt tells a live holder from a dead one.
 *
 *   listen on NAME.<unique> → link it to NAME ──ok──▶ held
 *                                │ exists
 *                                ├ connects: somebody lives → taken
 *                                └ refused: the dead inode I's. Claim NAME.I in the same way: the right to replace I.
 *                                  Is NAME still I, and dead? Rename ours over it; give the right back.
 *
 * The name is never absent while it changes hands, and what is replaced is what was looked at: of rivals one wins.
 *
 * Not here: what is listened for (directory-lock.ts, node-network.ts).
 */
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { connect, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DbError } from '../../base/index.ts'

/** Rivals' names come and go: after so many tries somebody has it. */
const attempts = 100

interface Place {
  readonly directory: string
  /** A path to the directory that leaves room for names. */
  readonly way: string
  /** The name that our socket has until it has the wanted one. */
  readonly unique: string
  readonly taken: () => DbError
}

/**
 * Makes `server` listen at `directory`/`name`. Raises the system's errors, and `taken()` when somebody listens there.
 * What comes back removes the name; the server is the caller's to close after it.
 */
export async function listenAtName(
  server: Server,
  directory: string,
  name: string,
  mode: number,
  taken: () => DbError,
): Promise<() => void> {
  fs.statSync(directory)
  // A socket's address holds about 100 bytes, a path may be longer: bind through a short way to the directory.
  const way = shortWay(directory)
  const unique = `${name}.${process.pid}.${randomBytes(6).toString('hex')}`
  try {
    await listen(server, join(way.path, unique))
    try {
      // Nobody knows the name yet: whoever may not connect never could.
      fs.chmodSync(join(directory, unique), mode)
      await claim({ directory, way: way.path, unique, taken }, name)
    } catch (error) {
      server.close()
      throw error
    } finally {
      fs.rmSync(join(directory, unique), { force: true })
    }
  } finally {
    way.close()
  }
  return () => fs.rmSync(join(directory, name), { force: true })
}

/** The name is ours, or an error. */
async function claim(place: Place, name: string): Promise<void> {
  const path = join(place.directory, name)
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (linked(join(place.directory, place.unique), path)) return
    const seen = inodeOf(path)
    if (seen === undefined) continue
    if (await answers(join(place.way, name))) break
    const right = `${name}.${seen}`
    await claim(place, right)
    try {
      // Dead and still the one: now only we may replace it.
      if (inodeOf(path) !== seen || (await answers(join(place.way, name))) || inodeOf(path) !== seen) continue
      const copy = join(place.directory, `${place.unique}.next`)
      fs.linkSync(join(place.directory, place.unique), copy)
      fs.renameSync(copy, path)
      return
    } finally {
      fs.rmSync(join(place.directory, right), { force: true })
    }
  }
  throw place.taken()
}

function inodeOf(path: string): number | undefined {
  return fs.lstatSync(path, { throwIfNoEntry: false })?.ino
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

export function listen(server: Server, path: string): Promise<void> {
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
  if (Buffer.byteLength(directory) < 50) return { path: directory, close: () => undefined }
  if (process.platform === 'linux') {
    const fd = fs.openSync(directory, 'r')
    return { path: `/proc/self/fd/${fd}`, close: () => fs.closeSync(fd) }
  }
  const home = fs.mkdtempSync(join(tmpdir(), 'ldb'))
  const path = join(home, 'd')
  fs.symlinkSync(directory, path)
  return { path, close: () => fs.rmSync(home, { recursive: true, force: true }) }
}
