/**
 * The file system. Callbacks of node:fs on plain descriptors: half the cost of FileHandle's promises for the one durable
 * write that a commit waits for.
 *
 * Files and directories are made for their owner alone: among what is in them are secrets (docs/operating/running.md).
 *
 * Not here: simulated faults (testing/), what the files hold (storage/).
 */
import * as fs from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { DirectoryLock, Disk, File, OpenOptions } from '../ports.ts'
import { lockDirectory } from './directory-lock.ts'
import { systemError } from './system-error.ts'

/**
 * Whether O_DSYNC is as good as fdatasync: what a commit waits for is then one task of the thread pool instead of two, of
 * which the second begins only when the loop has time to see that the first has ended. Elsewhere it may leave the data in the
 * cache of the disk (macOS).
 */
const durableWrites = process.platform === 'linux'

export class NodeDisk implements Disk {
  async open(path: string, options?: OpenOptions): Promise<File> {
    let flags = options?.readOnly ? fs.constants.O_RDONLY : fs.constants.O_RDWR
    if (options?.create) flags |= fs.constants.O_CREAT
    if (options?.exclusive) flags |= fs.constants.O_EXCL | fs.constants.O_CREAT
    if (options?.durable && durableWrites) flags |= fs.constants.O_DSYNC
    const syncs = options?.durable === true && !durableWrites
    return new Promise((done, fail) => {
      fs.open(path, flags, 0o600, (error, fd) => {
        if (error) fail(systemError(error, `open ${path}`))
        else done(new NodeFile(path, fd, syncs))
      })
    })
  }

  async list(directory: string): Promise<string[]> {
    try {
      return (await fs.promises.readdir(directory)).sort()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw systemError(error, `list ${directory}`)
    }
  }

  async makeDirectory(directory: string): Promise<void> {
    const first = await makeMissing(resolve(directory)).catch((error) => {
      throw systemError(error, `make the directory ${directory}`)
    })
    if (first === undefined) return
    // Each directory made is an entry of its parent, which must be as durable as what will be put into it.
    const top = dirname(resolve(first))
    for (let at = dirname(resolve(directory)); ; at = dirname(at)) {
      await this.syncDirectory(at)
      if (at === top || at === dirname(at)) return
    }
  }

  async rename(from: string, to: string): Promise<void> {
    await fs.promises.rename(from, to).catch((error) => {
      throw systemError(error, `rename ${from} to ${to}`)
    })
  }

  async remove(path: string): Promise<void> {
    await fs.promises.unlink(path).catch((error) => {
      throw systemError(error, `remove ${path}`)
    })
  }

  async syncDirectory(directory: string): Promise<void> {
    if (process.platform === 'win32') return // NTFS journals its directories; they cannot be opened
    try {
      const handle = await fs.promises.open(directory, 'r')
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
    } catch (error) {
      throw systemError(error, `sync the directory ${directory}`)
    }
  }

  async freeBytes(path: string): Promise<number> {
    const found = await fs.promises.statfs(path).catch((error) => {
      throw systemError(error, `find the free space of ${path}`)
    })
    return found.bavail * found.bsize
  }

  lock(directory: string): Promise<DirectoryLock> {
    return lockDirectory(directory)
  }
}

class NodeFile implements File {
  readonly path: string
  readonly #fd: number
  /** Whether each write is followed by a sync. */
  readonly #syncs: boolean
  #open = true

  constructor(path: string, fd: number, syncs: boolean) {
    this.path = path
    this.#fd = fd
    this.#syncs = syncs
  }

  size(): Promise<number> {
    return new Promise((done, fail) => {
      fs.fstat(this.#fd, (error, stats) => {
        if (error) fail(systemError(error, `find the size of ${this.path}`))
        else done(stats.size)
      })
    })
  }

  read(into: Uint8Array, intoOffset: number, length: number, position: number): Promise<number> {
    return new Promise((done, fail) => {
      let total = 0
      const more = () => {
        fs.read(this.#fd, into, intoOffset + total, length - total, position + total, (error, count) => {
          if (error) return fail(systemError(error, `read ${this.path}`))
          total += count
          if (count === 0 || total === length) done(total)
          else more()
        })
      }
      more()
    })
  }

  write(from: Uint8Array, fromOffset: number, length: number, position: number): Promise<void> {
    const written = this.#write(from, fromOffset, length, position)
    return this.#syncs ? written.then(() => this.sync()) : written
  }

  #write(from: Uint8Array, fromOffset: number, length: number, position: number): Promise<void> {
    return new Promise((done, fail) => {
      let total = 0
      const more = () => {
        fs.write(this.#fd, from, fromOffset + total, length - total, position + total, (error, count) => {
          if (error) return fail(systemError(error, `write ${this.path}`))
          total += count
          if (total === length) done()
          else more()
        })
      }
      more()
    })
  }

  sync(): Promise<void> {
    return new Promise((done, fail) => {
      fs.fdatasync(this.#fd, (error) => {
        if (error) fail(systemError(error, `sync ${this.path}`))
        else done()
      })
    })
  }

  truncate(length: number): Promise<void> {
    return new Promise((done, fail) => {
      fs.ftruncate(this.#fd, length, (error) => {
        if (error) fail(systemError(error, `truncate ${this.path}`))
        else done()
      })
    })
  }

  close(): Promise<void> {
    if (!this.#open) return Promise.resolve()
    this.#open = false
    return new Promise((done, fail) => {
      fs.close(this.#fd, (error) => {
        if (error) fail(systemError(error, `close ${this.path}`))
        else done()
      })
    })
  }
}

/**
 * Makes it, and what is missing above it; answers the topmost that it made, undefined when all were there. Node's own
 * `recursive` asks for ever where a file system says that a new entry is not to be found, as /proc does.
 */
async function makeMissing(directory: string): Promise<string | undefined> {
  const parent = dirname(directory)
  try {
    await fs.promises.mkdir(directory, { mode: 0o700 })
    return directory
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const stat = (path: string) => fs.promises.stat(path).catch(() => undefined)
    if (code === 'EEXIST' && (await stat(directory))?.isDirectory()) return undefined
    if (code !== 'ENOENT' || parent === directory || (await stat(parent)) !== undefined) throw error
  }
  const first = await makeMissing(parent)
  return (await makeMissing(directory)) === undefined ? undefined : (first ?? directory)
}
