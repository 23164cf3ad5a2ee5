/**
 * No acknowledged write is lost and nothing is invented: each write puts one value at a key of its own, and what is there
 * at the end is compared with what was answered. A write of unknown outcome may be there or not.
 *
 * Not here: the order of writes to one key (register.ts, list-append.ts).
 */
import type { Operation, Violation } from '../history.ts'

export interface UniqueWrite extends Operation {
  /** No two writes of a history have the same. */
  readonly key: string
  readonly value: string
}

/** @param found what a reading of everything, after the last write, gave; a key more than once when it came so. */
export function checkWrites(
  history: readonly UniqueWrite[],
  found: Iterable<readonly [key: string, value: string]>,
): Violation[] {
  const writes = new Map<string, UniqueWrite>()
  for (const write of history) {
    if (writes.has(write.key)) throw new Error(`the workload writes key ${write.key} twice`)
    writes.set(write.key, write)
  }
  const out: Violation[] = []
  const seen = new Set<string>()
  for (const [key, value] of found) {
    const write = writes.get(key)
    const operations = write ? [write.index] : []
    if (seen.has(key)) out.push({ kind: 'duplicate', message: `key ${key} came twice`, operations })
    seen.add(key)
    if (write === undefined) out.push({ kind: 'invented', message: `key ${key}: nobody wrote it`, operations })
    else if (write.status === 'failed') {
      out.push({ kind: 'failed-write-visible', message: `key ${key}: write ${write.index} failed`, operations })
    } else if (value !== write.value) {
      out.push({ kind: 'wrong-value', message: `key ${key}: ${value} instead of ${write.value}`, operations })
    }
  }
  for (const { key, index, status } of writes.values()) {
    if (status !== 'ok' || seen.has(key)) continue
    out.push({ kind: 'lost-write', message: `key ${key}: write ${index} was acknowledged`, operations: [index] })
  }
  return out
}
