/**
 * `npm run bench:storage`: the storage engine and its commit log beside lmdb, classic-level and RocksDB, in one run.
 *
 *   node bench/run.ts storage [--json] [--quick] [--rows N] [--seconds S] [--only puts-512,gets,…] [--stores latticedb,…]
 *
 * The process starts itself again pinned to two cores and with 64 libuv threads, which the peers' asynchronous writes
 * need.
 *
 * Not here: the stores (storage-stores.ts).
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { Options, Report } from './report.ts'
import { type BenchStore, type OpenStore, openClassicLevel, openLmdb, openOurs, openRocks } from './storage-stores.ts'

const here = import.meta.dirname
const data = join(here, '.tmp', 'storage')
const value = Buffer.alloc(100, 'v')
/** Set from the options when the benchmark starts. */
let rowCount = 1_000_000
let seconds = 5

interface Row {
  readonly name: string
  readonly unit: string
  /** What the best peer reaches on the reference machine, and what we must reach beside it. */
  readonly known: number
  readonly target: number
  measure(store: BenchStore): Promise<number>
  /** Whether the store is filled first. */
  readonly filled: boolean
}

function randomWords(seed: number): () => number {
  let word = seed
  return () => {
    word ^= word << 13
    word ^= word >>> 17
    word ^= word << 5
    return word >>> 0
  }
}

/** 16 bytes of which the first are as good as random: keys of a store that is loaded in no order. */
function keyOf(n: number, key: Buffer = Buffer.alloc(16)): Buffer {
  key.writeUInt32BE(Math.imul(n + 1, 0x9e3779b1) >>> 0, 0)
  key.writeUInt32BE(n, 12)
  return key
}

async function writing(store: BenchStore, writers: number, rowsEach: number): Promise<number> {
  const words = randomWords(88_172_645)
  let done = 0
  let counting = false
  let over = false
  const all = Promise.all(
    Array.from({ length: writers }, async () => {
      // A writer's keys are its own; it fills them anew only after its write is durable.
      const keys = Array.from({ length: rowsEach }, () => Buffer.alloc(16))
      while (!over) {
        for (const key of keys) keyOf(words(), key)
        await (rowsEach === 1 ? store.put(keys[0], value) : store.batch(keys, value))
        if (counting) done += rowsEach
      }
    }),
  )
  await wait(Math.min(1000, seconds * 300))
  counting = true
  const start = performance.now()
  await wait(seconds * 1000)
  const elapsed = performance.now() - start
  over = true
  const count = done
  await all
  return (count / elapsed) * 1000
}

const wait = (ms: number) => new Promise((done) => setTimeout(done, ms))

async function reading(run: (count: number) => Promise<number>, portion: number): Promise<number> {
  await run(portion) // warm: caches and compiled code
  const start = performance.now()
  let operations = 0
  while (performance.now() - start < seconds * 1000) {
    await run(portion)
    operations += portion
  }
  return (operations / (performance.now() - start)) * 1000
}

function randomKeys(): () => Buffer {
  const words = randomWords(123_456_789)
  const keys = Array.from({ length: 65_536 }, () => keyOf(words() % rowCount))
  let at = 0
  return () => keys[at++ & 65_535]
}

const rows: Row[] = [
  {
    name: 'puts-512',
    unit: 'puts/s',
    known: 63_000,
    target: 5,
    filled: false,
    measure: (store) => writing(store, 512, 1),
  },
  {
    name: 'puts-64',
    unit: 'puts/s',
    known: 40_000,
    target: 1,
    filled: false,
    measure: (store) => writing(store, 64, 1),
  },
  {
    name: 'batches-100',
    unit: 'rows/s',
    known: 200_000,
    target: 1.3,
    filled: false,
    measure: (store) => writing(store, 16, 100),
  },
  {
    name: 'gets',
    unit: 'gets/s',
    known: 570_000,
    target: 0.7,
    filled: true,
    measure: (store) => {
      const next = randomKeys()
      return reading((count) => store.gets(count, next), 10_000)
    },
  },
  {
    name: 'scans-100',
    unit: 'scans/s',
    known: 8000,
    target: 4,
    filled: true,
    measure: (store) => {
      const next = randomKeys()
      return reading((count) => store.scans(count, next), 200)
    },
  },
]

const stores: [string, OpenStore][] = [
  ['latticedb', openOurs],
  ['lmdb', openLmdb],
  ['classic-level', openClassicLevel],
  ['rocksdb', openRocks],
]

async function run(report: Report, options: Options): Promise<void> {
  if (process.env.UV_THREADPOOL_SIZE !== '64') {
    process.exitCode = restart()
    return
  }
  mkdirSync(data, { recursive: true })
  const quick = options.has('quick')
  rowCount = options.number('rows', quick ? 100_000 : 1_000_000)
  seconds = options.number('seconds', quick ? 1 : 5)
  const only = options.text('only')?.split(',')
  const some = options.text('stores')?.split(',')
  const wanted = rows.filter(({ name }) => only === undefined || only.includes(name))
  const chosen = stores.filter(([name]) => some === undefined || some.includes(name))
  report.note(`${rowCount} rows of 16-byte keys and 100-byte values; ${seconds} s a row; node ${process.versions.node}`)
  const rates = new Map<string, Map<string, number>>(wanted.map(({ name }) => [name, new Map()]))
  for (const [name, open] of chosen) {
    const measure = async (row: Row, store: BenchStore) => {
      const rate = await row.measure(store)
      rates.get(row.name)!.set(name, rate)
      const about = `${store.version}; ${store.durability}; ${store.background()}`
      const figure = Math.round(rate).toString().padStart(9)
      report.note(`${row.name.padEnd(12)} ${name.padEnd(14)} ${figure} ${row.unit.padEnd(8)} ${about}`)
    }
    for (const row of wanted.filter(({ filled }) => !filled))
      await withStore(name, open, (store) => measure(row, store))
    const reads = wanted.filter(({ filled }) => filled)
    if (reads.length === 0) continue
    await withStore(name, open, async (store) => {
      await fill(store)
      for (const row of reads) await measure(row, store)
    })
  }
  // A part of the stores is for working on one of them: there is nothing to compare.
  if (chosen.length < stores.length) return
  for (const row of wanted) conclude(report, row, rates.get(row.name)!)
}

async function withStore(name: string, open: OpenStore, use: (store: BenchStore) => Promise<void>): Promise<void> {
  const store = await open(join(data, name))
  await use(store)
  await store.close()
  rmSync(join(data, name), { recursive: true, force: true })
}

/** Every row once, then every fourth a second time: versions to look past. */
async function fill(store: BenchStore): Promise<void> {
  const keys = Array.from({ length: rowCount }, (_, n) => keyOf(n))
  await store.load(keys, value)
  await store.load(
    keys.filter((_, n) => n % 4 === 0),
    value,
  )
}

function conclude(report: Report, row: Row, rates: ReadonlyMap<string, number>): void {
  const ours = rates.get('latticedb')!
  const [peerName, peer] = [...rates].filter(([name]) => name !== 'latticedb').sort(([, a], [, b]) => b - a)[0]
  if (peer < row.known * 0.8) {
    report.warn(
      `${row.name}: the best peer, ${peerName}, reached ${Math.round(peer)} ${row.unit}, known are ${row.known}`,
    )
  }
  const round = Math.round
  report.row({
    bench: 'storage',
    row: row.name,
    ours: round(ours),
    peer: round(peer),
    peerName,
    unit: row.unit,
    higherIsBetter: true,
  })
  if (ours / peer < row.target) report.note(`${row.name}: below its target of ${row.target}x`)
}

/** Runs the benchmark in a process with the threads and the cores that the peers are measured with. */
function restart(): number {
  if (!existsSync(join(here, 'node_modules'))) {
    const installed = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock'], {
      cwd: here,
      stdio: ['ignore', 2, 2],
    })
    if (installed.status !== 0) return installed.status ?? 1
  }
  const env = { ...process.env, UV_THREADPOOL_SIZE: '64' }
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const pin = process.platform === 'linux' && availableParallelism() > 2 ? ['taskset', '-c', '0,1'] : []
  const [program, ...args] = [...pin, ...command]
  return spawnSync(program, args, { env, stdio: 'inherit' }).status ?? 1
}

const options = new Options(process.argv.slice(2))
await run(new Report(options.has('json')), options)
