/**
 * The stores that bench/storage.ts measures, behind one small interface: ours through the commit log and the engine,
 * the peers through their bindings, each in its fastest durable settings.
 *
 * Not here: what is measured, and the report.
 */

import { readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { END, ROW, WAIT } from '../src/base/index.ts'
import { WriteSetBuilder } from '../src/encoding/index.ts'
import { type NodeIo, nodeIo } from '../src/io/node/index.ts'
import { openStorage, type Storage } from '../src/storage/index.ts'

export type KeySource = () => Buffer

export interface BenchStore {
  readonly name: string
  readonly version: string
  /** How a write is made durable. */
  readonly durability: string
  put(key: Buffer, value: Buffer): Promise<void>
  batch(keys: readonly Buffer[], value: Buffer): Promise<void>
  /** Fills the store for the reading rows; need not be durable at once. */
  load(keys: readonly Buffer[], value: Buffer): Promise<void>
  /** Reads so many random keys, touching each value; answers with how many were found. */
  gets(count: number, next: KeySource): Promise<number>
  /** Scans 100 rows from so many random keys, touching each value; answers with the rows. */
  scans(count: number, next: KeySource): Promise<number>
  /** What went on in the background, for the report. */
  background(): string
  close(): Promise<void>
}

export type OpenStore = (directory: string) => Promise<BenchStore>

const peers = createRequire(new URL('./package.json', import.meta.url))

function versionOf(name: string): string {
  const path = new URL(`./node_modules/${name}/package.json`, import.meta.url)
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
}

export const openOurs: OpenStore = async (directory) => {
  rmSync(directory, { recursive: true, force: true })
  const io = nodeIo({ logLevel: 'warn' })
  const storage = await openStorage({ io, directory })
  return new OurStore(io, storage)
}

/** A group of one, as replication drives it: append, and apply once durable. */
class OurStore implements BenchStore {
  readonly name = 'latticedb'
  readonly version = `node ${process.versions.node}`
  readonly durability = 'one write with O_DSYNC a group'
  readonly #io: NodeIo
  readonly #storage: Storage
  readonly #builder = new WriteSetBuilder()
  #index = 0
  #timestamp = 0
  #released = 0

  constructor(io: NodeIo, storage: Storage) {
    this.#io = io
    this.#storage = storage
  }

  put(key: Buffer, value: Buffer): Promise<void> {
    const builder = this.#builder
    builder.reset()
    builder.put(key, value)
    return this.#commit(new Uint8Array(builder.finish(++this.#timestamp)))
  }

  batch(keys: readonly Buffer[], value: Buffer): Promise<void> {
    const builder = this.#builder
    builder.reset()
    for (const key of keys) builder.put(key, value)
    return this.#commit(new Uint8Array(builder.finish(++this.#timestamp)))
  }

  async load(keys: readonly Buffer[], value: Buffer): Promise<void> {
    const { engine } = this.#storage
    const builder = this.#builder
    for (let i = 0; i < keys.length; i += 100) {
      builder.reset()
      for (const key of keys.slice(i, i + 100)) builder.put(key, value)
      engine.apply(builder.finish(++this.#timestamp), 2, ++this.#index)
      if (engine.stalled) await engine.unstalled()
      else if (i % 10_000 === 0) await this.#io.tasks.yield()
    }
    await engine.flush()
    await engine.compact()
  }

  async gets(count: number, next: KeySource): Promise<number> {
    const { engine } = this.#storage
    const found = engine.found()
    let hits = 0
    for (let i = 0; i < count; i++) {
      const key = next()
      for (;;) {
        const step = engine.get(key, this.#timestamp, found)
        if (step === WAIT) {
          await found.ready()
          continue
        }
        if (step === ROW && found.slab.bytes[found.valueStart] > 0) hits++
        break
      }
    }
    return hits
  }

  async scans(count: number, next: KeySource): Promise<number> {
    const { engine } = this.#storage
    let rows = 0
    for (let i = 0; i < count; i++) {
      const cursor = engine.cursor({ start: next(), end: undefined }, this.#timestamp)
      let left = 100
      while (left > 0) {
        const step = cursor.next(left)
        if (step === END) break
        if (step === WAIT) {
          await cursor.ready()
          continue
        }
        const { batch } = cursor
        for (let j = 0; j < batch.count; j++) {
          if (batch.slabs[batch.slab[j]].bytes[batch.valueStart[j]] > 0) rows++
        }
        left -= batch.count
      }
      cursor.close()
    }
    return rows
  }

  background(): string {
    const { flushes, compactions, levels, stallMicros } = this.#storage.engine.stats()
    const { groups, records } = this.#storage.log.stats()
    const shape = levels.map(({ tables }) => tables).join('/')
    const perGroup = Math.round(records / Math.max(1, groups))
    const stalled = Math.round(stallMicros / 1000)
    return `${flushes} flushes, ${compactions} compactions, levels ${shape}, ${perGroup} records a sync, stalled ${stalled} ms`
  }

  async close(): Promise<void> {
    await this.#storage.close()
    await this.#io.stop()
  }

  #commit(writeSet: Uint8Array): Promise<void> {
    const { log, engine } = this.#storage
    if (engine.stalled) return engine.unstalled().then(() => this.#commit(writeSet))
    const index = ++this.#index
    const flushed = engine.flushed(1)
    if (flushed > this.#released) {
      this.#released = flushed
      log.release(1, flushed)
    }
    return new Promise((done) => {
      log.append({ stream: 1, index, term: 1, transactionId: index, payload: writeSet }, () => {
        engine.apply(writeSet, 1, index)
        done()
      })
    })
  }
}

export const openLmdb: OpenStore = async (directory) => {
  rmSync(directory, { recursive: true, force: true })
  const { open } = peers('lmdb')
  const db = open({ path: directory, keyEncoding: 'binary', encoding: 'binary', mapSize: 8 * 2 ** 30, noMemInit: true })
  return {
    name: 'lmdb',
    version: versionOf('lmdb'),
    durability: 'overlapping sync, flushed awaited',
    put: async (key, value) => {
      await db.put(key, value)
      await db.flushed
    },
    batch: async (keys, value) => {
      const last = db.batch(() => {
        for (const key of keys) db.put(key, value)
      })
      await last
      await db.flushed
    },
    load: async (keys, value) => {
      for (let i = 0; i < keys.length; i += 10_000) {
        db.transactionSync(() => {
          for (const key of keys.slice(i, i + 10_000)) db.putSync(key, value)
        })
      }
      await db.flushed
    },
    gets: async (count, next) => {
      let hits = 0
      for (let i = 0; i < count; i++) {
        const value = db.getBinaryFast(next())
        if (value !== undefined && value[0] > 0) hits++
      }
      return hits
    },
    scans: async (count, next) => {
      let rows = 0
      for (let i = 0; i < count; i++) {
        for (const { value } of db.getRange({ start: next(), limit: 100 })) if (value[0] > 0) rows++
      }
      return rows
    },
    background: () => 'none',
    close: () => db.close(),
  }
}

export const openClassicLevel: OpenStore = async (directory) => {
  rmSync(directory, { recursive: true, force: true })
  const { ClassicLevel } = peers('classic-level')
  const encodings = { keyEncoding: 'buffer', valueEncoding: 'buffer' }
  const db = new ClassicLevel(directory, {
    ...encodings,
    cacheSize: 256 * 2 ** 20,
    writeBufferSize: 32 * 2 ** 20,
    compression: false,
  })
  await db.open()
  return {
    name: 'classic-level',
    version: versionOf('classic-level'),
    durability: 'sync on every write',
    put: (key, value) => db.put(key, value, { sync: true }),
    batch: (keys, value) =>
      db.batch(
        keys.map((key) => ({ type: 'put', key, value })),
        { sync: true },
      ),
    load: async (keys, value) => {
      for (let i = 0; i < keys.length; i += 1000) {
        await db.batch(keys.slice(i, i + 1000).map((key) => ({ type: 'put', key, value })))
      }
      await db.compactRange(keys[0], Buffer.alloc(16, 0xff), encodings)
    },
    gets: async (count, next) => {
      let hits = 0
      for (let i = 0; i < count; i++) {
        const value = db.getSync(next())
        if (value !== undefined && value[0] > 0) hits++
      }
      return hits
    },
    scans: async (count, next) => {
      let rows = 0
      for (let i = 0; i < count; i++) {
        const iterator = db.iterator({ gte: next(), limit: 100, highWaterMarkBytes: 1 << 20 })
        for (const [, value] of await iterator.nextv(100)) if (value[0] > 0) rows++
        await iterator.close()
      }
      return rows
    },
    background: () => 'leveldb compacts in a thread',
    close: () => db.close(),
  }
}

export const openRocks: OpenStore = async (directory) => {
  rmSync(directory, { recursive: true, force: true })
  const { RocksLevel } = peers('@nxtedition/rocksdb')
  const db = new RocksLevel(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  await db.open({ createIfMissing: true, parallelism: 2, memtableMemoryBudget: 64 * 2 ** 20, cacheSize: 256 * 2 ** 20 })
  const writeBatch = async (keys: readonly Buffer[], value: Buffer, sync: boolean) => {
    const batch = db.batch()
    for (const key of keys) batch.put(key, value)
    await batch.write({ sync })
    // The binding writes on the loop: without a turn between two writes no timer would ever fire.
    if (sync) await new Promise((done) => setImmediate(done))
  }
  return {
    name: 'rocksdb',
    version: versionOf('@nxtedition/rocksdb'),
    durability: 'sync on every write',
    put: (key, value) => writeBatch([key], value, true),
    batch: (keys, value) => writeBatch(keys, value, true),
    load: async (keys, value) => {
      for (let i = 0; i < keys.length; i += 1000) await writeBatch(keys.slice(i, i + 1000), value, false)
    },
    gets: async (count, next) => {
      let hits = 0
      for (let i = 0; i < count; i++) {
        const [value] = db._getManySync([next()], { valueEncoding: 'buffer' })
        if (value !== undefined && value[0] > 0) hits++
      }
      return hits
    },
    scans: async (count, next) => {
      let rows = 0
      for (let i = 0; i < count; i++) {
        const iterator = db.iterator({ gte: next(), limit: 100 })
        const { rows: flat } = iterator._nextvSync(100)
        for (let j = 1; j < flat.length; j += 2) if (flat[j][0] > 0) rows++
        await iterator.close()
      }
      return rows
    },
    background: () => 'rocksdb compacts in threads',
    close: () => db.close(),
  }
}
