/**
 * One partition's part of a scan, as leaseholders and followers answer it.
 *
 *   span       ├────────── part ──────────┤ rest …
 *   answer     rows up to a limit, and where to go on
 *
 * Not here: who may answer (leaseholder.ts, follower-reads.ts), going on (cluster-cursor.ts).
 */
import { END, type Timestamp, WAIT } from '../../base/index.ts'
import type { Router } from '../../replication/index.ts'
import type { EngineCursor, Span } from '../../storage/index.ts'
import { gathered, type RowProgram, type ScanAnswer, type ScanRequest } from './requests.ts'

/** What one answer holds at most. */
const scanBytes = 256 * 1024
/** What one answer looks at, at most, where most is filtered out: a few milliseconds of work. */
const examinedRows = 16_384
const examinedBytes = 4 * 1024 * 1024

/** What one answer stands for, at most, in gathered entries. */
const maxGathered = 512

/** Reads a part of a request's span until an answer is full. The cursor stays the caller's to close. */
export async function collect(
  cursor: EngineCursor,
  request: ScanRequest,
  part: Span,
  at: Timestamp,
  node: number,
  program: RowProgram | undefined,
): Promise<ScanAnswer> {
  const keys: Uint8Array[] = []
  const values: Uint8Array[] = []
  const timestamps: number[] = []
  const gatherer = program?.gatherer?.()
  const limit = gatherer === undefined ? request.limit : Math.max(1, request.limit - maxGathered)
  let bytes = 0
  let examined = 0
  let seen = 0
  let last: Uint8Array | undefined
  let more = false
  while (!more) {
    const step = cursor.next(Math.min(1024, program === undefined ? limit - keys.length : 1024))
    if (step === WAIT) {
      await cursor.ready()
      continue
    }
    if (step === END) break
    const b = cursor.batch
    let i = 0
    for (; i < b.count && keys.length < limit; i++) {
      const { bytes: from, view } = b.slabs[b.slab[i]]
      seen += b.valueEnd[i] - b.keyStart[i]
      if (program !== undefined && !program.test(from, view, b.valueStart[i])) continue
      if (gatherer?.add() === true) {
        if (gatherer.size < maxGathered) continue
        i++
        break
      }
      keys.push(from.slice(b.keyStart[i], b.keyEnd[i]))
      values.push(from.slice(b.valueStart[i], b.valueEnd[i]))
      timestamps.push(b.timestamps[i])
      bytes += b.valueEnd[i] - b.keyStart[i]
    }
    examined += i
    last = b.slabs[b.slab[i - 1]].bytes.slice(b.keyStart[i - 1], b.keyEnd[i - 1])
    const full = keys.length >= limit || (gatherer !== undefined && gatherer.size >= maxGathered)
    more = full || bytes >= scanBytes || examined >= examinedRows || seen >= examinedBytes
  }
  for (const value of gatherer?.finish() ?? []) {
    keys.push(last!)
    values.push(value)
    timestamps.push(gathered)
  }
  return {
    at,
    node,
    uncertain: 0,
    keys,
    values,
    timestamps,
    resume: rest(request.span, request.reverse, part, more ? last : undefined),
  }
}

/** The key by which a scan finds the partition that it begins in. */
export function scanEdge(router: Router, span: Span, reverse: boolean): Uint8Array | undefined {
  if (!reverse) return span.start
  const route = span.end === undefined ? router.routes.at(-1) : router.before(span.end)
  if (route === undefined) return undefined
  return Buffer.compare(route.partition.start, span.start) > 0 ? route.partition.start : span.start
}

/** The part of a span that lies in a partition. */
export function intersect(span: Span, within: { start: Uint8Array; end: Uint8Array | undefined }): Span {
  const start = Buffer.compare(span.start, within.start) < 0 ? within.start : span.start
  const { end } = span
  const bounded = within.end !== undefined && (end === undefined || Buffer.compare(end, within.end) > 0)
  return { start, end: bounded ? within.end : end }
}

/** What of a request is left after `part` was read up to `last` (undefined: all of it). */
export function rest(span: Span, reverse: boolean, part: Span, last: Uint8Array | undefined): Span | undefined {
  if (reverse) {
    if (last !== undefined) return { start: span.start, end: last }
    return Buffer.compare(part.start, span.start) > 0 ? { start: span.start, end: part.start } : undefined
  }
  if (last !== undefined) {
    const start = new Uint8Array(last.length + 1)
    start.set(last)
    return { start, end: span.end }
  }
  const ends = part.end === undefined || (span.end !== undefined && Buffer.compare(part.end, span.end) >= 0)
  return ends ? undefined : { start: part.end!, end: span.end }
}
