/**
 * `npm run bench:storage`: the storage engine and its commit log beside lmdb, classic-level and RocksDB, in one run.
 *
 *   node bench/storage.ts [--json] [--quick] [--rows N] [--seconds S] [--only puts-512,gets,…] [--stores latticedb,lmdb,…]
 *
 * The process restarts itself pinned to two cores and with 64 libuv threads, which the peers' asynchronous writes need.
 *
 * Not here: the stores (storage-stores.ts).
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type BenchStore, type OpenStore, openClassicLevel, openLmdb, openOurs, openRocks } from './storage-stores.ts'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    rows: { type: 'string' },
    seconds: { type: 'string' },
    only: { type: 'string' },
    stores: { type: 'string' },
  },
})
const rowCount = Number(options.rows ?? (options.quick ? 100_000 : 1_000_000))
const seconds = Number(options.seconds ?? (options.quick ? 1 : 5))

const here = fileURLToPath(new URL('.', import.meta.url))
const data = `${here}/.tmp/storage`
const value = Buffer.alloc(100, 'v')

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

async function main(): Promise<void> {
  const wanted = rows.filter(({ name }) => options.only === undefined || options.only.split(',').includes(name))
  const results = new Map<string, Map<string, number>>(wanted.map(({ name }) => [name, new Map()]))
  const say = (text: string) => {
    if (!options.json) process.stdout.write(`${text}\n`)
  }
  say(`${rowCount} rows of 16-byte keys and 100-byte values; ${seconds} s a row; node ${process.versions.node}`)
  const chosen = stores.filter(([name]) => options.stores === undefined || options.stores.split(',').includes(name))
  for (const [name, open] of chosen) {
    for (const filled of [false, true]) {
      for (const row of wanted.filter((candidate) => candidate.filled === filled)) {
        if (filled && row !== wanted.find((candidate) => candidate.filled)) continue
        const store = await open(`${data}/${name}`)
        if (filled) {
          // The second pass gives every fourth key a second version.
          const keys = Array.from({ length: rowCount }, (_, n) => keyOf(n))
          await store.load(keys, value)
          await store.load(
            keys.filter((_, n) => n % 4 === 0),
            value,
          )
        }
        for (const part of filled ? wanted.filter((candidate) => candidate.filled) : [row]) {
          const rate = await part.measure(store)
          results.get(part.name)!.set(name, rate)
          say(
            `${part.name.padEnd(12)} ${name.padEnd(14)} ${Math.round(rate).toString().padStart(9)} ${part.unit}   ${store.version}; ${store.durability}; ${store.background()}`,
          )
        }
        await store.close()
        rmSync(`${data}/${name}`, { recursive: true, force: true })
      }
    }
  }
  if (chosen.length < stores.length) return // nothing to compare with
  for (const row of wanted) report(row, results.get(row.name)!, say)
}

function report(row: Row, rates: ReadonlyMap<string, number>, say: (text: string) => void): void {
  const ours = rates.get('latticedb')!
  const [peerName, peer] = [...rates].filter(([name]) => name !== 'latticedb').sort(([, a], [, b]) => b - a)[0]
  const ratio = ours / peer
  if (peer < row.known * 0.8) {
    const text = `WARNING: ${row.name}: the best peer, ${peerName}, reached ${Math.round(peer)} ${row.unit}, below 80 % of its known ${row.known}\n`
    process.stderr.write(text)
  }
  if (options.json) {
    const round = (rate: number) => Math.round(rate)
    const line = {
      bench: 'storage',
      row: row.name,
      ours: round(ours),
      peer: round(peer),
      peerName,
      ratio,
      unit: row.unit,
    }
    process.stdout.write(`${JSON.stringify({ ...line, ratio: Number(ratio.toFixed(3)) })}\n`)
  } else {
    const verdict = ratio >= row.target ? 'ok' : 'BELOW TARGET'
    say(`${row.name.padEnd(12)} ${ratio.toFixed(2)}x of ${peerName} (at least ${row.target}x): ${verdict}`)
  }
}

/** Runs this program again with the threads and the cores that the peers are measured with. */
function restart(): number {
  if (!existsSync(`${here}/node_modules`)) {
    const installed = spawnSync('npm', ['install', '--no-audit', '--no-fund'], { cwd: here, stdio: ['ignore', 2, 2] })
    if (installed.status !== 0) return installed.status ?? 1
  }
  const env = { ...process.env, UV_THREADPOOL_SIZE: '64' }
  const command = [process.execPath, ...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2)]
  const pin = process.platform === 'linux' && availableParallelism() > 2 ? ['taskset', '-c', '0,1'] : []
  const [program, ...args] = [...pin, ...command]
  return spawnSync(program, args, { env, stdio: 'inherit' }).status ?? 1
}

if (process.env.UV_THREADPOOL_SIZE !== '64') process.exitCode = restart()
else {
  mkdirSync(data, { recursive: true })
  await main()
}
