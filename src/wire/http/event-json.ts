/**
 * Events as JSON.
 *
 *   { "key": "01J…", "at": 1718000000000, "position": 7, "origin": "….…", "sequence": 3, "timestamp": 1718000000000000,
 *     "contentType": "application/json",
 *     "value": …            JSON as it was appended; of text/…, a string
 *     "base64": "…"         of every other type, and of what claims to be JSON or text and is not
 *     "redacted": true }    instead of a value that was erased
 *
 * `at` is when it happened, milliseconds; `timestamp` the hybrid timestamp of its append, microseconds.
 *
 * Not here: reading events that clients send (event-body.ts).
 */
import type { ChangesPage, Conflict, StoredEvent, StoreIdentity } from '../../model/events/event-store.ts'
import { timeOfKey } from '../../model/events/key-time.ts'
import { formatCursor } from './cursor.ts'
import { isJson, mediaType } from './media-type.ts'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function eventJson(event: StoredEvent): string {
  const { key, position, origin, sequence, timestamp, contentType } = event
  const head = JSON.stringify({ key, at: timeOfKey(key), position, origin, sequence, timestamp, contentType })
  return `${head.slice(0, -1)},${valueMember(event)}}`
}

function valueMember({ redacted, contentType, value }: StoredEvent): string {
  if (redacted) return '"redacted":true'
  const type = mediaType(contentType)
  try {
    if (isJson(type)) {
      const json = decoder.decode(value)
      JSON.parse(json)
      return `"value":${oneLine(json)}`
    }
    if (type.startsWith('text/')) return `"value":${JSON.stringify(decoder.decode(value))}`
  } catch {
    // It came from another store, which may have taken it as bytes.
  }
  return `"base64":"${Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64')}"`
}

/** Streams part events by lines. In JSON a line ends between tokens only, where a space will do. */
function oneLine(json: string): string {
  return /[\r\n]/.test(json) ? json.trim().replace(/[\r\n]+/g, ' ') : json
}

/** `next` is for `lc=`; `cursor` is the same with its store, which another store will refuse. */
export function pageJson(page: ChangesPage, identity: StoreIdentity): string {
  return `{"events":[${page.events.map(eventJson).join(',')}],"next":${page.next},"cursor":"${formatCursor(identity, page.next)}"}`
}

export function conflictJson({ key, kept, other }: Conflict): string {
  return `{"key":"${key}","kept":${eventJson(kept)},"other":${eventJson(other)}}`
}
