/**
 * Events by the time at which they happened: those of runs and those that stand by themselves, as one order of keys.
 *
 * Runs are read first: an event that leaves its run meanwhile is then found twice, not never.
 *
 * Not here: times and texts of keys (store-reader.ts).
 */
import { compareBytes, recordKey } from '../../replication/sync/index.ts'
import { type EventFinder, successor } from './finder.ts'
import { readEventValue, type StoredCell } from './layout.ts'
import type { OrderedMap, ScanOptions } from './ordered-map.ts'
import { type Run, readRun, runKey, runsFrom, runsTo } from './run.ts'

/** Runs that are looked up at once. */
const runsAtOnce = 16

/** At most `limit` events whose keys, behind their space as in the map, lie in [from, to). */
export async function cellsWithin(map: OrderedMap, finder: EventFinder, span: ScanOptions): Promise<StoredCell[]> {
  const inRuns = await cellsOfRuns(map, finder, span)
  const single = (await map.scan(span)).map(({ value }) => readEventValue(value))
  if (inRuns.length === 0) return single
  const direction = span.reverse ? -1 : 1
  const out: StoredCell[] = []
  let s = 0
  let r = 0
  while (out.length < span.limit && (s < single.length || r < inRuns.length)) {
    const order =
      s === single.length
        ? 1
        : r === inRuns.length
          ? -1
          : direction * compareBytes(recordKey(single[s].record), recordKey(inRuns[r].record))
    if (order <= 0) out.push(single[s++])
    else out.push(inRuns[r])
    if (order >= 0) r++
  }
  return out
}

async function cellsOfRuns(map: OrderedMap, finder: EventFinder, span: ScanOptions): Promise<StoredCell[]> {
  const { limit, reverse } = span
  const from = span.from.subarray(1)
  // The end of all events is a space of its own.
  const to = span.to.length > 1 ? span.to.subarray(1) : undefined
  const out: StoredCell[] = []
  for await (const run of runsWithin(map, finder, from, to, reverse)) {
    const records = await finder.recordsOf(run.position)
    const begin = records.lowerBound(from)
    const end = to === undefined ? records.count : records.lowerBound(to)
    for (let i = begin; i < end && out.length < limit; i++) {
      const cell = records.cell(reverse ? end - 1 - (i - begin) : i)
      if (cell !== undefined) out.push(cell)
    }
    if (out.length >= limit) break
  }
  return out
}

/** Runs that may hold keys in [from, to), in their order. */
async function* runsWithin(
  map: OrderedMap,
  finder: EventFinder,
  from: Uint8Array,
  to: Uint8Array | undefined,
  reverse: boolean | undefined,
): AsyncGenerator<Run> {
  const first = await finder.runBefore(from)
  if (!reverse && first !== undefined && compareBytes(first.last, from) >= 0) yield first
  let low = first === undefined ? runsFrom : successor(runKey(first.first))
  let high = to === undefined ? runsTo : runKey(to)
  while (compareBytes(low, high) < 0) {
    const entries = await map.scan({ from: low, to: high, reverse, limit: runsAtOnce })
    for (const entry of entries) yield readRun(entry)
    if (entries.length < runsAtOnce) break
    const last = entries[entries.length - 1].key
    if (reverse) high = last
    else low = successor(last)
  }
  if (reverse && first !== undefined && compareBytes(first.last, from) >= 0) yield first
}
