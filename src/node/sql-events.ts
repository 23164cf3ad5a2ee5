/**
 * The node's event databases as SQL asks for them, opened when first asked for.
 *
 * Not here: tables (sql/local), the databases (event-databases.ts).
 */
import type { Io } from '../io/index.ts'
import type { LocalStore, SqlEvents } from '../sql/index.ts'
import { checkName } from '../wire/http/event-databases.ts'
import type { NodeEventDatabases } from './event-databases.ts'
import type { OpenedStore } from './store.ts'

export class NodeSqlEvents implements SqlEvents {
  readonly #io: Io
  readonly #opened: OpenedStore
  #databases: Promise<NodeEventDatabases> | undefined

  constructor(io: Io, opened: OpenedStore) {
    this.#io = io
    this.#opened = opened
  }

  databases(): Promise<NodeEventDatabases> {
    this.#databases ??= import('./event-databases.ts').then((m) => m.openEventDatabases(this.#io, this.#opened))
    return this.#databases
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
    await (await this.#databases?.catch(() => undefined))?.close()
  }
}
