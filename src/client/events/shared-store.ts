/**
 * An event store as it is seen from any tab that shares it: what it is comes as news, what it does is asked of the tab that
 * has it.
 *
 * Events get their keys here, before they are asked to be appended: so asking again is safe when nobody answered.
 *
 * Not here: who is asked (shared-events.ts).
 */
import type { Clock, Random } from '../../io/index.ts'
import type {
  ChangesPage,
  ConflictsPage,
  EventStore,
  NewEvent,
  PeerStatus,
  RangePage,
  StoredEvent,
  StoreIdentity,
} from '../../model/events/index.ts'
import { formatUlid, ulidBytes } from '../../replication/sync/ulid.ts'
import { UlidSource } from '../../replication/sync/ulid-source.ts'
import type { Calls, News } from './tab-messages.ts'

/** The store as it is seen from any tab. */
export class SharedStore implements EventStore {
  readonly name: string
  readonly #clock: Clock
  readonly #keys: UlidSource
  readonly #call: (call: keyof Calls, args: unknown[]) => Promise<any>
  readonly #listeners = new Set<() => void>()
  #news: News | undefined

  constructor(
    name: string,
    { clock, random }: { readonly clock: Clock; readonly random: Random },
    call: (call: keyof Calls, args: unknown[]) => Promise<any>,
  ) {
    this.name = name
    this.#clock = clock
    this.#keys = new UlidSource(random)
    this.#call = call
  }

  hear(news: News): void {
    const last = this.#news
    // Answers may overtake one another; positions only grow within an incarnation.
    if (last?.identity.incarnation === news.identity.incarnation && last.position > news.position) return
    this.#news = news
    if (last?.position !== news.position || last.count !== news.count)
      for (const listener of [...this.#listeners]) listener()
  }

  get identity(): StoreIdentity {
    return this.#news!.identity
  }

  get position(): number {
    return this.#news!.position
  }

  get count(): number {
    return this.#news!.count
  }

  peers(): PeerStatus[] {
    return [...this.#news!.peers]
  }

  append(events: readonly NewEvent[]): Promise<string[]> {
    return this.#call('append', [events.map((event) => (event.key === undefined ? this.#withKey(event) : event))])
  }

  #withKey(event: NewEvent): NewEvent {
    const bytes = new Uint8Array(ulidBytes)
    if (event.atMs !== undefined) this.#keys.past(event.atMs, bytes, 0)
    else this.#keys.now(Math.floor(this.#clock.wallMicros() / 1000), bytes, 0)
    return { ...event, key: formatUlid(bytes) }
  }

  redact(keys: readonly string[]): Promise<void> {
    return this.#call('redact', [keys])
  }

  get(keys: readonly string[], maxBytes?: number): Promise<(StoredEvent | undefined)[]> {
    return this.#call('get', [keys, maxBytes])
  }

  changes(after: number, limit: number): Promise<ChangesPage> {
    return this.#call('changes', [after, limit])
  }

  range(options: Parameters<EventStore['range']>[0]): Promise<RangePage> {
    return this.#call('range', [options])
  }

  conflicts(limit: number, after?: string): Promise<ConflictsPage> {
    return this.#call('conflicts', [limit, after])
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  renewIncarnation(): Promise<void> {
    return this.#call('renewIncarnation', [])
  }

  /** Closed with what it belongs to. */
  async close(): Promise<void> {}
}
