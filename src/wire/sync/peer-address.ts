/**
 * Where another store is: the address of a database on an HTTP port.
 *
 *   http://127.0.0.1:7480/db/orders   ─►   POST …/db/orders/sync, ws://127.0.0.1:7480/db/orders/sync
 *
 * Not here: what is said there (one-sync.ts, live-sync.ts).
 */
import { DbError } from '../../base/index.ts'

export interface PeerAddress {
  readonly http: string
  readonly webSocket: string
}

/** Raises invalid_parameter_value. */
export function peerAddress(text: string): PeerAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const secure = url?.protocol === 'https:' || url?.protocol === 'wss:'
  const plain = url?.protocol === 'http:' || url?.protocol === 'ws:'
  if (url === undefined || !(secure || plain) || !/^\/.*db\/[^/]+$/.test(url.pathname)) {
    throw new DbError('invalid_parameter_value', `"${text.slice(0, 200)}" is no address of a store`, {
      hint: 'Give the address of a database: http://127.0.0.1:7480/db/orders.',
    })
  }
  const rest = `//${url.host}${url.pathname}/sync`
  return { http: `http${secure ? 's' : ''}:${rest}`, webSocket: `ws${secure ? 's' : ''}:${rest}` }
}

/** Raises invalid_parameter_value for what cannot be the address of a store. */
export function checkPeer(text: string): void {
  peerAddress(text)
}

export const syncMessage = 'application/vnd.lattice.sync'
export const syncProtocol = 'lattice.sync'
export const bearerProtocol = 'lattice.bearer.'
