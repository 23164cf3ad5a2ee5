/**
 * The node's event databases as SQL asks for them, opened when first asked for. On a node of a cluster they are opened as
 * soon as there are any, here or at another node, and kept alike.
 *
 * Not here: tables (sql/local), the databases (event-databases.ts), keeping them alike (event-mesh.ts).
 */
import type { Io } from '../io/index.ts'
import type { LocalStore, SqlEvents } from '../sql/index.ts'
import { checkName } from '../wire/http/event-databases.ts'
import type { OpenedCluster } from './cluster.ts'
import type { NodeEventDatabases } from './event-databases.ts'
import type { EventMesh } from './event-mesh.ts'
import type { OpenedStore } from './store.ts'

/** The stream of the log that all event databases of a node share: replicas have higher numbers, the node itself has 1. */
export const eventStream = 2
/** Before the names of event databases in what the cluster's nodes tell each other. */
export const eventTopic = 'events '

export class NodeSqlEvents implements SqlEvents {
  readonly #io: Io
  readonly #opened: OpenedStore
  readonly #cluster: OpenedCluster | undefined
  #databases: Promise<NodeEventDatabases> | undefined
  #mesh: EventMesh | undefined
  #closed = false

  constructor(io: Io, opened: OpenedStore, cluster?: OpenedCluster) {
    this.#io = io
    this.#opened = opened
    this.#cluster = cluster
    const { log, engine } = opened
    const last = log?.lastIndex(eventStream) ?? 0
    // Whether anybody asks for them or not: the log has to get rid of what is not in tables yet.
    if (last > engine.applied(eventStream)) this.#wake()
    if (cluster === undefined) return
    const { membership } = cluster
    membership.onInfo(({ key }) => {
      if (key.startsWith(eventTopic)) this.#wake()
    })
    if (engine.applied(eventStream) > 0 || membership.infoEntries(eventTopic).length > 0) this.#wake()
  }

  #wake(): void {
    if (this.#databases !== undefined || this.#closed) return
    this.databases().catch((error) => this.#io.fatal('the event databases could not be opened', error))
  }

  databases(): Promise<NodeEventDatabases> {
    this.#databases ??= this.#open()
    return this.#databases
  }

  async #open(): Promise<NodeEventDatabases> {
    const { openEventDatabases } = await import('./event-databases.ts')
    const databases = await openEventDatabases(this.#io, this.#opened)
    if (this.#cluster === undefined) return databases
    const { EventMesh } = await import('./event-mesh.ts')
    if (!this.#closed) this.#mesh = new EventMesh(databases, this.#cluster)
    return databases
  }

  checkName(name: string): void {
    checkName(name)
  }

  async open(name: string): Promise<LocalStore> {
    const databases = await this.databases()
    const there = await databases.open(name)
    if (there !== undefined) return there
    await databases.create(name, {})
    return (await databases.open(name))!
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#mesh?.stop()
    await (await this.#databases?.catch(() => undefined))?.close()
  }
}
