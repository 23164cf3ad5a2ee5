/**
 * Reads a cursor to its end: for what is read whole and seldom, where an allocation per entry costs nothing.
 *
 * Not here: scans of statements, which stay in the cursor's batches.
 */
import { ROW, type Timestamp, WAIT } from '../base/index.ts'
import type { EngineCursor } from './engine.ts'

/** Visits every entry, then closes the cursor. Keys and values are copies. */
export async function visitAll(
  cursor: EngineCursor,
  visit: (key: Uint8Array, value: Uint8Array, timestamp: Timestamp) => void,
): Promise<void> {
  for (;;) {
    const step = cursor.next()
    if (step === WAIT) {
      await cursor.ready()
      continue
    }
    if (step !== ROW) break
    const b = cursor.batch
    for (let i = 0; i < b.count; i++) {
      const { bytes } = b.slabs[b.slab[i]]
      visit(bytes.slice(b.keyStart[i], b.keyEnd[i]), bytes.slice(b.valueStart[i], b.valueEnd[i]), b.timestamps[i])
    }
  }
  cursor.close()
}
