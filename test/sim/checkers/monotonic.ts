/**
 * The guarantees of a session (Terry et al., 1994) over keys whose versions only grow: a client's reads never go back, see
 * its own writes, and its writes come in their order, also behind what it has read.
 *
 *   client 1   read x → 5    write x ok → 8    read x → 7     a write that is not read
 *
 * Not here: what clients see of each other (register.ts).
 */
import type { Operation, Violation } from '../history.ts'

export interface VersionedOperation extends Operation {
  readonly kind: 'read' | 'write'
  readonly key: string
  /** The version read, or the one that the write was given; undefined when no answer came. */
  readonly version: number | undefined
}

interface Known {
  read: number
  readBy: number
  written: number
  writtenBy: number
}

export function checkMonotonic(history: readonly VersionedOperation[]): Violation[] {
  const out: Violation[] = []
  const known = new Map<string, Known>()
  for (const operation of [...history].sort((a, b) => a.index - b.index)) {
    const { client, key, index, version, status, kind } = operation
    if (status !== 'ok' || version === undefined) continue
    const name = `${client} ${key}`
    let session = known.get(name)
    if (session === undefined) known.set(name, (session = { read: -1, readBy: -1, written: -1, writtenBy: -1 }))
    const report = (violated: string, other: number, what: string) => {
      out.push({
        kind: violated,
        message: `client ${client}, key ${key}: operation ${index} has version ${version} after ${what} in operation ${other}`,
        operations: [other, index],
      })
    }
    if (kind === 'read') {
      if (version < session.read) report('read-went-back', session.readBy, `${session.read} was read`)
      if (version < session.written) report('own-write-not-read', session.writtenBy, `${session.written} was written`)
    } else {
      if (version <= session.written) report('write-went-back', session.writtenBy, `${session.written} was written`)
      if (version <= session.read) report('write-behind-read', session.readBy, `${session.read} was read`)
    }
    if (kind === 'read' && version > session.read) {
      session.read = version
      session.readBy = index
    } else if (kind === 'write' && version > session.written) {
      session.written = version
      session.writtenBy = index
    }
  }
  return out
}
