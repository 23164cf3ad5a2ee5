/**
 * Staying in touch with another store: a WebSocket over which messages of the sync protocol go, again whenever one of the
 * two has something new, and which is made anew when it breaks.
 *
 *   connect ─► sync ─► wait: appended here │ the other says "changed" ─► sync ─► …
 *      ▲                                    │
 *      └── delay, doubled each time ◄── broken off          binary: a message or its answer · text: "changed", or an error
 *
 * One message is under way at a time, which is the back-pressure: the next one is made when the answer is stored.
 *
 * Not here: the messages (model/events).
 */
import { DbError } from '../../base/index.ts'
import type { LiveSocket, Web, WebTasks } from '../../io/browser/index.ts'
import type { Random } from '../../io/index.ts'
import { type SyncReport, type SyncStore, syncWith } from '../../model/events/index.ts'
import { errorOf } from './one-sync.ts'
import { bearerProtocol, peerAddress, syncProtocol } from './peer-address.ts'

export interface LiveStatus {
  /** `synced`: each had what the other has, at that moment. `offline`: not reached; tried again by itself. */
  readonly state: 'connecting' | 'syncing' | 'synced' | 'offline'
  /** Why it is offline. */
  readonly error?: DbError
  /** Of the last exchange. */
  readonly report?: SyncReport
}

export interface LiveOptions {
  readonly token?: string
  /** Ends it. */
  readonly signal?: AbortSignal
  readonly onStatus?: (status: LiveStatus) => void
}

export interface LivePorts {
  readonly web: Web
  readonly tasks: Pick<WebTasks, 'after'>
  readonly random: Random
}

const firstDelayMs = 250
const longestDelayMs = 30_000
const changed = 'changed'
/** Trying again cannot help: somebody has to change something. */
const final = ['invalid_authorization_specification', 'insufficient_privilege', 'invalid_catalog_name']

/** Resolves when the signal is given. Errors: refusals that no repetition helps against. */
export async function stayInTouch(
  store: SyncStore,
  ports: LivePorts,
  url: string,
  { token, signal = new AbortController().signal, onStatus = () => {} }: LiveOptions,
): Promise<void> {
  const { webSocket } = peerAddress(url)
  const protocols = token === undefined ? [syncProtocol] : [syncProtocol, bearerProtocol + token]
  let failures = 0
  while (!signal.aborted) {
    onStatus({ state: 'connecting' })
    const meeting = new Meeting(store, ports.web, webSocket, protocols, signal, (status) => {
      if (status.state === 'synced') failures = 0
      onStatus(status)
    })
    const error = await meeting.run()
    if (signal.aborted) return
    onStatus({ state: 'offline', error })
    if (final.includes(error.code)) throw error
    const bound = Math.min(firstDelayMs * 2 ** failures++, longestDelayMs)
    // Anywhere in the upper half: many who lost the same peer come back one by one.
    await pause(ports, bound / 2 + ports.random.below(Math.ceil(bound / 2)), signal)
  }
}

function pause({ tasks, web }: LivePorts, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel()
      stop()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = tasks.after(delayMs, done)
    const stop = web.onOnline(done)
    signal.addEventListener('abort', done)
  })
}

/** One connection, from its beginning to its end. */
class Meeting {
  readonly #store: SyncStore
  readonly #signal: AbortSignal
  readonly #onStatus: (status: LiveStatus) => void
  readonly #socket: LiveSocket
  readonly #ended = Promise.withResolvers<never>()
  readonly #opened = Promise.withResolvers<void>()
  #answer: PromiseWithResolvers<Uint8Array> | undefined
  #wake: (() => void) | undefined
  #dirty = true
  #peer: string | undefined

  constructor(
    store: SyncStore,
    web: Web,
    url: string,
    protocols: readonly string[],
    signal: AbortSignal,
    onStatus: (status: LiveStatus) => void,
  ) {
    this.#store = store
    this.#signal = signal
    this.#onStatus = onStatus
    this.#ended.promise.catch(() => {})
    this.#socket = web.connect(url, protocols, {
      onOpen: () => this.#opened.resolve(),
      onMessage: (message) => this.#receive(message),
      onClose: (reason) => this.#end(new DbError('connection_failure', `${url}: ${reason}`)),
    })
  }

  /** Why it ended. */
  async run(): Promise<DbError> {
    const stop = () => this.#end(new DbError('query_canceled', 'the sync was ended'))
    this.#signal.addEventListener('abort', stop)
    const unsubscribe = this.#store.subscribe(() => this.#mark())
    try {
      await Promise.race([this.#opened.promise, this.#ended.promise])
      for (;;) {
        while (this.#dirty) await this.#sync()
        await Promise.race([new Promise<void>((resolve) => (this.#wake = resolve)), this.#ended.promise])
      }
    } catch (error) {
      if (!(error instanceof DbError)) throw error
      return error
    } finally {
      unsubscribe()
      this.#signal.removeEventListener('abort', stop)
      this.#socket.close()
    }
  }

  async #sync(): Promise<void> {
    this.#dirty = false
    this.#onStatus({ state: 'syncing' })
    const exchange = (message: Uint8Array) => this.#exchange(message)
    const report = await syncWith(this.#store, exchange, { signal: this.#signal, peer: this.#peer })
    this.#peer = report.peer.store
    this.#onStatus({ state: 'synced', report })
  }

  #exchange(message: Uint8Array): Promise<Uint8Array> {
    const answer = Promise.withResolvers<Uint8Array>()
    this.#answer = answer
    this.#socket.send(message)
    return Promise.race([answer.promise, this.#ended.promise])
  }

  #receive(message: Uint8Array | string): void {
    if (typeof message !== 'string') {
      this.#answer?.resolve(message)
      this.#answer = undefined
    } else if (message === changed) {
      this.#mark()
    } else {
      this.#end(errorOf(message) ?? new DbError('protocol_violation', 'the peer speaks another protocol'))
    }
  }

  #mark(): void {
    this.#dirty = true
    this.#wake?.()
    this.#wake = undefined
  }

  #end(error: DbError): void {
    this.#ended.reject(error)
  }
}
