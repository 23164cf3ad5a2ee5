/**
 * A node's storage under torture: commit log and engine together, used as replication uses them. Two streams append
 * write sets; what is durable is applied and acknowledged; flushes and compactions run; the log is released behind them.
 *
 *   append ──durable──▶ apply ──▶ acknowledged          after a crash: replay above `applied`, then compare with the plan
 *
 * The plan of every entry ever appended is kept outside, so that after a crash the store must equal some prefix of it
 * that holds at least all that was acknowledged: nothing lost, no hole, no ghost.
 *
 * Not here: when the power goes (storage.test.ts).
 */
import { strict as assert } from 'node:assert'
import { END, WAIT } from '../../src/base/index.ts'
import { WriteSetBuilder } from '../../src/encoding/index.ts'
import type { Io } from '../../src/io/index.ts'
import { type CommitLog, type LsmEngine, openCommitLog, openEngine } from '../../src/storage/index.ts'
import type { SimRandom } from '../../src/testing/index.ts'

const streams = [1, 2]
const keysPerStream = 25

interface PlannedEntry {
  readonly timestamp: number
  /** Keys in [first, second) of each go without a trace before the changes come. */
  readonly excised: readonly (readonly [string, string])[]
  /** Older versions that come with ingested changes, into what is excised; newest first. */
  readonly history: readonly (readonly [key: string, timestamp: number, value: string | null])[]
  /** The changes come as ingested tables. */
  readonly ingested: boolean
  /** The changes are written in slices, other work in between. */
  readonly sliced: boolean
  /** Undefined for a deletion. */
  readonly changes: ReadonlyMap<string, string | undefined>
}

/** Null for a deletion. */
type Change = readonly [key: string, value: string | null]

/** Of an entry that is no plain write set; its plan is its payload. */
const special = 0xff

/** What was appended and acknowledged over all lives of the node; it survives every crash. */
export class Ledger {
  /** Entry i of a stream at i − 1. */
  readonly planned = new Map<number, PlannedEntry[]>(streams.map((stream) => [stream, []]))
  readonly acknowledged = new Map<number, number>(streams.map((stream) => [stream, 0]))
  /** Newest term saved durably per stream, and the newest saved at all. */
  readonly durableTerm = new Map<number, number>(streams.map((stream) => [stream, 0]))
  readonly savedTerm = new Map<number, number>(streams.map((stream) => [stream, 0]))
  clock = 100
  recoveries = 0

  /** The visible map at a timestamp when each stream is applied up to its index. */
  stateAt(last: ReadonlyMap<number, number>, at: number): Map<string, string> {
    const history = new Map<string, { timestamp: number; value: string | undefined }[]>()
    for (const stream of streams) {
      for (const entry of this.planned.get(stream)!.slice(0, last.get(stream)!)) {
        const { timestamp, changes } = entry
        for (const [start, end] of entry.excised) {
          for (const key of [...history.keys()]) if (key >= start && key < end) history.delete(key)
        }
        for (const [key, at, value] of entry.history.toReversed()) {
          const version = { timestamp: at, value: value ?? undefined }
          const versions = history.get(key)
          if (versions) versions.push(version)
          else history.set(key, [version])
        }
        for (const [key, value] of changes) {
          const versions = history.get(key)
          if (versions) versions.push({ timestamp, value })
          else history.set(key, [{ timestamp, value }])
        }
      }
    }
    const state = new Map<string, string>()
    for (const [key, versions] of history) {
      const value = versions.findLast(({ timestamp }) => timestamp <= at)?.value
      if (value !== undefined) state.set(key, value)
    }
    return state
  }
}

export interface NodeBugs {
  /** Acknowledges when the append returns. */
  ackBeforeSync?: boolean
}

export class StorageNode {
  readonly #io: Io
  readonly #random: SimRandom
  readonly #ledger: Ledger
  readonly #bugs: NodeBugs
  #log!: CommitLog
  #engine!: LsmEngine
  /** Per stream, when the entries that cannot be applied at once will have been. */
  readonly #applying = new Map<number, Promise<void>>()

  constructor(io: Io, random: SimRandom, ledger: Ledger, bugs: NodeBugs) {
    this.#io = io
    this.#random = random
    this.#ledger = ledger
    this.#bugs = bugs
  }

  async open(): Promise<void> {
    const io = this.#io
    const directory = '/data'
    this.#log = await openCommitLog({ io, directory, segmentBytes: 4096, budgetBytes: 24 * 1024 })
    this.#engine = await openEngine({
      io,
      directory,
      memtableBytes: 48_000,
      tableBytes: 1500,
      blockBytes: 400,
      baseBytes: 4000,
      level0Tables: 2,
      codecs: ['none', 'lz4', 'zstd'],
    })
  }

  /** Replays the log and compares what there is with what was planned and acknowledged. */
  async recover(): Promise<void> {
    const ledger = this.#ledger
    ledger.recoveries++
    for (const stream of streams) {
      const log = this.#log
      const applied = this.#engine.applied(stream)
      const last = log.lastIndex(stream)
      const planned = ledger.planned.get(stream)!
      assert.ok(
        last >= ledger.acknowledged.get(stream)!,
        `stream ${stream}: entries up to ${last} of ${ledger.acknowledged.get(stream)} acknowledged`,
      )
      assert.ok(last <= planned.length, `stream ${stream}: entry ${last} was never appended`)
      assert.ok(applied <= last, `stream ${stream}: tables hold entry ${applied}, the log ends at ${last}`)
      assert.ok(last === 0 || log.firstIndex(stream) <= applied + 1, `stream ${stream}: a hole behind entry ${applied}`)
      const payloads: Uint8Array[] = []
      await log.read(stream, applied + 1, last, (record) => {
        assert.equal(record.term, 7)
        payloads.push(new Uint8Array(record.payload))
      })
      for (const [i, payload] of payloads.entries()) this.#apply(stream, applied + 1 + i, payload)
      await this.#applying.get(stream)
      const { term } = log.hardState(stream)
      assert.ok(
        term >= ledger.durableTerm.get(stream)!,
        `stream ${stream}: term ${term} after ${ledger.durableTerm.get(stream)} was durable`,
      )
      assert.ok(term <= ledger.savedTerm.get(stream)!, `stream ${stream}: term ${term} was never saved`)
      // From here on the recovered prefix is the truth: it was synced, or will be read again.
      planned.length = last
      ledger.acknowledged.set(stream, last)
      ledger.savedTerm.set(stream, term)
      ledger.durableTerm.set(stream, term)
    }
    await this.#compare(Number.MAX_SAFE_INTEGER)
    const oldest = this.#engine.collectedBefore
    if (ledger.clock > oldest) await this.#compare(oldest + this.#random.below(ledger.clock - oldest))
  }

  async #compare(at: number): Promise<void> {
    const last = new Map(streams.map((stream) => [stream, this.#log.lastIndex(stream)]))
    const expected = this.#ledger.stateAt(last, at)
    const found = new Map<string, string>()
    const cursor = this.#engine.cursor({ start: new Uint8Array(0), end: undefined }, at)
    for (;;) {
      const step = cursor.next()
      if (step === END) break
      if (step === WAIT) {
        await cursor.ready()
        continue
      }
      const { batch } = cursor
      for (let i = 0; i < batch.count; i++) {
        const { bytes } = batch.slabs[batch.slab[i]]
        const text = (from: number, to: number) => Buffer.from(bytes.slice(from, to)).toString('latin1')
        found.set(text(batch.keyStart[i], batch.keyEnd[i]), text(batch.valueStart[i], batch.valueEnd[i]))
      }
    }
    cursor.close()
    const sorted = (map: Map<string, string>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
    assert.deepEqual(sorted(found), sorted(expected), `the contents at ${at}`)
  }

  /** Writes, flushes, compacts and collects for so many rounds. */
  async work(rounds: number): Promise<void> {
    const random = this.#random
    for (let round = 0; round < rounds; round++) {
      for (let i = random.below(4); i >= 0; i--) this.#append(random.pick(streams))
      if (random.chance(0.1)) this.#saveTerm(random.pick(streams))
      if (random.chance(0.5)) await new Promise<void>((done) => this.#io.tasks.after(random.below(3), done))
      if (random.chance(0.08)) await this.#engine.flush()
      else if (random.chance(0.04)) void this.#engine.flush()
      if (random.chance(0.03)) await this.#engine.compact()
      if (random.chance(0.05)) this.#engine.collectBefore(this.#ledger.clock - 100)
      for (const stream of streams) this.#log.release(stream, this.#engine.flushed(stream))
    }
    await this.#log.sync()
    await Promise.all(this.#applying.values())
  }

  async close(): Promise<void> {
    await this.#log.close()
    await this.#engine.close()
  }

  #append(stream: number): void {
    const ledger = this.#ledger
    const planned = ledger.planned.get(stream)!
    const entry = this.#plan(stream)
    planned.push(entry)
    const index = planned.length
    const payload = encode(entry)
    const acknowledge = () => {
      ledger.acknowledged.set(stream, index)
    }
    this.#log.append({ stream, index, term: 7, transactionId: 0, payload }, () => {
      this.#apply(stream, index, payload)
      acknowledge()
    })
    if (this.#bugs.ackBeforeSync) acknowledge()
  }

  #plan(stream: number): PlannedEntry {
    const random = this.#random
    const timestamp = ++this.#ledger.clock
    const changes = new Map<string, string | undefined>()
    const keyOf = () => `s${stream}/${String(random.below(keysPerStream)).padStart(2, '0')}`
    const ingested = random.chance(0.03)
    const sliced = !ingested && random.chance(0.03)
    const excised: [string, string][] = []
    const history: [string, number, string | null][] = []
    if (!sliced && random.chance(0.03)) {
      const keys = [...new Set([keyOf(), keyOf(), keyOf(), keyOf()])].sort()
      for (let i = 0; i + 1 < keys.length; i += 2) excised.push([keys[i], keys[i + 1]])
    }
    const text = () => `${timestamp}:${'x'.repeat(random.below(120))}`
    for (let i = random.below(sliced ? 12 : 3); i >= 0 && (ingested || excised.length === 0); i--) {
      const deleted = random.chance(0.2)
      changes.set(keyOf(), deleted ? undefined : text())
    }
    if (ingested) {
      for (const [key] of excised) {
        for (let at = timestamp - 1; at > timestamp - 4; at--)
          history.push([key, at, random.chance(0.3) ? null : text()])
      }
    }
    return { timestamp, excised, history, ingested, sliced, changes }
  }

  /** Applies an entry once those before it are applied. */
  #apply(stream: number, index: number, payload: Uint8Array): void {
    const before = this.#applying.get(stream)
    if (before === undefined && payload[0] !== special) {
      this.#engine.apply(payload, stream, index)
      return
    }
    const applying = (before ?? Promise.resolve()).then(async () => {
      if (payload[0] === special) await this.#applySpecial(stream, index, payload)
      else this.#engine.apply(payload, stream, index)
      if (this.#applying.get(stream) === applying) this.#applying.delete(stream)
    })
    this.#applying.set(stream, applying)
  }

  async #applySpecial(stream: number, index: number, payload: Uint8Array): Promise<void> {
    const { timestamp, excised, history, sliced, changes } = decode(payload)
    if (sliced) {
      const task = this.#engine.beginApply(encodeSet(timestamp, changes), stream, index)
      while (!task.step(2)) await new Promise<void>((done) => this.#io.tasks.after(1, done))
      return
    }
    const writer = this.#engine.versionWriter()
    const versions = [...changes.map(([key, value]) => [key, timestamp, value] as const), ...history]
    versions.sort(([a, x], [b, y]) => (a === b ? y - x : a < b ? -1 : 1))
    for (const [key, at, value] of versions) {
      writer.add(Buffer.from(key), at, value === null ? undefined : Buffer.from(value))
      if (writer.full) await writer.drain()
    }
    const spans = excised.map(([start, end]) => ({ start: Buffer.from(start), end: Buffer.from(end) }))
    await this.#engine.ingest(await writer.finish(), spans, { stream, index })
  }

  #saveTerm(stream: number): void {
    const term = this.#ledger.savedTerm.get(stream)! + 1
    this.#ledger.savedTerm.set(stream, term)
    this.#log.saveHardState(stream, { term, vote: 1, commit: 0 }, () => {
      this.#ledger.durableTerm.set(stream, term)
    })
  }
}

function encode(entry: PlannedEntry): Uint8Array {
  const { timestamp, excised, ingested, sliced } = entry
  const changes: Change[] = [...entry.changes].map(([key, value]) => [key, value ?? null])
  if (!ingested && !sliced && excised.length === 0) return encodeSet(timestamp, changes)
  return Buffer.concat([Buffer.from([special]), Buffer.from(JSON.stringify({ ...entry, changes }))])
}

function encodeSet(timestamp: number, changes: readonly Change[]): Uint8Array {
  const builder = new WriteSetBuilder()
  for (const [key, value] of changes) {
    if (value === null) builder.delete(Buffer.from(key))
    else builder.put(Buffer.from(key), Buffer.from(value))
  }
  return new Uint8Array(builder.finish(timestamp))
}

function decode(payload: Uint8Array): Omit<PlannedEntry, 'changes'> & { changes: Change[] } {
  return JSON.parse(Buffer.from(payload.subarray(1)).toString())
}
