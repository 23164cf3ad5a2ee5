/**
 * Ordered maps in a node's storage: a write is durable by the log's group commit, whoever else appends, and is then applied
 * to the engine. All maps of a node share one stream of the log and one prefix of the keys.
 *
 *   write ─► log.append (stream, index) ─► the group is durable ─► engine.apply ─► the caller goes on
 *
 *   prefix │ 0 │ name            → number of the space, u32
 *   prefix │ 1 │ number │ key    → value
 *
 * The version of a key is the index of the entry that wrote it: it grows by itself and comes out the same when the log is
 * replayed. Readers always want the newest, so superseded versions go with the next compaction.
 *
 * Not here: what is in the maps, whose stream and prefix these are (the composition root), directories (directory.ts).
 */
import { DbError, END, maxTimestamp, ROW, WAIT } from '../../base/index.ts'
import { WriteSetBuilder } from '../../encoding/index.ts'
import type { Tasks } from '../../io/index.ts'
import { getU32, putU32 } from '../../replication/sync/index.ts'
import { type CommitLog, type Engine, type EntryBatch, maxKeyBytes } from '../../storage/index.ts'
import type { Change, Entry, OrderedMap, ScanOptions } from './ordered-map.ts'

export interface EngineMapsOptions {
  readonly log: CommitLog
  readonly engine: Engine
  /** Nobody else appends to it. */
  readonly stream: number
  /** Nobody else writes keys that begin with it. */
  readonly prefix: Uint8Array
  readonly tasks: Pick<Tasks, 'yield'>
}

const namesPart = 0
const entriesPart = 1
const numberBytes = 4
/** Entries between two looks at what keeps the log long. */
const housekeepingEvery = 256
const replayedAtOnce = 10_000
/** So much is appended in a turn before the log gets the loop, to write it while the next is being prepared. */
const turnBytes = 96 * 1024
/** The memory of a larger write is not kept for the next one. */
const keptBytes = 512 * 1024
const encoder = new TextEncoder()

export class EngineMaps {
  readonly #log: CommitLog
  readonly #engine: Engine
  readonly #stream: number
  readonly #prefix: Uint8Array
  readonly #tasks: Pick<Tasks, 'yield'>
  /** Those of no write that is under way. */
  readonly #builders: WriteSetBuilder[] = []
  /** Where a key is put together for the builder, which copies it. */
  readonly #scratch = new Uint8Array(maxKeyBytes)
  readonly #numbers = new Map<string, Promise<number>>()
  #index: number
  #flushing: Promise<void> | undefined
  #released = 0
  /** Writers wait here while the engine is behind. */
  #turn: Promise<void> | undefined
  /** Appended since the loop was last given away. */
  #sinceYield = 0

  private constructor({ log, engine, stream, prefix, tasks }: EngineMapsOptions, index: number) {
    this.#log = log
    this.#engine = engine
    this.#stream = stream
    this.#prefix = prefix
    this.#tasks = tasks
    this.#index = index
  }

  /** Applies what the log holds and the tables do not. Errors: data_corrupted, what the disk reports. */
  static async open(options: EngineMapsOptions): Promise<EngineMaps> {
    const { log, engine, stream } = options
    const applied = engine.applied(stream)
    const last = Math.max(log.lastIndex(stream), applied)
    for (let at = applied + 1; at <= last; at += replayedAtOnce) {
      const to = Math.min(last, at + replayedAtOnce - 1)
      await log.read(stream, at, to, ({ payload, index }) => engine.apply(payload, stream, index))
      if (engine.stalled) await engine.unstalled()
    }
    return new EngineMaps(options, last)
  }

  /** The map of that name; the same name gives the same entries, also after a restart. Closing it closes this handle only. */
  async map(name: string): Promise<OrderedMap> {
    let number = this.#numbers.get(name)
    if (number === undefined) {
      number = this.#numberOf(name)
      this.#numbers.set(name, number)
      number.catch(() => this.#numbers.delete(name))
    }
    return new EngineMap(this, spacePrefix(this.#prefix, await number))
  }

  async write(changes: readonly Change[], prefix: Uint8Array, accepted: (() => void) | undefined): Promise<void> {
    if (this.#turn !== undefined || this.#engine.stalled) await this.#wait()
    const builder = this.#builders.pop() ?? new WriteSetBuilder()
    builder.reset()
    const scratch = this.#scratch
    scratch.set(prefix)
    for (const { key, value } of changes) {
      const end = prefix.length + key.length
      checkKey(end)
      scratch.set(key, prefix.length)
      const full = scratch.subarray(0, end)
      if (value === undefined) builder.delete(full)
      else builder.put(full, value)
    }
    const index = this.#index + 1
    const payload = builder.finish(index)
    return new Promise((resolve) => {
      this.#log.append({ stream: this.#stream, index, term: 1, transactionId: 0, payload }, () => {
        this.#engine.apply(payload, this.#stream, index)
        if (payload.length <= keptBytes) this.#builders.push(builder)
        resolve()
      })
      // A full disk throws before: the index is free.
      this.#index = index
      if (index % housekeepingEvery === 0) this.reclaim()
      this.#sinceYield += payload.length
      if (accepted === undefined) return
      if (this.#sinceYield < turnBytes) accepted()
      else {
        this.#sinceYield = 0
        void this.#tasks.yield().then(accepted)
      }
    })
  }

  async get(keys: readonly Uint8Array[], prefix: Uint8Array): Promise<(Uint8Array | undefined)[]> {
    const engine = this.#engine
    const found = engine.found()
    const out: (Uint8Array | undefined)[] = []
    for (const part of keys) {
      const key = join(prefix, part)
      let step = engine.get(key, maxTimestamp, found)
      while (step === WAIT) {
        await found.ready()
        step = engine.get(key, maxTimestamp, found)
      }
      out.push(step === END ? undefined : copyOf(found.slab.bytes, found.valueStart, found.valueEnd))
    }
    return out
  }

  async scan({ from, to, reverse, limit }: ScanOptions, prefix: Uint8Array): Promise<Entry[]> {
    const span = { start: join(prefix, from), end: join(prefix, to) }
    const cursor = this.#engine.cursor(span, maxTimestamp, { reverse })
    const out: Entry[] = []
    try {
      while (out.length < limit) {
        const step = cursor.next(Math.min(1_024, limit - out.length))
        if (step === ROW) takeEntries(cursor.batch, prefix.length, out)
        else if (step === WAIT) await cursor.ready()
        else break
      }
    } finally {
      cursor.close()
    }
    return out
  }

  async #numberOf(name: string): Promise<number> {
    const names = join(this.#prefix, Uint8Array.of(namesPart))
    const key = encoder.encode(name)
    const [known] = await this.get([key], names)
    if (known !== undefined) return getU32(known, 0)
    // Numbers are given out one after the other; those of a name that is being made are not seen by others yet.
    const making = this.#making.then(async () => {
      const all = await this.scan(
        { from: new Uint8Array(0), to: Uint8Array.of(255), limit: Number.MAX_SAFE_INTEGER },
        names,
      )
      const number = all.reduce((max, { value }) => Math.max(max, getU32(value, 0)), 0) + 1
      const value = new Uint8Array(numberBytes)
      putU32(value, 0, number)
      await this.write([{ key, value }], names, undefined)
      return number
    })
    this.#making = making.catch(() => 0)
    return making
  }
  #making: Promise<number> = Promise.resolve(0)

  /** In the order of the calls. */
  #wait(): Promise<void> {
    const turn = (this.#turn ?? Promise.resolve()).then(async () => {
      while (this.#engine.stalled) await this.#engine.unstalled()
      if (this.#turn === turn) this.#turn = undefined
    })
    this.#turn = turn
    return turn
  }

  /** Lets the log drop what tables hold, and flushes when it has to wait for us. To be called now and then when nothing is written. */
  reclaim(): void {
    const flushed = this.#engine.flushed(this.#stream)
    if (flushed > this.#released) this.#log.release(this.#stream, (this.#released = flushed))
    if (this.#flushing !== undefined) return
    if (!this.#log.laggards().some(({ stream }) => stream === this.#stream)) return
    // What fails to be flushed ends the node by itself or comes again.
    this.#flushing = this.#engine.flush().catch(() => undefined)
    void this.#flushing.then(() => (this.#flushing = undefined))
  }
}

class EngineMap implements OrderedMap {
  readonly #maps: EngineMaps
  readonly #prefix: Uint8Array
  #closed = false

  constructor(maps: EngineMaps, prefix: Uint8Array) {
    this.#maps = maps
    this.#prefix = prefix
  }

  async write(changes: readonly Change[], accepted?: () => void): Promise<void> {
    this.#check()
    return this.#maps.write(changes, this.#prefix, accepted)
  }

  async get(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    this.#check()
    return this.#maps.get(keys, this.#prefix)
  }

  async scan(options: ScanOptions): Promise<Entry[]> {
    this.#check()
    return this.#maps.scan(options, this.#prefix)
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #check(): void {
    if (this.#closed) throw new DbError('store_closed', 'the map is closed')
  }
}

function spacePrefix(prefix: Uint8Array, number: number): Uint8Array {
  const out = new Uint8Array(prefix.length + 1 + numberBytes)
  out.set(prefix)
  out[prefix.length] = entriesPart
  putU32(out, prefix.length + 1, number)
  return out
}

function join(prefix: Uint8Array, key: Uint8Array): Uint8Array {
  const out = new Uint8Array(prefix.length + key.length)
  out.set(prefix)
  out.set(key, prefix.length)
  return out
}

function checkKey(length: number): void {
  if (length <= maxKeyBytes) return
  throw new DbError('program_limit_exceeded', `a key of ${length} bytes is above the limit of ${maxKeyBytes}`)
}

/** A plain array, whatever the slab is: a Buffer's slice would be a view, shared memory stays where it is. */
function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const out = new Uint8Array(end - start)
  out.set(bytes.subarray(start, end))
  return out
}

/** Copies a batch into one piece of memory, of which the entries are views. */
function takeEntries(batch: EntryBatch, prefixLength: number, out: Entry[]): void {
  let size = 0
  for (let i = 0; i < batch.count; i++) {
    size += batch.keyEnd[i] - batch.keyStart[i] - prefixLength + batch.valueEnd[i] - batch.valueStart[i]
  }
  const copy = new Uint8Array(size)
  let at = 0
  for (let i = 0; i < batch.count; i++) {
    const { bytes } = batch.slabs[batch.slab[i]]
    const key = at
    copy.set(bytes.subarray(batch.keyStart[i] + prefixLength, batch.keyEnd[i]), at)
    at += batch.keyEnd[i] - batch.keyStart[i] - prefixLength
    const value = at
    copy.set(bytes.subarray(batch.valueStart[i], batch.valueEnd[i]), at)
    at += batch.valueEnd[i] - batch.valueStart[i]
    out.push({ key: copy.subarray(key, value), value: copy.subarray(value, at) })
  }
}
