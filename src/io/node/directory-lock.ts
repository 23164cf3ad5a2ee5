/**
 * Holds a directory for one process. Node has no flock, so the lock is a listening Unix domain socket in the
 * directory, whose name is taken over from dead processes only (unix-socket.ts).
 *
 * Not here: locks of rows or tables.
 */
import * as fs from 'node:fs'
import { createServer } from 'node:net'
import { DbError } from '../../base/index.ts'
import type { DirectoryLock } from '../ports.ts'
import { systemError } from './system-error.ts'
import { listen, listenAtName } from './unix-socket.ts'

const name = 'LOCK'

export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  if (process.platform === 'win32') return lockPipe(directory)
  const server = createServer((socket) => socket.destroy())
  let release: () => void
  try {
    release = await listenAtName(server, directory, name, 0o700, () => taken(directory))
  } catch (error) {
    throw systemError(error, `lock the directory ${directory}`)
  }
  server.unref()
  let held = true
  return {
    async release() {
      if (!held) return
      held = false
      release()
      await new Promise<void>((done) => server.close(() => done()))
    },
  }
}

function taken(directory: string): DbError {
  return new DbError('lock_file_exists', `the directory ${directory} is in use by another process`, {
    hint: 'Stop the other process, or choose another data directory.',
  })
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
