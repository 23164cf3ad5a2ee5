/**
 * Follows the changes of one store, and holds the feed to its promise: every state of every event once, none left out, no
 * position twice. An event that another value came for comes again as it is, and only such a one.
 *
 * Not here: pages over HTTP.
 */
import type { EventStore } from '../../../src/model/events/index.ts'
import type { SimRandom } from '../../../src/testing/sim-random.ts'
import { conflicts, contents, signature } from './model.ts'

export class FeedReader {
  #identity = ''
  #after = 0
  #latest = new Map<string, string>()
  #positions = new Set<number>()
  pages = 0

  /** The store's past is another one now, as its operator knows. */
  reset(): void {
    this.#identity = ''
  }

  /** Reads some pages, or all there are. Answers what is wrong. */
  async read(store: EventStore, random: SimRandom, pages: number): Promise<string[]> {
    const wrong: string[] = []
    const identity = `${store.identity.store}.${store.identity.incarnation}`
    if (identity !== this.#identity) {
      this.#identity = identity
      this.#after = 0
      this.#latest = new Map()
      this.#positions = new Set()
    }
    for (; pages > 0; pages--) {
      const { events, next } = await store.changes(this.#after, random.between(1, 40))
      if (next === this.#after) break
      this.pages++
      if (next < this.#after) wrong.push(`feed: goes back from ${this.#after} to ${next}`)
      for (const event of events) {
        const { position, key } = event
        if (position <= this.#after || position > next)
          wrong.push(`feed: ${position} is not in (${this.#after}, ${next}]`)
        if (this.#positions.has(position)) wrong.push(`feed: position ${position} comes twice`)
        this.#positions.add(position)
        const now = signature(event)
        const again = this.#latest.get(key) === now && !(await conflicts(store)).has(key)
        if (again) wrong.push(`feed: ${key} comes twice as it is`)
        this.#latest.set(key, now)
      }
      this.#after = next
    }
    return wrong
  }

  /** Reads to the end: what was seen last of each event must be what is there. */
  async finish(store: EventStore, random: SimRandom): Promise<string[]> {
    const wrong = await this.read(store, random, Number.POSITIVE_INFINITY)
    const all = await contents(store)
    for (const [key, event] of all) {
      const seen = this.#latest.get(key)
      if (seen === undefined) wrong.push(`feed: ${key} was skipped`)
      else if (seen !== signature(event))
        wrong.push(`feed: ${key} is ${signature(event)}, and was last seen as ${seen}`)
    }
    for (const key of this.#latest.keys()) if (!all.has(key)) wrong.push(`feed: ${key} is not there`)
    return wrong
  }
}
