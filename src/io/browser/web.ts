/**
 * Asking others over HTTP and WebSocket.
 *
 * Not here: what is asked (client/events, node).
 */
import { DbError } from '../../base/index.ts'

export interface WebRequest {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly signal?: AbortSignal
}

export interface WebAnswer {
  readonly status: number
  readonly contentType: string
  readonly body: Uint8Array
}

/** An open WebSocket. Handlers are set before anything can have come. */
export interface LiveSocket {
  send(message: Uint8Array): void
  close(): void
}

export interface LiveHandlers {
  onOpen(): void
  onMessage(message: Uint8Array | string): void
  /** Exactly once, also when it never opened. */
  onClose(reason: string): void
}

export interface Web {
  /** Whatever status comes back. Raises connection_failure when none does, and what the signal was given. */
  request(url: string, request: WebRequest): Promise<WebAnswer>
  connect(url: string, protocols: readonly string[], handlers: LiveHandlers): LiveSocket
  /** Calls back when the system says that the network is there again; never where it does not say. Returns what ends that. */
  onOnline(listener: () => void): () => void
}

interface Page {
  addEventListener?(event: 'online', listener: () => void): void
  removeEventListener?(event: 'online', listener: () => void): void
}

export const web: Web = {
  async request(url, { method, headers, body, signal }) {
    try {
      const answer = await fetch(url, { method, headers, body: body as Uint8Array<ArrayBuffer> | undefined, signal })
      const bytes = new Uint8Array(await answer.arrayBuffer())
      return { status: answer.status, contentType: answer.headers.get('content-type') ?? '', body: bytes }
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      const { cause, message } = error as Error
      const why = cause instanceof Error ? cause.message : message
      throw new DbError('connection_failure', `could not reach ${new URL(url).origin}: ${why}`, { cause: error })
    }
  },

  connect(url, protocols, handlers) {
    const socket = new WebSocket(url, [...protocols])
    socket.binaryType = 'arraybuffer'
    socket.onopen = () => handlers.onOpen()
    socket.onmessage = ({ data }: { data: unknown }) =>
      handlers.onMessage(typeof data === 'string' ? data : new Uint8Array(data as ArrayBuffer))
    let closed = false
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      if (closed) return
      closed = true
      handlers.onClose(reason === '' ? `the connection was closed (${code})` : reason)
    }
    return {
      send: (message) => socket.send(message as Uint8Array<ArrayBuffer>),
      close: () => socket.close(),
    }
  },

  onOnline(listener) {
    const page = globalThis as Page
    page.addEventListener?.('online', listener)
    return () => page.removeEventListener?.('online', listener)
  },
}
