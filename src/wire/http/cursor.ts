/**
 * Positions as clients keep them.
 *
 *   store (32 hex) . incarnation (16 hex) . position      "5f…e1.09…7c.1234", said in every answer, checked when it comes back
 *   position                                              "1234", taken on trust
 *
 * A position belongs to one incarnation of one store: at another it would skip or repeat events, so it is refused there.
 *
 * Not here: what is at a position (model/events).
 */
import { DbError } from '../../base/index.ts'
import type { EventStore, StoreIdentity } from '../../model/events/event-store.ts'

const pattern = /^(?:([0-9a-f]{32})\.([0-9a-f]{16})\.)?([0-9]{1,16})$/

export function formatCursor({ store, incarnation }: StoreIdentity, position: number): string {
  return `${store}.${incarnation}.${position}`
}

/** Raises invalid_parameter_value (400) and position_unknown (409). */
export function readCursor(text: string, store: EventStore): number {
  const match = pattern.exec(text)
  const position = Number(match?.[3])
  if (match === null || !Number.isSafeInteger(position)) {
    throw new DbError('invalid_parameter_value', `"${text.slice(0, 80)}" is no position`, {
      hint: 'Give "next" or "cursor" of an earlier answer, or 0 to begin at the beginning.',
    })
  }
  const { identity } = store
  if (match[1] !== undefined && match[1] !== identity.store) {
    throw unknownPosition('the position is one of another store', text)
  }
  if (match[2] !== undefined && match[2] !== identity.incarnation) {
    throw unknownPosition('the position is one of another incarnation of this store: it was restored since', text)
  }
  if (position > store.position) throw unknownPosition(`this store is at position ${store.position}`, text)
  return position
}

function unknownPosition(message: string, text: string): DbError {
  return new DbError('position_unknown', message, {
    detail: `The position asked for is ${text}.`,
    hint: 'Read from lc=0 again; events that you have already come with the same keys.',
  })
}
