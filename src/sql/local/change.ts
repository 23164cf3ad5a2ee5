/**
 * A change of a bridged table as an event.
 *
 *   key      ULID: milliseconds of the commit, then the first 80 bits of SHA-256 of "origin table commit key"
 *   value    {"op": "insert" | "update" | "delete", "table", "key": {…}, "row": {…} | null, "origin", "commit"}
 *
 * The commit's timestamp is known once it has committed, so the outbox holds the rest, and what is delivered twice has the
 * same key and value.
 *
 * Not here: JSON of rows (row-json.ts), which changes there are (publishing.ts).
 */
import { createHash } from 'node:crypto'
import type { Timestamp } from '../../base/index.ts'
import { formatUlid, ulidBytes } from '../../replication/sync/index.ts'

export type ChangeOp = 'insert' | 'update' | 'delete'

export interface Change {
  readonly op: ChangeOp
  readonly table: string
  /** Primary key columns by name. */
  readonly key: { readonly [column: string]: unknown }
  /** All columns by name, NULL ones left out; null of a deletion. */
  readonly row: { readonly [column: string]: unknown } | null
  /** Of the cluster that published it. */
  readonly origin: string
  /** Timestamp of the commit there. */
  readonly commit: Timestamp
}

/** What is known of an event before the commit: what its key is made of, and its value up to the commit. */
export type Unstamped = readonly [identity: string, beginning: string]

/** @param key, row: JSON texts. */
export function unstamped(
  op: ChangeOp,
  table: string,
  key: string,
  row: string | undefined,
  origin: string,
): Unstamped {
  const name = JSON.stringify(table)
  return [`${name} ${key}`, `{"op":"${op}","table":${name},"key":${key},"row":${row ?? 'null'},"origin":"${origin}"`]
}

/** The event's key and value. */
export function stamped([identity, beginning]: Unstamped, origin: string, commit: Timestamp): [string, string] {
  const bytes = new Uint8Array(ulidBytes)
  new DataView(bytes.buffer).setUint16(0, Math.floor(commit / 1000 / 2 ** 32))
  new DataView(bytes.buffer).setUint32(2, Math.floor(commit / 1000) % 2 ** 32)
  const hash = createHash('sha256').update(`${origin} ${commit} ${identity}`).digest()
  bytes.set(hash.subarray(0, ulidBytes - 6), 6)
  return [formatUlid(bytes), `${beginning},"commit":${commit}}`]
}

/** The change that an event says; undefined when it says none: events come from anywhere. */
export function changeOf(value: Uint8Array): Change | undefined {
  let c: any
  try {
    c = JSON.parse(new TextDecoder().decode(value))
  } catch {
    return undefined
  }
  const object = (v: unknown) => typeof v === 'object' && v !== null && !Array.isArray(v)
  const sound =
    object(c) &&
    ['insert', 'update', 'delete'].includes(c.op) &&
    typeof c.table === 'string' &&
    object(c.key) &&
    (c.op === 'delete' ? (c.row ?? null) === null : object(c.row)) &&
    typeof c.origin === 'string' &&
    Number.isSafeInteger(c.commit)
  return sound ? c : undefined
}
