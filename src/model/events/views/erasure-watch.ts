/**
 * Looks after a build that does not follow its stores: of a view that stopped, of a version that answers while the next one
 * is made, of a view whose code nobody has given. What is erased in a store cannot be folded out of it, for that takes the
 * view's code; so whoever keeps such a build gives it up when something that it was made of is erased.
 *
 * Not here: giving up (running-view.ts, views.ts).
 */
import type { EventStore } from '../event-store.ts'
import type { BuildSpace } from './build-space.ts'
import { eventOf } from './space-keys.ts'

const page = 1_000

export class ErasureWatch {
  readonly space: BuildSpace
  readonly #stores: readonly EventStore[]
  /** Of each store, up to where it was looked at. */
  #seen: number[] | undefined
  /** The newest event of a build that has no list of its events: any before it may be in it. */
  #newest = ''

  /** @param stores those that the build may be of; others of them are not looked at. */
  constructor(space: BuildSpace, stores: readonly EventStore[]) {
    this.space = space
    this.#stores = stores
  }

  /** Whether something that the build was made of has been erased. Costs reading what was received since it was asked last. */
  async concerned(): Promise<boolean> {
    const seen = (this.#seen ??= await this.#begin())
    for (const [i, store] of this.#stores.entries()) {
      while (seen[i] < store.position) {
        const { events, next } = await store.changes(seen[i], page)
        if (events.length === 0) break
        for (const { key, redacted } of events) if (redacted && (await this.#has(key))) return true
        seen[i] = next
      }
    }
    return false
  }

  async #begin(): Promise<number[]> {
    const progress = await this.space.progress()
    this.#newest = progress === undefined || (await this.space.listsEvents()) ? '' : eventOf(progress.tip)
    return this.#stores.map(({ identity, position }) => {
      const own = progress?.stores.find(({ store }) => store === identity.store)
      if (own === undefined) return position
      // Positions of another life say nothing of this one.
      return own.incarnation === identity.incarnation && own.position <= position ? own.position : 0
    })
  }

  async #has(key: string): Promise<boolean> {
    return key <= this.#newest || (await this.space.hasEvent(key))
  }
}
