/**
 * What bench/events.ts measures, behind one small interface: our event store in a directory, an event table in SQLite,
 * PouchDB; and the loopback over which our stores talk.
 *
 * Not here: what is measured, and the report.
 */
import { readFileSync, rmSync } from 'node:fs'
import { createServer, request as httpRequest, type Server } from 'node:http'
import { createRequire } from 'node:module'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { nodeIo } from '../src/io/node/index.ts'
import { openEventDirectory } from '../src/model/events/directory.ts'
import { answerSync, openEventStore, type SyncExchange, type SyncStore } from '../src/model/events/index.ts'
import { formatUlid, UlidSource } from '../src/replication/sync/index.ts'

const peers = createRequire(new URL('./package.json', import.meta.url))

export function versionOf(name: string): string {
  const path = new URL(`./node_modules/${name}/package.json`, import.meta.url)
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
}

export interface EventTable {
  readonly name: string
  readonly version: string
  /** How an append is made durable. */
  readonly durability: string
  append(values: readonly Uint8Array[]): Promise<void>
  close(): Promise<void>
}

export interface Ours extends EventTable {
  readonly store: SyncStore
}

export async function openOurs(directory: string): Promise<Ours> {
  rmSync(directory, { recursive: true, force: true })
  return reopenOurs(directory)
}

export async function reopenOurs(directory: string): Promise<Ours> {
  const io = nodeIo({ logLevel: 'warn' })
  const place = await openEventDirectory(io, directory)
  const map = await place.openMap('events')
  const store = await openEventStore({ name: 'bench', map, clock: io.clock, random: io.random })
  return {
    name: 'latticedb',
    version: `node ${process.versions.node}`,
    durability: 'one write with O_DSYNC a group of appends',
    store,
    append: async (values) => {
      await store.append(values.map((value) => ({ value, contentType: 'application/json' })))
    },
    close: async () => {
      await store.close()
      await place.close()
    },
  }
}

/** Keys as ours, so that all tables have the same to index. */
function keySource(): () => Uint8Array {
  const io = nodeIo({ logLevel: 'warn' })
  const source = new UlidSource(io.random)
  return () => {
    const key = new Uint8Array(16)
    source.now(Math.floor(io.clock.wallMicros() / 1000), key, 0)
    return key
  }
}

export async function openSqlite(directory: string, journal: 'wal' | 'delete'): Promise<EventTable> {
  rmSync(`${directory}.db`, { force: true })
  rmSync(`${directory}.db-wal`, { force: true })
  const Database = peers('better-sqlite3') as any
  const db = new Database(`${directory}.db`)
  db.pragma(`journal_mode = ${journal}`)
  db.pragma('synchronous = FULL')
  db.exec(
    'CREATE TABLE events (position INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, type TEXT NOT NULL, value BLOB NOT NULL)',
  )
  const insert = db.prepare('INSERT INTO events (key, type, value) VALUES (?, ?, ?)')
  const nextKey = keySource()
  const all = db.transaction((values: readonly Uint8Array[]) => {
    for (const value of values) insert.run(nextKey(), 'application/json', value)
  })
  return {
    name: `SQLite ${journal}`,
    version: `better-sqlite3 ${versionOf('better-sqlite3')}`,
    durability: `synchronous=FULL, journal_mode=${journal}: a sync for each transaction`,
    append: async (values) => all(values),
    close: async () => db.close(),
  }
}

export interface Pouch extends EventTable {
  readonly db: any
}

export async function openPouch(directory: string): Promise<Pouch> {
  rmSync(directory, { recursive: true, force: true })
  const PouchDB = peers('pouchdb') as any
  const db = new PouchDB(directory)
  const nextKey = keySource()
  const decoder = new TextDecoder()
  return {
    name: 'PouchDB',
    version: `pouchdb ${versionOf('pouchdb')}, leveldb adapter`,
    durability: 'not synced',
    db,
    append: async (values) => {
      await db.bulkDocs(values.map((v) => ({ _id: formatUlid(nextKey()), value: JSON.parse(decoder.decode(v)) })))
    },
    close: () => db.close(),
  }
}

/** A store behind HTTP on the loopback, and a proxy before it that counts what passes. */
export interface Loopback {
  readonly exchange: SyncExchange
  bytes: number
  close(): Promise<void>
}

export async function serve(store: SyncStore): Promise<Loopback> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', async () => response.end(await answerSync(store, Buffer.concat(chunks))))
  })
  await listening(server)
  const target = (server.address() as AddressInfo).port
  const proxy = createTcpServer((incoming) => {
    const outgoing = connect(target, '127.0.0.1')
    outgoing.setNoDelay(true)
    incoming.setNoDelay(true)
    for (const [from, to] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ]) {
      from.on('data', (chunk) => (loopback.bytes += chunk.length))
      from.on('error', () => to.destroy())
      from.pipe(to)
    }
  })
  await listening(proxy)
  const { port } = proxy.address() as AddressInfo
  const loopback: Loopback = {
    bytes: 0,
    exchange: (body) => post(port, body),
    close: async () => {
      server.closeAllConnections()
      await Promise.all([closed(server), closed(proxy)])
    },
  }
  return loopback
}

function post(port: number, body: Uint8Array): Promise<Uint8Array> {
  return new Promise((done, fail) => {
    const headers = { 'content-type': 'application/octet-stream', 'content-length': body.length }
    const request = httpRequest(
      { port, host: '127.0.0.1', method: 'POST', path: '/db/bench/sync', headers },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('end', () => done(Buffer.concat(chunks)))
        response.on('error', fail)
      },
    )
    request.on('error', fail)
    request.setNoDelay(true)
    request.end(body)
  })
}

const listening = (server: Server | ReturnType<typeof createTcpServer>): Promise<void> =>
  new Promise((done) => server.listen(0, '127.0.0.1', done))
const closed = (server: Server | ReturnType<typeof createTcpServer>): Promise<unknown> =>
  new Promise((done) => server.close(done))
