/**
 * Counting: whether a quorum of a configuration agrees, and up to where. While joint, both majorities are needed.
 *
 * One object rather than loose functions, so that a test can plant a wrong majority and see the checkers find it.
 *
 * Not here: who votes or acknowledges what (raft.ts, leadership.ts).
 */
import type { Configuration } from './configuration.ts'

export const quorum = {
  /** Of `count` voters, how many make a majority. */
  majority(count: number): number {
    return (count >> 1) + 1
  },

  /** Whether those for whom `agrees` holds make a quorum. Nobody is no quorum. */
  agrees(c: Configuration, agrees: (replica: number) => boolean): boolean {
    return c.voters.length > 0 && most(c.voters, agrees) && (c.outgoing.length === 0 || most(c.outgoing, agrees))
  },

  /** The highest index that a quorum has reached. */
  index(c: Configuration, indexOf: (replica: number) => number): number {
    if (c.voters.length === 0) return 0
    const index = reached(c.voters, indexOf)
    return c.outgoing.length === 0 ? index : Math.min(index, reached(c.outgoing, indexOf))
  },
}

function most(ids: readonly number[], agrees: (replica: number) => boolean): boolean {
  let count = 0
  for (const id of ids) if (agrees(id)) count++
  return count >= quorum.majority(ids.length)
}

function reached(ids: readonly number[], indexOf: (replica: number) => number): number {
  const indexes = ids.map(indexOf).sort((a, b) => b - a)
  return indexes[quorum.majority(ids.length) - 1]
}
