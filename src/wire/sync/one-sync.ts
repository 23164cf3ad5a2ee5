/**
 * Meeting another store once, over HTTP: each message of the sync protocol is the body of a request, each answer that of
 * its response.
 *
 * Not here: the messages (model/events), staying in touch (live-sync.ts).
 */
import { DbError, isErrorCode } from '../../base/index.ts'
import type { Web, WebAnswer } from '../../io/browser/index.ts'
import { type SyncReport, type SyncStore, syncWith } from '../../model/events/index.ts'
import { peerAddress, syncMessage } from './peer-address.ts'

export interface MeetingOptions {
  /** Sent as a bearer token. */
  readonly token?: string
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: SyncReport) => void
}

/** Errors: connection_failure, and what either store refuses; what was exchanged before that is kept. */
export async function meetOnce(
  store: SyncStore,
  web: Web,
  url: string,
  { token, signal, onProgress }: MeetingOptions,
): Promise<SyncReport> {
  const { http } = peerAddress(url)
  const headers: Record<string, string> = { 'content-type': syncMessage, accept: syncMessage }
  if (token !== undefined) headers.authorization = `Bearer ${token}`
  const exchange = async (message: Uint8Array) => {
    const answer = await web.request(http, { method: 'POST', headers, body: message, signal })
    if (answer.status === 200) return answer.body
    throw refusal(answer, http)
  }
  return syncWith(store, exchange, { signal, onProgress })
}

function refusal({ status, contentType, body }: WebAnswer, url: string): DbError {
  if (contentType.startsWith('application/json')) {
    const error = errorOf(new TextDecoder().decode(body))
    if (error !== undefined) return error
  }
  return new DbError('connection_failure', `${url} answered with status ${status}`)
}

/** The error that a port wrote as JSON; undefined when the text is something else. */
export function errorOf(json: string): DbError | undefined {
  try {
    const { code, error, detail, hint } = JSON.parse(json)
    return isErrorCode(code) ? new DbError(code, String(error), { detail, hint }) : undefined
  } catch {
    return undefined
  }
}
