/**
 * One store for all tabs of an origin. A store's counters are in memory, so only one tab may have it open: the one that
 * holds a lock. The others ask that one, and when it goes, one of them takes the lock and the store over.
 *
 *   tab 1  ── lock ──► store ─► IndexedDB
 *     ▲ calls, answers, news         over a BroadcastChannel
 *   tab 2, 3 …  waiting for the lock
 *
 * What was asked of a tab that went away is asked again of its successor. That is safe: the same key with the same value is
 * appended once.
 *
 * Not here: locks and channels (io/browser/tabs.ts), what is said (tab-messages.ts), the store (model/events).
 */
import { DbError } from '../../base/index.ts'
import type { TabChannel, Tabs } from '../../io/browser/index.ts'
import type { Clock, Random } from '../../io/index.ts'
import { memoryMap, type OrderedMap, type SyncReport } from '../../model/events/index.ts'
import type { LiveOptions, LiveStatus, MeetingOptions } from '../../wire/sync/index.ts'
import type { OpenedEvents } from './opened-events.ts'
import { SharedStore } from './shared-store.ts'
import { type Calls, errorOf, failureOf, type News, newsOf, type TabMessage } from './tab-messages.ts'

export interface SharedEventsOptions {
  readonly name: string
  readonly tabs: Tabs
  readonly ports: { readonly clock: Clock; readonly random: Random }
  /** Opens the store; called in the tab that holds the lock. */
  readonly openOwn: () => Promise<OpenedEvents>
}

interface Pending {
  readonly call: keyof Calls
  readonly args: unknown[]
  readonly resolve: (result: any) => void
  readonly reject: (error: unknown) => void
}

interface LiveCall {
  readonly url: string
  readonly token: string | undefined
  readonly onStatus: (status: LiveStatus) => void
}

/** Resolves when this tab has the store open, or hears from the one that has. */
export async function openSharedEvents(options: SharedEventsOptions): Promise<OpenedEvents> {
  const shared = new SharedEvents(options)
  await shared.ready
  return shared
}

class SharedEvents implements OpenedEvents {
  readonly store: SharedStore
  readonly ready: Promise<void>
  readonly #options: SharedEventsOptions
  readonly #tab: string
  readonly #channel: TabChannel
  readonly #closing = new AbortController()
  readonly #pending = new Map<number, Pending>()
  readonly #lives = new Map<string, LiveCall>()
  /** Those that this tab runs, for itself and for others. */
  readonly #running = new Map<string, { readonly controller: AbortController; readonly ended: Promise<void> }>()
  #leader: string | undefined
  readonly #readiness = Promise.withResolvers<void>()
  #lastId = 0
  #own: OpenedEvents | undefined
  #release: (() => void) | undefined
  #taking: Promise<void>

  constructor(options: SharedEventsOptions) {
    this.#options = options
    const { name, tabs, ports } = options
    this.#tab = Array.from(ports.random.bytes(8), (b) => b.toString(16).padStart(2, '0')).join('')
    this.store = new SharedStore(name, ports, (call, args) => this.#call(call, args))
    this.ready = this.#readiness.promise
    this.#channel = tabs.channel(`latticedb/${name}`, (message: TabMessage) => this.#receive(message))
    this.#taking = this.#takeOver()
    this.#channel.post({ kind: 'hello' } satisfies TabMessage)
  }

  /** Waits for the lock, for as long as another tab lives. */
  async #takeOver(): Promise<void> {
    const { name, tabs, openOwn } = this.#options
    try {
      const release = await tabs.lock(`latticedb/${name}`, this.#closing.signal)
      this.#release = release
      const own = await openOwn()
      this.#own = own
      this.#leader = this.#tab
      own.store.subscribe(() => this.#tell())
      this.#tell()
      this.#readiness.resolve()
      for (const [id, pending] of [...this.#pending]) this.#runPending(id, pending)
    } catch (error) {
      this.#release?.()
      this.#readiness.reject(error)
      for (const { reject } of this.#pending.values()) reject(error)
    }
  }

  #tell(): void {
    const news = newsOf(this.#own!.store)
    this.#channel.post({ kind: 'news', leader: this.#tab, news } satisfies TabMessage)
    this.store.hear(news)
  }

  #call(call: keyof Calls, args: unknown[]): Promise<any> {
    if (this.#closing.signal.aborted) return Promise.reject(this.#closing.signal.reason)
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId
      const pending = { call, args, resolve, reject }
      this.#pending.set(id, pending)
      if (this.#own === undefined) this.#ask(id, pending)
      else this.#runPending(id, pending)
    })
  }

  #ask(id: number, { call, args }: Pending): void {
    this.#channel.post({ kind: 'call', tab: this.#tab, id, call, args } satisfies TabMessage)
  }

  #runPending(id: number, { call, args, resolve, reject }: Pending): void {
    this.#pending.delete(id)
    this.#run(call, args).then(resolve, reject)
  }

  #run(call: keyof Calls, args: unknown[]): Promise<unknown> {
    return (this.#calls[call] as (...args: unknown[]) => Promise<unknown>)(...args)
  }

  /** What this tab does for others and for itself while it has the store. */
  readonly #calls: Calls = {
    append: (events) => this.#own!.store.append(events),
    redact: (keys) => this.#own!.store.redact(keys),
    get: (keys, maxBytes) => this.#own!.store.get(keys, maxBytes),
    changes: (after, limit) => this.#own!.store.changes(after, limit),
    range: (options) => this.#own!.store.range(options),
    conflicts: (limit, after) => this.#own!.store.conflicts(limit, after),
    renewIncarnation: () => this.#own!.store.renewIncarnation(),
    meet: (url, token) => this.#own!.meet(url, { token, signal: this.#closing.signal }),
    live: (id, url, token) => {
      const running = this.#running.get(id)
      if (running !== undefined) return running.ended
      const controller = new AbortController()
      const signal = AbortSignal.any([controller.signal, this.#closing.signal])
      const onStatus = (status: LiveStatus) => this.#tellStatus(id, status)
      const touch = this.#own!.stayInTouch(url, { token, signal, onStatus })
      const ended = touch.finally(() => this.#running.delete(id))
      this.#running.set(id, { controller, ended })
      return ended
    },
    unlive: async (id) => this.#running.get(id)?.controller.abort(),
  }

  #tellStatus(live: string, { error, ...status }: LiveStatus): void {
    this.#lives.get(live)?.onStatus({ ...status, error })
    const message: TabMessage = { kind: 'status', live, status, failure: error && failureOf(error) }
    this.#channel.post(message)
  }

  #receive(message: TabMessage): void {
    switch (message.kind) {
      case 'hello':
        if (this.#own !== undefined) this.#tell()
        return
      case 'news':
        return this.#hear(message.leader, message.news)
      case 'call':
        if (this.#own !== undefined) void this.#answer(message.tab, message.id, message.call, message.args)
        return
      case 'done':
        if (message.tab !== this.#tab) return
        this.store.hear(message.news)
        this.#take(message.id)?.resolve(message.result)
        return
      case 'failed':
        if (message.tab === this.#tab) this.#take(message.id)?.reject(errorOf(message.failure))
        return
      case 'status': {
        const error = message.failure && errorOf(message.failure)
        this.#lives.get(message.live)?.onStatus({ ...message.status, error })
      }
    }
  }

  #hear(leader: string, news: News): void {
    this.store.hear(news)
    this.#readiness.resolve()
    if (leader === this.#leader) return
    this.#leader = leader
    // What was asked of its predecessor may never have been done; what was done is not done twice.
    for (const [id, pending] of this.#pending) this.#ask(id, pending)
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    return pending
  }

  async #answer(tab: string, id: number, call: keyof Calls, args: unknown[]): Promise<void> {
    try {
      const result = await this.#run(call, args)
      this.#channel.post({ kind: 'done', tab, id, result, news: newsOf(this.#own!.store) } satisfies TabMessage)
    } catch (error) {
      // Whoever closes leaves the answer to its successor.
      if (this.#closing.signal.aborted) return
      this.#channel.post({ kind: 'failed', tab, id, failure: failureOf(error) } satisfies TabMessage)
    }
  }

  meet(url: string, { token, signal }: MeetingOptions): Promise<SyncReport> {
    const met: Promise<SyncReport> = this.#call('meet', [url, token])
    return signal === undefined ? met : Promise.race([met, aborted(signal)])
  }

  async stayInTouch(url: string, { token, signal, onStatus = () => {} }: LiveOptions): Promise<void> {
    if (signal?.aborted) return
    const id = `${this.#tab}/${++this.#lastId}`
    this.#lives.set(id, { url, token, onStatus })
    const live: Promise<void> = this.#call('live', [id, url, token])
    try {
      await (signal === undefined ? live : Promise.race([live, aborted(signal)]))
    } catch (error) {
      if (!signal?.aborted) throw error
    } finally {
      this.#lives.delete(id)
      if (!this.#closing.signal.aborted) void this.#call('unlive', [id]).catch(() => {})
    }
  }

  /** The tab that has the store when views are first asked for keeps what they know; the others' know it while they live. */
  async openViewsMap(): Promise<OrderedMap> {
    return this.#own?.openViewsMap() ?? memoryMap()
  }

  async close(): Promise<void> {
    const error = new DbError('store_closed', 'the store is closed')
    this.#closing.abort(error)
    await this.#taking
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
    await this.#own?.close()
    this.#channel.close()
    this.#release?.()
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
