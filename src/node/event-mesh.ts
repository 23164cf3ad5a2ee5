/**
 * The event databases of a cluster's nodes meet by themselves: what one node has registered all have, and the stores of a
 * name exchange what they got, pair by pair, over the connections between nodes.
 *
 *   append at A ─► A's store tells ─► soon: A syncs with every node that is there     and every few seconds, whatever is said
 *   create at A ─► gossip "events NAME" ─► created at B, C            the same of views by definition: "view NAME/VIEW"
 *
 * Each node has all events of its own: a node that is alone, or cut off, goes on reading and appending.
 *
 * Not here: the exchange (model/events/sync.ts), stores outside of the cluster (event-links.ts).
 */
import { DbError, type ErrorCode } from '../base/index.ts'
import { serviceEvents } from '../cluster/index.ts'
import { ByteReader, ByteWriter } from '../encoding/index.ts'
import type { Timer } from '../io/index.ts'
import { answerSync, type SyncStore, syncWith } from '../model/events/index.ts'
import { viewFromDefinition } from '../model/events/views/index.ts'
import type { OpenedCluster } from './cluster.ts'
import type { NodeEventDatabases } from './event-databases.ts'
import { eventTopic } from './sql-events.ts'

const viewTopic = 'view '
/** Of what is told again after a restart: all that was told since is newer. */
const oldestVersion = 1
/** Appends that follow each other closely travel together. */
const gatherMs = 10
/** Between looks at whether something was missed. */
const sweepMs = 3_000
const requestMs = 10_000

interface Meeting {
  running: boolean
  /** Something was received since the last one began. */
  due: boolean
}

export class EventMesh {
  readonly #databases: NodeEventDatabases
  readonly #opened: OpenedCluster
  /** By name, then by node. */
  readonly #meetings = new Map<string, Map<number, Meeting>>()
  readonly #abort = new AbortController()
  #sweep: Timer | undefined

  constructor(databases: NodeEventDatabases, opened: OpenedCluster) {
    this.#databases = databases
    this.#opened = opened
    const { transport, membership } = opened
    transport.onRequest(serviceEvents, (_from, body) => this.#answer(body))
    membership.onInfo(({ key, value }) => {
      if (key.startsWith(eventTopic)) this.#learn(key.slice(eventTopic.length), value)
      else if (key.startsWith(viewTopic)) this.#learnView(key, value)
    })
    for (const { key, value } of membership.infoEntries(eventTopic)) this.#learn(key.slice(eventTopic.length), value)
    databases.onRegistered = (name, settings) => this.#registered(name, settings)
    databases.onView = (name, view, definition) => {
      const value = definition === undefined ? null : JSON.stringify(definition)
      if (!this.#stopped) membership.publish(`${viewTopic}${name}/${view}`, value)
    }
    for (const [name, settings] of databases.registered()) this.#registered(name, settings)
    this.#later()
  }

  stop(): void {
    this.#abort.abort()
    this.#sweep?.cancel()
  }

  get #stopped(): boolean {
    return this.#abort.signal.aborted || this.#opened.store.io.dead
  }

  async #answer(body: Uint8Array): Promise<Uint8Array> {
    const read = new ByteReader(body)
    const name = read.text()
    const database = await this.#databases.open(name)
    if (database === undefined)
      throw new DbError('invalid_catalog_name', `this node has no event database "${name}" yet`)
    return answerSync(database.store, read.rest())
  }

  // ---- which there are

  #learn(name: string, value: unknown): void {
    if (typeof value !== 'string') return
    this.#inBackground(async () => {
      const schema = (JSON.parse(value) as { schema?: object }).schema
      const known = this.#databases.registered().get(name)
      if (known !== undefined && JSON.stringify(known.schema) === JSON.stringify(schema)) return
      await this.#databases.create(name, { schema })
    })
  }

  #registered(name: string, { schema }: { readonly schema?: object }): void {
    if (this.#stopped) return
    const { membership } = this.#opened
    const value = JSON.stringify({ schema })
    if (membership.info(eventTopic + name) !== value) membership.publish(eventTopic + name, value)
    if (this.#meetings.has(name)) return
    const meetings = new Map<number, Meeting>()
    this.#meetings.set(name, meetings)
    this.#inBackground(async () => {
      const database = await this.#databases.open(name)
      if (database === undefined || this.#stopped) return
      for (const { key, value } of membership.infoEntries(`${viewTopic}${name}/`)) this.#learnView(key, value)
      for (const [view, definition] of database.views.definitions()) {
        const key = `${viewTopic}${name}/${view}`
        if (membership.info(key) === undefined) membership.publish(key, JSON.stringify(definition), oldestVersion)
      }
      database.store.subscribe(() => this.#meetAll(name, database.store, meetings))
      this.#meetAll(name, database.store, meetings)
    })
  }

  /** A view of the newest version that is known is had by all; one that was removed anywhere, by none. */
  #learnView(key: string, value: unknown): void {
    const [name, view] = key.slice(viewTopic.length).split('/')
    this.#inBackground(async () => {
      const views = (await this.#databases.open(name))?.views
      if (views === undefined) return
      const known = views.definitions().get(view) as { readonly version: number } | undefined
      if (value === null && known !== undefined) await views.remove(view)
      if (typeof value !== 'string') return
      const definition = JSON.parse(value) as { readonly version: number }
      if (known === undefined || known.version < definition.version) await views.add(viewFromDefinition(definition))
    })
  }

  // ---- meeting

  #later(): void {
    this.#sweep = this.#opened.store.io.tasks.after(sweepMs, () => {
      if (this.#stopped) return
      for (const [name, meetings] of this.#meetings) {
        this.#inBackground(async () => {
          const database = await this.#databases.open(name)
          if (database !== undefined) this.#meetAll(name, database.store, meetings)
        })
      }
      this.#later()
    })
  }

  #meetAll(name: string, store: SyncStore, meetings: Map<number, Meeting>): void {
    if (this.#stopped) return
    for (const node of this.#opened.host.peers()) {
      let meeting = meetings.get(node)
      if (meeting === undefined) meetings.set(node, (meeting = { running: false, due: false }))
      meeting.due = true
      if (!meeting.running) this.#inBackground(() => this.#meet(name, store, node, meeting))
    }
  }

  async #meet(name: string, store: SyncStore, node: number, meeting: Meeting): Promise<void> {
    const { transport, store: rows } = this.#opened
    meeting.running = true
    try {
      while (meeting.due && !this.#stopped) {
        await new Promise<void>((done) => rows.io.tasks.after(gatherMs, done))
        meeting.due = false
        const exchange = (request: Uint8Array) => {
          const out = new ByteWriter(request.length + name.length + 8)
          out.text(name)
          out.raw(request)
          return transport.request(node, serviceEvents, out.copy(), requestMs)
        }
        await syncWith(store, exchange, { signal: this.#abort.signal })
      }
    } finally {
      meeting.running = false
    }
  }

  /** What fails because a node or a store is not there is tried again with the next sweep. */
  #inBackground(work: () => Promise<void>): void {
    work().catch((error) => {
      if (this.#stopped) return
      const { io } = this.#opened.store
      if (!(error instanceof DbError)) return io.fatal('event databases could not be kept alike', error)
      if (!quiet.has(error.code)) io.log.warn('events-not-synced', { error: error.message })
    })
  }
}

const quiet = new Set<ErrorCode>([
  'connection_failure',
  'feature_not_supported',
  'invalid_catalog_name',
  'query_canceled',
  'store_closed',
])
