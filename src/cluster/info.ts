/**
 * A small map that all nodes share: hints such as where partitions are. Every entry has a version; the newest wins
 * everywhere, so entries need no order of arrival. A removed entry stays as one with the value null.
 *
 * Not here: how entries travel (members.ts). Nothing here is to be relied upon: it is late, or lost until it is
 * published again.
 */
import type { NodeId } from './transport.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

export interface InfoEntry {
  readonly key: string
  readonly value: Json
  readonly version: number
  /** Who published it; breaks ties. */
  readonly node: NodeId
}

/** Keys with the versions known, to compare two maps. */
export type InfoDigest = readonly (readonly [key: string, version: number, node: NodeId])[]

export class Info {
  readonly #entries = new Map<string, InfoEntry>()

  get(key: string): InfoEntry | undefined {
    return this.#entries.get(key)
  }

  /** Entries whose key begins with a prefix, those removed left out. */
  *entries(prefix = ''): Iterable<InfoEntry> {
    for (const entry of this.#entries.values()) if (entry.key.startsWith(prefix) && entry.value !== null) yield entry
  }

  /** Keeps the entry if it is newer than what is known; says whether it was. */
  merge(entry: InfoEntry): boolean {
    const known = this.#entries.get(entry.key)
    if (known !== undefined && compare(known.version, known.node, entry.version, entry.node) >= 0) return false
    this.#entries.set(entry.key, entry)
    return true
  }

  digest(): InfoDigest {
    return [...this.#entries.values()].map(({ key, version, node }) => [key, version, node])
  }

  /** What the owner of a digest lacks, and the keys that we lack. */
  compare(digest: InfoDigest): { newer: InfoEntry[]; wanted: string[] } {
    const theirs = new Map(digest.map(([key, version, node]) => [key, { version, node }]))
    const newer = [...this.#entries.values()].filter((ours) => {
      const their = theirs.get(ours.key)
      return their === undefined || compare(ours.version, ours.node, their.version, their.node) > 0
    })
    const wanted = digest
      .filter(([key, version, node]) => {
        const ours = this.#entries.get(key)
        return ours === undefined || compare(version, node, ours.version, ours.node) > 0
      })
      .map(([key]) => key)
    return { newer, wanted }
  }
}

function compare(version: number, node: NodeId, otherVersion: number, otherNode: NodeId): number {
  return version - otherVersion || node - otherNode
}

export function isInfoEntry(value: unknown): value is InfoEntry {
  const entry = value as InfoEntry
  return (
    typeof entry === 'object' &&
    entry !== null &&
    typeof entry.key === 'string' &&
    entry.value !== undefined &&
    Number.isSafeInteger(entry.version) &&
    Number.isSafeInteger(entry.node)
  )
}
