/**
 * What must be true of all stores together: which events were acknowledged and must be somewhere for ever, which values
 * anybody ever wrote, what was erased.
 *
 * Not here: one store's own promises (feed-reader.ts).
 */
import type { EventStore, StoredEvent } from '../../../src/model/events/index.ts'

const decoder = new TextDecoder()

export const valueText = (event: StoredEvent): string => `${event.contentType} ${decoder.decode(event.value)}`

/** All of an event but where this store received it. */
export function signature({ position: _, value, ...rest }: StoredEvent): string {
  return JSON.stringify([rest, decoder.decode(value)])
}

export async function contents(store: EventStore): Promise<Map<string, StoredEvent>> {
  const all = new Map<string, StoredEvent>()
  for (let afterKey: string | undefined; ; ) {
    const page = await store.range({ limit: 1_000_000, afterKey })
    for (const event of page.events) all.set(event.key, event)
    if (page.afterKey === undefined) return all
    afterKey = page.afterKey
  }
}

/** What came for a key beside what stands, by key and in order; what a store refused itself is left out. */
export async function conflicts(store: EventStore): Promise<Map<string, string[]>> {
  const all = new Map<string, string[]>()
  for (let after: string | undefined; ; ) {
    const page = await store.conflicts(1_000_000, after)
    for (const { key, other } of page.conflicts) {
      if (other.sequence > 0) all.set(key, [...(all.get(key) ?? []), signature(other)])
    }
    if (page.after === undefined) return all
    after = page.after
  }
}

export class Model {
  /** Every value that somebody tried to write, by key; a key is known before its append is acknowledged or in vain. */
  readonly #written = new Map<string, Set<string>>()
  /** Values that came without a key and whose append was never answered. */
  readonly #unanswered = new Set<string>()
  readonly #acknowledged = new Set<string>()
  readonly #erasedByAnyone = new Set<string>()
  readonly #erased = new Set<string>()

  get events(): number {
    return this.#acknowledged.size
  }

  /** Keys that have been used. */
  get keys(): string[] {
    return [...this.#acknowledged]
  }

  trying(value: string, key: string | undefined): void {
    if (key === undefined) this.#unanswered.add(value)
    else this.#valuesOf(key).add(value)
  }

  acknowledge(key: string, value: string): void {
    this.#unanswered.delete(value)
    this.#valuesOf(key).add(value)
    this.#acknowledged.add(key)
  }

  tryingToErase(keys: readonly string[]): void {
    for (const key of keys) this.#erasedByAnyone.add(key)
  }

  erased(keys: readonly string[]): void {
    for (const key of keys) {
      this.#erased.add(key)
      this.#acknowledged.add(key)
    }
  }

  /** A store loses what it had, and nobody else has it: nothing more is owed for that. */
  async forget(
    before: ReadonlyMap<string, StoredEvent>,
    everywhere: readonly ReadonlyMap<string, StoredEvent>[],
  ): Promise<void> {
    for (const key of before.keys()) {
      if (!everywhere.some((c) => c.has(key))) this.#acknowledged.delete(key)
      if (!everywhere.some((c) => c.get(key)?.redacted)) this.#erased.delete(key)
    }
  }

  /** What is wrong with a store that has everything. */
  check(all: ReadonlyMap<string, StoredEvent>): string[] {
    const wrong: string[] = []
    for (const key of this.#acknowledged) if (!all.has(key)) wrong.push(`lost: ${key} was acknowledged and is nowhere`)
    for (const key of this.#erased)
      if (all.get(key)?.redacted === false) wrong.push(`lost: ${key} was erased and is back`)
    for (const event of all.values()) {
      const { key, redacted } = event
      if (redacted && !this.#erasedByAnyone.has(key)) wrong.push(`invented: nobody erased ${key}`)
      if (redacted) continue
      const known = this.#written.get(key)?.has(valueText(event)) || this.#unanswered.has(valueText(event))
      if (!known) wrong.push(`invented: nobody wrote ${valueText(event)} as ${key}`)
    }
    return wrong
  }

  #valuesOf(key: string): Set<string> {
    let values = this.#written.get(key)
    if (values === undefined) this.#written.set(key, (values = new Set()))
    return values
  }
}
