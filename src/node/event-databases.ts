/**
 * The event databases of a node: a register of names and settings, and a store for each that is opened when somebody asks.
 *
 *   register   name → {"schema": …}
 *   store      one space for each name
 *
 * Not here: routes (wire/http), where spaces are kept (the caller's `openMap`).
 */
import type { Clock, Io, Random } from '../io/index.ts'
import { type EventStore, memoryMap, type OrderedMap, openEventStore } from '../model/events/index.ts'
import { compileJsonSchema, type JsonSchema } from '../model/events/typed-schema.ts'
import type { DatabaseSettings, EventDatabase, EventDatabases } from '../wire/index.ts'
import type { OpenedStore } from './store.ts'

export interface EventDatabasesOptions {
  readonly clock: Clock
  readonly random: Random
  /** The space of that name; the same name gives the same bytes, also after a restart. */
  readonly openMap: (space: string) => Promise<OrderedMap>
}

interface OpenedDatabase extends EventDatabase {
  readonly store: EventStore
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
/** Above every name, which is ASCII. */
const end = new Uint8Array([255])

export class NodeEventDatabases implements EventDatabases {
  readonly #options: EventDatabasesOptions
  readonly #register: OrderedMap
  readonly #settings: Map<string, DatabaseSettings>
  readonly #opened = new Map<string, Promise<OpenedDatabase>>()

  private constructor(options: EventDatabasesOptions, register: OrderedMap, settings: Map<string, DatabaseSettings>) {
    this.#options = options
    this.#register = register
    this.#settings = settings
  }

  static async open(options: EventDatabasesOptions): Promise<NodeEventDatabases> {
    const register = await options.openMap('register')
    const entries = await register.scan({ from: new Uint8Array(0), to: end, limit: Number.MAX_SAFE_INTEGER })
    const settings = entries.map(({ key, value }) => [decoder.decode(key), JSON.parse(decoder.decode(value))] as const)
    return new NodeEventDatabases(options, register, new Map(settings))
  }

  async list(): Promise<string[]> {
    return [...this.#settings.keys()].sort()
  }

  async create(name: string, settings: DatabaseSettings): Promise<boolean> {
    const present = this.#settings.get(name)
    if (present !== undefined && settings.schema === undefined) return false
    if (settings.schema !== undefined) await compileJsonSchema(settings.schema as JsonSchema)
    await this.#register.write([{ key: encoder.encode(name), value: encoder.encode(JSON.stringify(settings)) }])
    const isNew = !this.#settings.has(name)
    this.#settings.set(name, settings)
    const opened = this.#opened.get(name)
    if (opened !== undefined)
      this.#opened.set(
        name,
        opened.then(({ store }) => withCheck(store, settings)),
      )
    return isNew
  }

  async open(name: string): Promise<EventDatabase | undefined> {
    const settings = this.#settings.get(name)
    if (settings === undefined) return undefined
    let opened = this.#opened.get(name)
    if (opened === undefined) {
      opened = this.#open(name, settings)
      this.#opened.set(name, opened)
      opened.catch(() => this.#opened.delete(name))
    }
    return opened
  }

  async #open(name: string, settings: DatabaseSettings): Promise<OpenedDatabase> {
    const { clock, random, openMap } = this.#options
    const map = await openMap(`events/${name}`)
    return withCheck(await openEventStore({ name, map, clock, random }), settings)
  }

  async close(): Promise<void> {
    for (const opened of this.#opened.values()) {
      const database = await opened.catch(() => undefined)
      await database?.store.close()
    }
    await this.#register.close()
  }
}

async function withCheck(store: EventStore, settings: DatabaseSettings): Promise<OpenedDatabase> {
  if (settings.schema === undefined) return { store, settings }
  const check = await compileJsonSchema(settings.schema as JsonSchema)
  return { store, settings, check: (value) => void check(value) }
}

/** Those of a node. */
export function openEventDatabases(io: Io, _opened: OpenedStore): Promise<NodeEventDatabases> {
  return NodeEventDatabases.open({ clock: io.clock, random: io.random, openMap: async () => memoryMap() })
}
