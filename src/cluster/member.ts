/**
 * What nodes know of each other, and which of two records about the same node is newer.
 *
 *   owner:   joining → alive ⇄ draining → left        each change raises `version`
 *   others:  suspect → dead                           at the version they saw; a higher version refutes
 *
 * Records are ordered by (incarnation, version, how bad the state is); `left` is above all and final.
 *
 * Not here: how records travel (members.ts).
 */
import type { Locality } from './locality.ts'
import type { NodeId } from './transport.ts'

export type MemberState = 'joining' | 'alive' | 'draining' | 'suspect' | 'dead' | 'left'

export interface Member {
  readonly nodeId: NodeId
  /** Which start of the node; persisted by it. */
  readonly incarnation: number
  /** Counts what the node said of itself in this incarnation, refutations included. */
  readonly version: number
  readonly state: MemberState
  readonly host: string
  readonly peerPort: number
  readonly pgHost: string
  readonly pgPort: number
  readonly httpPort: number
  readonly locality: Locality
  /** The highest version of the protocol between nodes that it speaks. */
  readonly protocol: number
  /** Wall clock. */
  readonly startedMicros: number
}

const badness: Record<MemberState, number> = { joining: 0, alive: 1, draining: 2, suspect: 3, dead: 4, left: 5 }

/** Whether a record tells something that the one known does not. */
export function isNewer(record: Member, known: Member): boolean {
  if (known.state === 'left') return false
  if (record.state === 'left') return true
  if (record.incarnation !== known.incarnation) return record.incarnation > known.incarnation
  if (record.version !== known.version) return record.version > known.version
  return badness[record.state] > badness[known.state]
}

/** Whether the node takes part: a suspect does until it is declared dead. */
export function isPresent(member: Member): boolean {
  return member.state !== 'dead' && member.state !== 'left'
}

/** Whether something that came over the wire has the shape of a record. */
export function isMember(value: unknown): value is Member {
  const m = value as Member
  return (
    typeof m === 'object' &&
    m !== null &&
    Number.isSafeInteger(m.nodeId) &&
    m.nodeId > 0 &&
    Number.isSafeInteger(m.incarnation) &&
    Number.isSafeInteger(m.version) &&
    Object.hasOwn(badness, m.state) &&
    typeof m.host === 'string' &&
    Number.isInteger(m.peerPort) &&
    typeof m.pgHost === 'string' &&
    Number.isInteger(m.pgPort) &&
    Number.isInteger(m.httpPort) &&
    typeof m.locality === 'object' &&
    m.locality !== null &&
    Object.values(m.locality).every((tier) => typeof tier === 'string') &&
    Number.isInteger(m.protocol) &&
    Number.isSafeInteger(m.startedMicros)
  )
}
