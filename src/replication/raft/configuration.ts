/**
 * Who belongs to a group: voters, and learners that receive the log without counting. A change of more than one voter
 * goes through a joint configuration, in which majorities of the old and of the new voters must agree; one voter more
 * or less needs no joint phase, because any two such majorities meet.
 *
 *   count  ids …      count     ids …       count     ids …          all varints
 *   voters            outgoing              learners
 *
 * A configuration counts as soon as it stands in the log, committed or not; when its entry is cancelled the one before
 * counts again, hence the history.
 *
 * Source: Ongaro, "Consensus: bridging theory and practice", 2014, chapter 4.
 *
 * Not here: how majorities are counted (quorum.ts), when a change may be proposed (leadership.ts).
 */
import { assert } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import { ByteReader } from './byte-reader.ts'

export interface Configuration {
  readonly voters: readonly number[]
  /** The old voters while the configuration is joint, else empty. */
  readonly outgoing: readonly number[]
  readonly learners: readonly number[]
}

export const emptyConfiguration: Configuration = { voters: [], outgoing: [], learners: [] }

export function writeConfiguration(writer: ByteWriter, c: Configuration): void {
  for (const ids of [c.voters, c.outgoing, c.learners]) {
    writer.varint(ids.length)
    for (const id of ids) writer.varint(id)
  }
}

export function readConfiguration(reader: ByteReader): Configuration {
  const ids = () => {
    const out: number[] = []
    for (let left = reader.count(); left > 0; left--) out.push(reader.varint())
    return out
  }
  return { voters: ids(), outgoing: ids(), learners: ids() }
}

export function encodeConfiguration(c: Configuration): Uint8Array {
  const writer = new ByteWriter(32)
  writeConfiguration(writer, c)
  return writer.copy()
}

/** Raises data_corrupted when the bytes are no configuration. */
export function decodeConfiguration(bytes: Uint8Array): Configuration {
  const reader = new ByteReader(bytes)
  const c = readConfiguration(reader)
  reader.end()
  return c
}

/** Counts in some majority: a voter, or an old voter while joint. */
export function isVoter(c: Configuration, replica: number): boolean {
  return c.voters.includes(replica) || c.outgoing.includes(replica)
}

/** Everybody once: voters, old voters, learners. */
export function replicasOf(c: Configuration): number[] {
  const out = [...c.voters]
  for (const ids of [c.outgoing, c.learners]) for (const id of ids) if (!out.includes(id)) out.push(id)
  return out
}

/** The first configuration on the way to `next`: itself when at most one voter changes, else the joint one. */
export function towards(
  current: Configuration,
  next: { readonly voters: readonly number[]; readonly learners: readonly number[] },
): Configuration {
  const { voters, learners } = next
  const all = [...voters, ...learners]
  assert(voters.length > 0, 'a group needs a voter')
  assert(new Set(all).size === all.length, 'a replica is a voter or a learner, once')
  for (const id of all) assert(Number.isSafeInteger(id) && id > 0, 'a replica id is a positive integer')
  const added = voters.filter((id) => !current.voters.includes(id)).length
  const removed = current.voters.filter((id) => !voters.includes(id)).length
  const outgoing = added + removed > 1 ? [...current.voters] : []
  return { voters: [...voters], outgoing, learners: [...learners] }
}

export function showConfiguration(c: Configuration): string {
  let out = `voters ${c.voters.join(' ') || '-'}`
  if (c.outgoing.length > 0) out += `, outgoing ${c.outgoing.join(' ')}`
  if (c.learners.length > 0) out += `, learners ${c.learners.join(' ')}`
  return out
}

/** The configuration as of the applied index and every later one that stands in the log. */
export class ConfigurationHistory {
  #steps: { readonly index: number; readonly configuration: Configuration }[]

  constructor(index: number, configuration: Configuration) {
    this.#steps = [{ index, configuration }]
  }

  get current(): Configuration {
    return this.#steps[this.#steps.length - 1].configuration
  }

  /** Index of the entry that brought the current one (of the applied index at the latest start, if none did since). */
  get currentIndex(): number {
    return this.#steps[this.#steps.length - 1].index
  }

  /** The configuration that counted when the log ended at `index`, which is not below the applied index. */
  at(index: number): Configuration {
    for (let i = this.#steps.length - 1; i > 0; i--)
      if (this.#steps[i].index <= index) return this.#steps[i].configuration
    return this.#steps[0].configuration
  }

  adopt(index: number, configuration: Configuration): void {
    assert(index > this.currentIndex, 'configurations are adopted in order')
    this.#steps.push({ index, configuration })
  }

  /** Entries from `index` on were cancelled. */
  cancelFrom(index: number): void {
    while (this.#steps.length > 1 && this.currentIndex >= index) this.#steps.pop()
  }

  /** Nobody will ask about less than `index` any more. */
  settle(index: number): void {
    while (this.#steps.length > 1 && this.#steps[1].index <= index) this.#steps.shift()
  }
}
