/**
 * The segment files of a log: the ones in use, the next one prepared ahead, the released ones kept for recycling.
 *
 *   oldest … … current │ next (header written, synced, empty) │ spares (released, to be renamed)
 *
 * A new file is filled with zeros first, so that later writes change no metadata and each is one write of the disk.
 *
 * Not here: what is written into them, when the oldest is released.
 */
import { assert, DbError } from '../../base/index.ts'
import type { File, Io } from '../../io/index.ts'
import { encodeSegmentHeader, segmentHeaderBytes, segmentName } from './layout.ts'

const zeros = Buffer.alloc(1 << 20)
/** Released files kept for recycling; more than that are removed. */
const keptSpares = 8
const retryMs = 200

export interface Segment {
  readonly number: number
  readonly path: string
  readonly file: File
  bytes: number
  /** Reads in flight: the file is not recycled under them. */
  readers: number
}

export class Segments {
  readonly #io: Io
  readonly #directory: string
  readonly identity: Uint8Array
  readonly segmentBytes: number
  /** Segments with groups, oldest first; the last one is being filled. */
  readonly used: Segment[] = []
  readonly #spares: { path: string; bytes: number }[] = []
  #next: Promise<Segment> | undefined
  #prepared: Segment | undefined
  /** The last attempt to prepare a segment met a full disk. */
  full = false

  constructor(io: Io, directory: string, identity: Uint8Array, segmentBytes: number) {
    this.#io = io
    this.#directory = directory
    this.identity = identity
    this.segmentBytes = segmentBytes
  }

  get bytes(): number {
    let sum = this.#prepared?.bytes ?? 0
    for (const segment of this.used) sum += segment.bytes
    for (const spare of this.#spares) sum += spare.bytes
    return sum
  }

  /** Takes over a segment that recovery found. */
  async adopt(number: number, bytes: number): Promise<void> {
    const path = `${this.#directory}/${segmentName(number)}`
    this.used.push({ number, path, file: await this.#io.disk.open(path, { durable: true }), bytes, readers: 0 })
  }

  /** Number of the newest segment in use; 0 when there is none. */
  get newest(): number {
    return this.used.at(-1)?.number ?? 0
  }

  at(number: number): Segment {
    const segment = this.used[number - this.used[0].number]
    assert(segment !== undefined && segment.number === number, `segment ${number} is in use`)
    return segment
  }

  /** Begins to prepare the segment of a number, unless that has begun; errors but a full disk end the node. */
  prepare(number: number): void {
    if (this.#next !== undefined) return
    this.#next = this.#prepareUntilDone(number)
  }

  /** The segment of a number, made ready, as the newest in use. */
  async take(number: number): Promise<Segment> {
    const last = this.used.at(-1)
    if (last !== undefined && number <= last.number) return this.at(number)
    this.prepare(number)
    const segment = await this.#next!
    assert(segment.number === number, 'segments are taken in order')
    this.#next = undefined
    this.#prepared = undefined
    this.used.push(segment)
    return segment
  }

  /** Drops the oldest segment; its file is kept for recycling or removed. */
  async recycleOldest(): Promise<void> {
    const segment = this.used.shift()!
    await segment.file.close()
    if (this.#spares.length < keptSpares && segment.bytes === this.segmentBytes) {
      // Its number is below every one in use: recovery would take it for the oldest. Under another name it is nobody's.
      const path = `${this.#directory}/spare-${segmentName(segment.number)}`
      await this.#io.disk.rename(segment.path, path)
      await this.#io.disk.syncDirectory(this.#directory)
      this.#spares.push({ path, bytes: segment.bytes })
      return
    }
    await this.#io.disk.remove(segment.path)
    await this.#io.disk.syncDirectory(this.#directory)
  }

  /** Adds a file left by an earlier incarnation to the spares, or removes it. */
  async adoptSpare(path: string): Promise<void> {
    const file = await this.#io.disk.open(path)
    const bytes = await file.size()
    await file.close()
    if (bytes === this.segmentBytes && this.#spares.length < keptSpares) this.#spares.push({ path, bytes })
    else await this.#io.disk.remove(path)
  }

  async close(): Promise<void> {
    if (this.#next !== undefined && this.#prepared === undefined && !this.full) await this.#next
    await this.#prepared?.file.close()
    for (const segment of this.used) await segment.file.close()
  }

  async #prepareUntilDone(number: number): Promise<Segment> {
    for (;;) {
      try {
        const segment = await this.#prepareOnce(number)
        this.full = false
        this.#prepared = segment
        return segment
      } catch (error) {
        if (this.#io.dead) throw error
        if (!(error instanceof DbError) || error.code !== 'disk_full') {
          this.#io.fatal('a commit log segment could not be prepared', error)
          throw error
        }
        if (!this.full) this.#io.log.warn('commit-log-disk-full', { directory: this.#directory })
        this.full = true
        await new Promise<void>((done) => this.#io.tasks.after(retryMs, done))
      }
    }
  }

  async #prepareOnce(number: number): Promise<Segment> {
    const { disk } = this.#io
    const path = `${this.#directory}/${segmentName(number)}`
    const spare = this.#spares.pop()
    if (spare === undefined) await this.#fill(path)
    else await disk.rename(spare.path, path)
    const file = await disk.open(path, { durable: true })
    try {
      await file.write(encodeSegmentHeader(number, this.identity), 0, segmentHeaderBytes, 0)
      await disk.syncDirectory(this.#directory)
    } catch (error) {
      await file.close()
      throw error
    }
    return { number, path, file, bytes: this.segmentBytes, readers: 0 }
  }

  /** Makes a file of zeros, synced once: as many syncs as writes would each wait for the journal of the file system. */
  async #fill(path: string): Promise<void> {
    const file = await this.#io.disk.open(path, { create: true })
    try {
      for (let at = 0; at < this.segmentBytes; at += zeros.length) {
        await file.write(zeros, 0, Math.min(zeros.length, this.segmentBytes - at), at)
      }
      await file.sync()
    } finally {
      await file.close()
    }
  }
}
