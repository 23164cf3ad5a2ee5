/**
 * Replicas of a partition hold the same: every version of every key, above the threshold below which each may have
 * collected what nobody reads any more.
 *
 *   threshold T     v9  v8 │ v5  v3          compared: all above T, and what a read at T sees; the rest may be gone
 *
 * Not here: making the dumps, waiting until replicas are done.
 */
import type { Violation } from '../history.ts'

export interface DumpedVersion {
  readonly key: string
  readonly timestamp: number
  /** undefined for a deletion. */
  readonly value: string | undefined
}

export interface ReplicaDump {
  readonly name: string
  readonly versions: readonly DumpedVersion[]
}

/** @param threshold the highest of the replicas' collection thresholds; 0 when nothing may be gone. */
export function checkEquality(dumps: readonly ReplicaDump[], threshold = 0): Violation[] {
  const [first, ...others] = dumps.map(({ name, versions }) => ({ name, versions: readable(versions, threshold) }))
  if (first === undefined) return []
  const out: Violation[] = []
  for (const other of others) {
    const report = (kind: string, version: string, what: string) => {
      out.push({ kind, message: `${version}: ${what}`, operations: [] })
    }
    for (const [version, value] of first.versions) {
      if (!other.versions.has(version))
        report('missing-version', version, `${first.name} has it, ${other.name} has not`)
      else if (other.versions.get(version) !== value) {
        report('different-value', version, `${value} at ${first.name}, ${other.versions.get(version)} at ${other.name}`)
      }
    }
    for (const version of other.versions.keys()) {
      if (!first.versions.has(version))
        report('missing-version', version, `${other.name} has it, ${first.name} has not`)
    }
  }
  return out
}

/** Values by `key@timestamp`, without what may have been collected. */
function readable(versions: readonly DumpedVersion[], threshold: number): Map<string, string | undefined> {
  const newest = new Map<string, number>()
  for (const { key, timestamp } of versions) {
    if (timestamp <= threshold) newest.set(key, Math.max(newest.get(key) ?? 0, timestamp))
  }
  const out = new Map<string, string | undefined>()
  for (const { key, timestamp, value } of versions) {
    const seen = timestamp > threshold || (newest.get(key) === timestamp && value !== undefined)
    if (seen) out.set(`${key}@${timestamp}`, value)
  }
  return out
}
