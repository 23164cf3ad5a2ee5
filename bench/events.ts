/**
 * `npm run bench:events`: event stores beside an event table in SQLite and beside PouchDB, in one run.
 *
 *   node bench/run.ts events [--json] [--quick] [--seconds S] [--only appends-100,sync-empty,sync-differences]
 *
 *   appends-100        events a second, made durable in batches of 100; 16 writers, each waiting for its own batch (alone: one
 *                      writer). Values are made before the clock runs.
 *   sync-empty         100,000 events to an empty peer; ours over HTTP on the loopback, both sides durable; PouchDB between two
 *                      databases of one process
 *   sync-differences   1,000 differences between two stores of a million events that have never met; bytes counted by a proxy
 *
 * Not here: the stores (event-stores.ts).
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type SyncStore, syncWith } from '../src/model/events/index.ts'
import { ByteOutput, headKeyAt, recordHead, writeRecord } from '../src/replication/sync/index.ts'
import { type EventTable, openOurs, openPouch, openSqlite, reopenOurs, serve } from './event-stores.ts'
import { Options, Report } from './report.ts'

const data = join(import.meta.dirname, '.tmp', 'events')
const batchEvents = 100
const writers = 16

const encoder = new TextEncoder()
let number = 0
/** About 200 bytes of JSON, never the same. */
function value(): Uint8Array {
  const n = number++
  const order = { order: n, customer: `customer-${n % 5000}`, cents: (n * 7919) % 100_000, at: 1_767_225_600_000 + n }
  return encoder.encode(
    JSON.stringify({ ...order, note: 'a few words about the order, as people write them'.repeat(2) }),
  )
}

/** Values are not told apart by any of the tables: these are written again and again. */
const batches = Array.from({ length: 500 }, () => Array.from({ length: batchEvents }, value))
let batchNumber = 0
const batch = (): Uint8Array[] => batches[batchNumber++ % batches.length]

/** Events a second. */
async function appending(table: EventTable, writers: number, seconds: number): Promise<number> {
  let done = 0
  let counting = false
  let over = false
  const all = Promise.all(
    Array.from({ length: writers }, async () => {
      while (!over) {
        await table.append(batch())
        if (counting) done += batchEvents
        // A table that answers at once must let the clock be read.
        await new Promise<void>((next) => setImmediate(next))
      }
    }),
  )
  const wait = (ms: number) => new Promise((next) => setTimeout(next, ms))
  await wait(seconds * 200)
  counting = true
  const start = performance.now()
  await wait(seconds * 1000)
  const rate = (done / (performance.now() - start)) * 1000
  over = true
  await all
  return rate
}

async function appends(report: Report, seconds: number): Promise<void> {
  const tables: [string, () => Promise<EventTable>][] = [
    ['latticedb', () => openOurs(join(data, 'ours'))],
    ['wal', () => openSqlite(join(data, 'sqlite'), 'wal')],
    ['delete', () => openSqlite(join(data, 'sqlite'), 'delete')],
    ['pouch', () => openPouch(join(data, 'pouch'))],
  ]
  const rates = new Map<string, Map<number, number>>()
  for (const [name, open] of tables) {
    rates.set(name, new Map())
    for (const count of [1, writers]) {
      const table = await open()
      const rate = await appending(table, count, seconds)
      rates.get(name)!.set(count, rate)
      const figure = Math.round(rate).toLocaleString('en').padStart(9)
      report.note(
        `${count.toString().padStart(2)} writers ${table.name.padEnd(14)} ${figure} events/s  ${table.version}; ${table.durability}`,
      )
      await table.close()
    }
  }
  const rate = (name: string, count: number) => rates.get(name)!.get(count)!
  const best = (count: number) => Math.max(rate('wal', count), rate('delete', count))
  const shared = { bench: 'events', unit: 'ev/s', higherIsBetter: true }
  for (const count of [1, writers]) {
    const ours = rate('latticedb', count)
    const row = count === 1 ? 'appends-100-alone' : 'appends-100'
    report.row({ ...shared, row, ours, peer: best(count), peerName: 'SQLite, FULL' })
    report.row({ ...shared, row, ours, peer: rate('pouch', count), peerName: 'PouchDB, not synced' })
  }
}

async function emptyPeer(report: Report, count: number): Promise<void> {
  const source = await openOurs(join(data, 'source'))
  for (let i = 0; i < count; i += 1_000) await source.append(Array.from({ length: 1_000 }, value))
  const rates: Record<string, number> = {}
  for (const direction of ['push', 'pull']) {
    const target = await openOurs(join(data, 'target'))
    const [asks, answers] = direction === 'push' ? [source.store, target.store] : [target.store, source.store]
    const loopback = await serve(answers)
    const start = performance.now()
    const done = await syncWith(asks, loopback.exchange)
    rates[direction] = (count / (performance.now() - start)) * 1000
    if (target.store.count !== count) throw new Error(`${target.store.count} of ${count} events arrived`)
    report.note(
      `${direction}: ${Math.round(rates[direction])} events/s, ${done.messages} messages, ${loopback.bytes} bytes`,
    )
    await loopback.close()
    await target.close()
  }
  await source.close()
  const [from, to] = [await openPouch(join(data, 'from')), await openPouch(join(data, 'to'))]
  for (let i = 0; i < count; i += 1_000) await from.append(Array.from({ length: 1_000 }, value))
  const start = performance.now()
  await from.db.replicate.to(to.db, { batch_size: 1_000 })
  const peer = (count / (performance.now() - start)) * 1000
  const { doc_count } = await to.db.info()
  if (doc_count !== count) throw new Error(`${doc_count} of ${count} documents arrived`)
  report.note(`PouchDB: ${Math.round(peer)} docs/s, batches of 1,000, one process, not synced`)
  await from.close()
  await to.close()
  for (const [direction, ours] of Object.entries(rates)) {
    const row = `sync-empty-${direction}`
    report.row({ bench: 'events', row, ours, peer, peerName: 'PouchDB replicate', unit: 'ev/s', higherIsBetter: true })
  }
}

/** The same events in several stores, as if each had them from somebody else. */
async function fill(stores: readonly SyncStore[], count: number): Promise<void> {
  const stranger = new Uint8Array(16).fill(9)
  const head = recordHead(new Uint8Array(24).fill(9))
  const key = new Uint8Array(16)
  for (let i = 0; i < count; i += 2_000) {
    const out = new ByteOutput(1 << 20)
    const records: Uint8Array[] = []
    for (let j = i; j < i + 2_000 && j < count; j++) {
      const start = out.length
      // Keys as they come about: a time that goes on, and random bits.
      const view = new DataView(key.buffer)
      view.setUint16(0, 0x19b)
      view.setUint32(2, 0x7000_0000 + (j >> 2))
      for (let at = 6; at < 16; at++) key[at] = Math.random() * 256
      head.set(key, headKeyAt)
      writeRecord(out, head, j + 1, 1_767_225_600_000_000 + j, 'application/json', value())
      records.push(out.buffer.subarray(start, out.length))
    }
    for (const store of stores) await store.receive(stranger, records, undefined)
  }
}

async function differences(report: Report, count: number, differing: number): Promise<void> {
  const paths = [join(data, 'one'), join(data, 'other')]
  const made = await Promise.all(paths.map(openOurs))
  await fill(
    made.map((m) => m.store),
    count,
  )
  const now = Date.now()
  for (const { store } of made) {
    const span = 8 * 3_600_000
    // Half of the differences each, spread over all the time that there are events of.
    const events = Array.from({ length: differing / 2 }, () => ({
      value: value(),
      contentType: 'application/json',
      atMs: Math.min(now, 0x19b_7000_0000 + Math.floor(Math.random() * Math.min(count / 4, span))),
    }))
    await store.append(events)
  }
  await Promise.all(made.map((m) => m.close()))
  const [one, other] = await Promise.all(paths.map(reopenOurs))
  const before = process.memoryUsage()
  const loading = performance.now()
  const indexes = await Promise.all([one.store.ranges(), other.store.ranges()])
  const loaded = performance.now() - loading
  const perMillion = indexes[0].bytes / indexes[0].count
  report.note(
    `two indexes of ${indexes[0].count} events loaded in ${Math.round(loaded)} ms, ${perMillion.toFixed(1)} bytes an event`,
  )
  report.note(`memory before ${before.rss >> 20} MiB, with both ${process.memoryUsage().rss >> 20} MiB`)
  const loopback = await serve(other.store)
  const used = process.cpuUsage()
  const start = performance.now()
  const done = await syncWith(one.store, loopback.exchange)
  const millis = performance.now() - start
  const { bytes } = loopback
  if (done.sent + done.received !== differing || done.mode !== 'fingerprints') throw new Error(JSON.stringify(done))
  const cpu = Math.round((process.cpuUsage(used).user + process.cpuUsage(used).system) / 1000)
  report.note(
    `${done.sent} sent, ${done.received} received, ${done.messages} messages, by ${done.mode}; ${cpu} ms of CPU`,
  )
  const shared = { bench: 'events', higherIsBetter: false, peerName: 'the bar' }
  report.row({ ...shared, row: 'sync-differences', ours: millis / 1000, peer: 1, unit: 's' })
  report.row({ ...shared, row: 'sync-differences', ours: bytes / 1_048_576, peer: 1, unit: 'MiB' })
  await loopback.close()
  await Promise.all([one.close(), other.close()])
}

async function run(report: Report, options: Options): Promise<void> {
  const missing = ['better-sqlite3', 'pouchdb'].filter((p) => !existsSync(join(import.meta.dirname, 'node_modules', p)))
  if (missing.length > 0) {
    report.skip('events', `${missing.join(' and ')} not installed: npm install --prefix bench`)
    return
  }
  rmSync(data, { recursive: true, force: true })
  mkdirSync(data, { recursive: true })
  const quick = options.has('quick')
  const seconds = options.number('seconds', quick ? 1 : 5)
  const only = options.text('only')?.split(',')
  const wanted = (name: string) => only === undefined || only.includes(name)
  report.note(`events of about 200 bytes of JSON; node ${process.versions.node}`)
  if (wanted('appends-100')) await appends(report, seconds)
  if (wanted('sync-empty')) await emptyPeer(report, quick ? 20_000 : 100_000)
  if (wanted('sync-differences')) await differences(report, quick ? 100_000 : 1_000_000, quick ? 100 : 1_000)
  rmSync(data, { recursive: true, force: true })
}

const options = new Options(process.argv.slice(2))
await run(new Report(options.has('json')), options)
