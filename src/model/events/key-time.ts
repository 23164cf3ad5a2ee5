/**
 * When an event happened: the first ten characters of its key.
 *
 * Not here: making and reading keys (replication/sync/ulid.ts).
 */
import { parseUlid, ulidTimeMs } from '../../replication/sync/ulid.ts'

/** Milliseconds since the Unix epoch. Errors: event_key_malformed. */
export function timeOfKey(key: string): number {
  return ulidTimeMs(parseUlid(key))
}
