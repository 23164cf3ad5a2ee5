/**
 * What stands behind an `EventStore` of a program: the store itself, or the one that another tab of the same origin has
 * open (shared-events.ts).
 *
 * Not here: values and types (event-store.ts).
 */
import type { EventStore, OrderedMap, SyncReport, SyncStore } from '../../model/events/index.ts'
import { type LiveOptions, type LivePorts, type MeetingOptions, meetOnce, stayInTouch } from '../../wire/sync/index.ts'

export interface OpenedEvents {
  readonly store: EventStore
  /** Meets another store once. */
  meet(url: string, options: MeetingOptions): Promise<SyncReport>
  /** Stays in touch with another one until the signal is given. */
  stayInTouch(url: string, options: LiveOptions): Promise<void>
  /** Where views keep what they know. */
  openViewsMap(): Promise<OrderedMap>
  close(): Promise<void>
}

/** A store of this process's own. */
export class OwnEvents implements OpenedEvents {
  readonly store: SyncStore
  readonly openViewsMap: () => Promise<OrderedMap>
  readonly #ports: LivePorts
  readonly #onClose: () => Promise<void>

  constructor(
    store: SyncStore,
    ports: LivePorts,
    openViewsMap: () => Promise<OrderedMap>,
    onClose: () => Promise<void> = async () => {},
  ) {
    this.store = store
    this.openViewsMap = openViewsMap
    this.#ports = ports
    this.#onClose = onClose
  }

  meet(url: string, options: MeetingOptions): Promise<SyncReport> {
    return meetOnce(this.store, this.#ports.web, url, options)
  }

  stayInTouch(url: string, options: LiveOptions): Promise<void> {
    return stayInTouch(this.store, this.#ports, url, options)
  }

  async close(): Promise<void> {
    await this.store.close()
    await this.#onClose()
  }
}
