/**
 * The event databases of a node: a register of names and settings, and a store with its views for each, opened when
 * somebody asks, or at once when it stays in touch with others.
 *
 *   register      name → {"schema"?, "peers"?: [{"peer", "token"?}]}
 *   events/NAME   the store         views/NAME   what its views keep
 *
 * Not here: routes (wire/http), where spaces are kept (the caller's `openMap`).
 */
import { DbError } from '../base/index.ts'
import type { Io, Timer } from '../io/index.ts'
import { EngineMaps } from '../model/events/engine-map.ts'
import { memoryMap, type OrderedMap, openEventStore, type SyncReport, type SyncStore } from '../model/events/index.ts'
import { compileJsonSchema, type JsonSchema } from '../model/events/typed-schema.ts'
import { openViews } from '../model/events/views/index.ts'
import type { DatabaseSettings, EventDatabase, EventDatabases } from '../wire/index.ts'
import { checkPeer, type LivePorts, meetOnce } from '../wire/sync/index.ts'
import { EventLinks } from './event-links.ts'
import { eventStream } from './sql-events.ts'
import type { OpenedStore } from './store.ts'

export interface EventDatabasesOptions {
  readonly io: Pick<Io, 'clock' | 'random' | 'tasks' | 'log'>
  readonly web: LivePorts['web']
  /** The space of that name; the same name gives the same bytes, also after a restart. */
  readonly openMap: (space: string) => Promise<OrderedMap>
  /** Called at the end. */
  readonly onClose?: () => void
}

interface Peer {
  readonly peer: string
  readonly token?: string
}

export interface Registered extends DatabaseSettings {
  readonly peers?: readonly Peer[]
}

interface Opened {
  readonly database: EventDatabase
  readonly links: EventLinks
}

const housekeepingMs = 5_000
const encoder = new TextEncoder()
const decoder = new TextDecoder()
/** Above every name, which is ASCII. */
const end = new Uint8Array([255])

export class NodeEventDatabases implements EventDatabases {
  readonly #options: EventDatabasesOptions
  readonly #register: OrderedMap
  readonly #registered: Map<string, Registered>
  readonly #opened = new Map<string, Promise<Opened>>()
  /** Told of every name that is registered, or registered with other settings. */
  onRegistered: ((name: string, settings: Registered) => void) | undefined
  /** Told of views that clients have added by definition here, or removed: undefined. */
  onView: ((name: string, view: string, definition: unknown) => void) | undefined
  /** Changes of the register, one after the other. */
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(options: EventDatabasesOptions, register: OrderedMap, registered: Map<string, Registered>) {
    this.#options = options
    this.#register = register
    this.#registered = registered
  }

  static async open(options: EventDatabasesOptions): Promise<NodeEventDatabases> {
    const register = await options.openMap('register')
    const entries = await register.scan({ from: new Uint8Array(0), to: end, limit: Number.MAX_SAFE_INTEGER })
    const registered = entries.map(
      ({ key, value }) => [decoder.decode(key), JSON.parse(decoder.decode(value))] as const,
    )
    const databases = new NodeEventDatabases(options, register, new Map(registered))
    for (const [name, { peers = [] }] of registered) {
      if (peers.length > 0) await databases.#find(name)
    }
    return databases
  }

  registered(): ReadonlyMap<string, Registered> {
    return this.#registered
  }

  async list(): Promise<string[]> {
    return [...this.#registered.keys()].sort()
  }

  create(name: string, { schema }: DatabaseSettings): Promise<boolean> {
    return this.#inTurn(async () => {
      const present = this.#registered.get(name)
      if (present !== undefined && schema === undefined) return false
      if (schema !== undefined) await compileJsonSchema(schema as JsonSchema)
      await this.#write(name, { ...present, schema })
      const opened = this.#opened.get(name)
      if (opened !== undefined)
        this.#opened.set(
          name,
          opened.then((o) => withSchema(o, schema)),
        )
      return present === undefined
    })
  }

  async open(name: string): Promise<EventDatabase | undefined> {
    return (await this.#find(name))?.database
  }

  #find(name: string): Promise<Opened> | undefined {
    const registered = this.#registered.get(name)
    if (registered === undefined) return undefined
    let opened = this.#opened.get(name)
    if (opened === undefined) {
      opened = this.#open(name, registered)
      this.#opened.set(name, opened)
      opened.catch(() => this.#opened.delete(name))
    }
    return opened
  }

  async #open(name: string, { schema, peers = [] }: Registered): Promise<Opened> {
    const { io, web, openMap } = this.#options
    const { clock, random, tasks, log } = io
    const store = await openEventStore({ name, map: await openMap(`events/${name}`), clock, random })
    const views = await openViews({ map: await openMap(`views/${name}`), stores: [store], clock, tasks })
    const links = new EventLinks(store, { web, tasks, random }, log)
    const viewChanged = (view: string) => this.onView?.(name, view, views.definitions().get(view))
    const opened = { database: { store, views, settings: {}, links: () => links.list(), viewChanged }, links }
    const complete = await withSchema(opened, schema)
    for (const { peer, token } of peers) links.join(peer, token)
    return complete
  }

  meet(store: SyncStore, peer: string, options: { token?: string; signal: AbortSignal }): Promise<SyncReport> {
    return meetOnce(store, this.#options.web, peer, options)
  }

  async join(name: string, peer: string, token: string | undefined): Promise<void> {
    checkPeer(peer)
    const opened = await this.#find(name)
    await this.#setPeers(name, (peers) => [...peers.filter((p) => p.peer !== peer), { peer, token }])
    opened?.links.join(peer, token)
  }

  async part(name: string, peer: string): Promise<void> {
    const opened = await this.#find(name)
    await this.#setPeers(name, (peers) => {
      if (peers.some((p) => p.peer === peer)) return peers.filter((p) => p.peer !== peer)
      throw new DbError('undefined_object', `"${name}" does not stay in touch with ${peer.slice(0, 200)}`)
    })
    await opened?.links.part(peer)
  }

  #setPeers(name: string, change: (peers: readonly Peer[]) => readonly Peer[]): Promise<void> {
    return this.#inTurn(async () => {
      const registered = this.#registered.get(name)!
      await this.#write(name, { ...registered, peers: change(registered.peers ?? []) })
    })
  }

  async #write(name: string, registered: Registered): Promise<void> {
    await this.#register.write([{ key: encoder.encode(name), value: encoder.encode(JSON.stringify(registered)) }])
    this.#registered.set(name, registered)
    this.onRegistered?.(name, registered)
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run)
    this.#turn = result.catch(() => {})
    return result
  }

  async close(): Promise<void> {
    this.#options.onClose?.()
    await this.#turn
    for (const opening of this.#opened.values()) {
      const opened = await opening.catch(() => undefined)
      await opened?.links.close()
      await opened?.database.views.close()
      await opened?.database.store.close()
    }
    await this.#register.close()
  }
}

async function withSchema({ database, links }: Opened, schema: object | undefined): Promise<Opened> {
  if (schema === undefined) return { database, links }
  const check = await compileJsonSchema(schema as JsonSchema)
  return { database: { ...database, settings: { schema }, check: (value) => void check(value) }, links }
}

/** Among the machinery's keys that are the node's own (replication/partitions/descriptor.ts). */
const prefix = Uint8Array.of(0, 0, 0, 0, 2)

/** Those of a node: durable where its storage is. */
export async function openEventDatabases(io: Io, { log, engine }: OpenedStore): Promise<NodeEventDatabases> {
  const { web } = await import('../io/browser/index.ts')
  const maps = log && (await EngineMaps.open({ log, engine, stream: eventStream, prefix, tasks: io.tasks }))
  const openMap = async (space: string) => maps?.map(space) ?? memoryMap()
  let housekeeping: Timer | undefined
  const keepHouse = () => {
    maps!.reclaim()
    housekeeping = io.tasks.after(housekeepingMs, keepHouse)
  }
  if (maps !== undefined) keepHouse()
  return NodeEventDatabases.open({ io, web, openMap, onClose: () => housekeeping?.cancel() })
}
