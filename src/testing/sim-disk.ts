/**
 * A simulated disk: it outlives the nodes that mount it, forgets what was not synced when the power goes, and fails as
 * it is told. Names behave as contents do: creations, renames and removals since the last `syncDirectory` survive a
 * power cut only up to some point of their order.
 *
 * Every call counts as one operation; `onOperation` sees it first and may answer with a fault.
 *
 * Not here: when to fail (tests and workloads).
 */
import { assert, DbError } from '../base/index.ts'
import type { DirectoryLock, Disk, File, OpenOptions } from '../io/index.ts'
import { type CrashMode, SimFile, sectorBytes } from './sim-file.ts'
import type { SimIo } from './sim-io.ts'
import type { SimRandom } from './sim-random.ts'
import type { SimWorld } from './sim-world.ts'

export type DiskOperationKind =
  | 'open'
  | 'list'
  | 'makeDirectory'
  | 'rename'
  | 'remove'
  | 'syncDirectory'
  | 'size'
  | 'read'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'close'

export interface DiskOperation {
  readonly kind: DiskOperationKind
  readonly path: string
  /** Counts from 1 over the life of the disk. */
  readonly number: number
  readonly position: number
  readonly length: number
}

/**
 * What happens to an operation instead of its normal course. 'crash': the power goes while it is under way. 'skip': it
 * reports success and does nothing (a lying disk). 'misdirect': a write lands somewhere else in its file. Codes: it
 * fails with that error.
 */
export type DiskFault = 'crash' | 'skip' | 'misdirect' | 'io_error' | 'disk_full' | 'insufficient_privilege'

interface NameChange {
  readonly from: string | undefined
  readonly to: string | undefined
  readonly file: SimFile
  /** Directories whose sync the change waits for. */
  readonly waits: Set<string>
}

const directoryOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf('/')))

export class SimDisk {
  readonly world: SimWorld
  readonly name: string
  readonly random: SimRandom
  operations = 0
  onOperation: ((operation: DiskOperation) => DiskFault | undefined) | undefined
  /** Writes that would use more fail with disk_full. */
  capacityBytes = Number.POSITIVE_INFINITY
  /** Every operation takes so much longer. */
  extraMicros = 0
  /** How the next power cut treats what was not synced; drawn at random when absent. */
  crashMode: CrashMode | undefined
  #files = new Map<string, SimFile>()
  #durableNames = new Map<string, SimFile>()
  #changes: NameChange[] = []
  readonly #directories = new Set<string>(['/'])
  #nextFile = 1
  /** Writes under way: whether they happened is open when the power goes. */
  readonly #inFlight = new Set<() => void>()
  mounted: SimIo | undefined
  #locks = new Set<string>()

  constructor(world: SimWorld, name: string) {
    this.world = world
    this.name = name
    this.random = world.random.fork(`disk ${name}`)
  }

  mount(io: SimIo): SimDiskPort {
    assert(this.mounted === undefined || this.mounted.dead, 'a disk serves one incarnation at a time')
    this.mounted = io
    this.#locks = new Set()
    return new SimDiskPort(this, io)
  }

  /** The process is gone; what it had under way may or may not have reached the page cache. */
  unmount(): void {
    this.mounted = undefined
    for (const happen of this.#inFlight) if (this.random.chance(0.5)) happen()
    this.#inFlight.clear()
  }

  /** The power goes. The mounted incarnation must be dead. */
  crash(): void {
    this.unmount()
    const mode = this.crashMode ?? this.random.pick<CrashMode>(['lose', 'keep', 'mix', 'mix', 'mix'])
    this.world.trace.note('power-cut', 0, 0, mode)
    const keep =
      mode === 'lose' ? 0 : mode === 'keep' ? this.#changes.length : this.random.below(this.#changes.length + 1)
    for (const change of this.#changes.slice(0, keep)) apply(this.#durableNames, change)
    this.#changes = []
    this.#files = new Map(this.#durableNames)
    for (const file of new Set(this.#files.values())) file.crash(this.random, mode)
  }

  /** Paths of all files, sorted. */
  paths(): string[] {
    return [...this.#files.keys()].sort()
  }

  file(path: string): SimFile {
    const file = this.#files.get(path)
    if (file === undefined) throw new DbError('undefined_file', `could not open ${path}: it does not exist`)
    return file
  }

  flipBit(path: string, position: number, bit = 0): void {
    this.file(path).flipBit(position, bit)
  }

  usedBytes(): number {
    let sum = 0
    for (const file of new Set(this.#files.values())) sum += file.length
    return sum
  }

  directoryExists(path: string): boolean {
    return this.#directories.has(path)
  }

  addDirectory(path: string): void {
    for (let at = path; !this.#directories.has(at); at = directoryOf(at)) this.#directories.add(at)
  }

  names(directory: string): string[] {
    const prefix = directory.endsWith('/') ? directory : `${directory}/`
    const names = new Set<string>()
    for (const path of [...this.#files.keys(), ...this.#directories]) {
      if (path.startsWith(prefix) && path.length > prefix.length) names.add(path.slice(prefix.length).split('/')[0])
    }
    return [...names].sort()
  }

  open(path: string, create: boolean, exclusive: boolean): SimFile {
    const found = this.#files.get(path)
    if (found !== undefined && exclusive) throw new DbError('io_error', `could not open ${path}: it exists`)
    if (found !== undefined) return found
    if (!create && !exclusive) throw new DbError('undefined_file', `could not open ${path}: it does not exist`)
    if (!this.#directories.has(directoryOf(path))) {
      throw new DbError('undefined_file', `could not open ${path}: its directory does not exist`)
    }
    const file = new SimFile(this.#nextFile++)
    this.#change(undefined, path, file)
    return file
  }

  rename(from: string, to: string): void {
    this.#change(from, to, this.file(from))
  }

  remove(path: string): void {
    this.#change(path, undefined, this.file(path))
  }

  syncDirectory(directory: string): void {
    const left: NameChange[] = []
    for (const change of this.#changes) {
      change.waits.delete(directory)
      if (change.waits.size === 0) apply(this.#durableNames, change)
      else left.push(change)
    }
    this.#changes = left
  }

  lock(io: SimIo, directory: string): DirectoryLock {
    if (this.#locks.has(directory)) {
      throw new DbError('lock_file_exists', `the directory ${directory} is in use by another process`)
    }
    this.#locks.add(directory)
    return {
      release: async () => {
        if (this.mounted === io) this.#locks.delete(directory)
      },
    }
  }

  /** Remembers an effect that is under way; the answer takes it off again. */
  begin(happen: () => void): () => void {
    this.#inFlight.add(happen)
    return () => this.#inFlight.delete(happen)
  }

  #change(from: string | undefined, to: string | undefined, file: SimFile): void {
    const waits = new Set<string>()
    if (from !== undefined) waits.add(directoryOf(from))
    if (to !== undefined) waits.add(directoryOf(to))
    const change = { from, to, file, waits }
    this.#changes.push(change)
    apply(this.#files, change)
  }
}

function apply(names: Map<string, SimFile>, change: NameChange): void {
  if (change.from !== undefined) names.delete(change.from)
  if (change.to !== undefined) names.set(change.to, change.file)
}

/** One incarnation's way to the disk. */
export class SimDiskPort implements Disk {
  readonly #disk: SimDisk
  readonly #io: SimIo

  constructor(disk: SimDisk, io: SimIo) {
    this.#disk = disk
    this.#io = io
  }

  async open(path: string, options: OpenOptions = {}): Promise<File> {
    const { create = false, exclusive = false } = options
    const file = await this.operate('open', path, 0, 0, () => this.#disk.open(path, create, exclusive))
    return new SimHandle(this, this.#disk, file!, path, options)
  }

  async list(directory: string): Promise<string[]> {
    return (await this.operate('list', directory, 0, 0, () => this.#disk.names(directory))) ?? []
  }

  async makeDirectory(directory: string): Promise<void> {
    await this.operate('makeDirectory', directory, 0, 0, () => this.#disk.addDirectory(directory))
  }

  async rename(from: string, to: string): Promise<void> {
    await this.operate('rename', `${from} ${to}`, 0, 0, () => this.#disk.rename(from, to))
  }

  async remove(path: string): Promise<void> {
    await this.operate('remove', path, 0, 0, () => this.#disk.remove(path))
  }

  async syncDirectory(directory: string): Promise<void> {
    await this.operate('syncDirectory', directory, 0, 0, () => this.#disk.syncDirectory(directory))
  }

  async freeBytes(_path: string): Promise<number> {
    return Math.min(Number.MAX_SAFE_INTEGER, this.#disk.capacityBytes - this.#disk.usedBytes())
  }

  async lock(directory: string): Promise<DirectoryLock> {
    return this.#disk.lock(this.#io, directory)
  }

  /** Counts, traces and delays an operation, and lets the fault hook have its say. `undefined` only when skipped. */
  operate<T>(
    kind: DiskOperationKind,
    path: string,
    position: number,
    length: number,
    effect: () => T,
    misdirected?: () => void,
  ): Promise<T | undefined> {
    const disk = this.#disk
    const io = this.#io
    const { world } = disk
    const number = ++disk.operations
    world.trace.note(kind, position, length, path)
    return new Promise((done, fail) => {
      if (io.dead) return
      const fault = disk.onOperation?.({ kind, path, number, position, length })
      const changes = kind === 'write' || kind === 'truncate'
      const settle = changes && fault === undefined ? disk.begin(effect as () => void) : undefined
      if (fault === 'crash') {
        if (changes) disk.begin(effect as () => void)
        world.schedule(0, () => io.crash())
        return
      }
      io.later(latency(disk.random, kind, length) + disk.extraMicros, () => {
        settle?.()
        try {
          if (fault === undefined) done(effect())
          else if (fault === 'skip') done(undefined)
          else if (fault === 'misdirect') {
            misdirected?.()
            done(undefined)
          } else fail(new DbError(fault, `could not ${kind} ${path}: a planted fault`))
        } catch (error) {
          fail(error)
        }
      })
    })
  }
}

function latency(random: SimRandom, kind: DiskOperationKind, length: number): number {
  if (kind === 'sync' || kind === 'syncDirectory') return random.between(50, random.chance(0.02) ? 20_000 : 800)
  return random.between(2, 60) + Math.floor(length / 2000)
}

class SimHandle implements File {
  readonly path: string
  readonly #port: SimDiskPort
  readonly #disk: SimDisk
  readonly #file: SimFile
  readonly #options: OpenOptions
  #open = true

  constructor(port: SimDiskPort, disk: SimDisk, file: SimFile, path: string, options: OpenOptions) {
    this.#port = port
    this.#disk = disk
    this.#file = file
    this.path = path
    this.#options = options
  }

  async size(): Promise<number> {
    return (await this.#port.operate('size', this.path, 0, 0, () => this.#file.length)) ?? 0
  }

  async read(into: Uint8Array, intoOffset: number, length: number, position: number): Promise<number> {
    this.#check()
    const effect = () => this.#file.read(into, intoOffset, length, position)
    return (await this.#port.operate('read', this.path, position, length, effect)) ?? 0
  }

  async write(from: Uint8Array, fromOffset: number, length: number, position: number): Promise<void> {
    this.#check()
    if (this.#options.readOnly)
      throw new DbError('insufficient_privilege', `could not write ${this.path}: opened read-only`)
    // Copied now: a caller that changes the bytes while the write is under way is a bug that must show.
    const bytes = Uint8Array.prototype.slice.call(from, fromOffset, fromOffset + length)
    this.#disk.world.trace.noteBytes('bytes', this.path, position, bytes)
    const growth = Math.max(0, position + length - this.#file.length)
    if (growth > 0 && this.#disk.usedBytes() + growth > this.#disk.capacityBytes) {
      await this.#port.operate('write', this.path, position, 0, () => undefined)
      throw new DbError('disk_full', `could not write ${this.path}: no space left on the disk`)
    }
    const sectors = Math.max(1, Math.floor(this.#file.length / sectorBytes))
    const misdirected = () => this.#file.write(bytes, this.#disk.random.below(sectors) * sectorBytes)
    await this.#port.operate('write', this.path, position, length, () => this.#file.write(bytes, position), misdirected)
    // Two operations: what was written may be lost or torn before it is synced.
    if (this.#options.durable) await this.sync()
  }

  async sync(): Promise<void> {
    this.#check()
    const { mark } = this.#file
    await this.#port.operate('sync', this.path, 0, 0, () => this.#file.sync(mark))
  }

  async truncate(length: number): Promise<void> {
    this.#check()
    await this.#port.operate('truncate', this.path, length, 0, () => this.#file.truncate(length))
  }

  async close(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    await this.#port.operate('close', this.path, 0, 0, () => undefined)
  }

  #check(): void {
    assert(this.#open, `the file ${this.path} is open`)
  }
}
