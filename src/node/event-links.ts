/**
 * The stores elsewhere that a node's store stays in touch with.
 *
 * Not here: which these are after a restart (event-databases.ts), what is said (wire/sync).
 */
import { DbError } from '../base/index.ts'
import type { Log } from '../io/index.ts'
import type { SyncStore } from '../model/events/index.ts'
import type { EventLink } from '../wire/index.ts'
import { type LivePorts, type LiveStatus, stayInTouch } from '../wire/sync/index.ts'

interface Link {
  readonly controller: AbortController
  readonly ended: Promise<void>
  status: LiveStatus
}

export class EventLinks {
  readonly #store: SyncStore
  readonly #ports: LivePorts
  readonly #log: Log
  readonly #links = new Map<string, Link>()

  constructor(store: SyncStore, ports: LivePorts, log: Log) {
    this.#store = store
    this.#ports = ports
    this.#log = log
  }

  list(): EventLink[] {
    return [...this.#links].map(([peer, { status }]) => ({ peer, state: status.state, error: status.error?.message }))
  }

  /** Goes on until `part`, whatever happens; with another token it begins anew. */
  join(peer: string, token: string | undefined): void {
    this.#links.get(peer)?.controller.abort()
    const controller = new AbortController()
    const onStatus = (status: LiveStatus) => {
      if (status.state !== link.status.state) {
        this.#log.info('event-link', {
          store: this.#store.name,
          peer,
          state: status.state,
          error: status.error?.message,
        })
      }
      link.status = status
    }
    const failed = (cause: unknown) => {
      const error = cause instanceof DbError ? cause : new DbError('internal_error', 'the sync failed', { cause })
      this.#log.error('event-link-ended', { store: this.#store.name, peer, error: error.message })
      link.status = { state: 'offline', error }
    }
    const { signal } = controller
    const link: Link = { controller, status: { state: 'connecting' }, ended: Promise.resolve() }
    this.#links.set(peer, link)
    Object.assign(link, {
      ended: stayInTouch(this.#store, this.#ports, peer, { token, signal, onStatus }).catch(failed),
    })
  }

  async part(peer: string): Promise<void> {
    const link = this.#links.get(peer)
    this.#links.delete(peer)
    link?.controller.abort()
    await link?.ended
  }

  async close(): Promise<void> {
    for (const peer of [...this.#links.keys()]) await this.part(peer)
  }
}
