/**
 * A node that was a member before looks for its cluster. Those it knew may all have other addresses by now, so it keeps
 * asking the seeds it was given, until each has answered once; who answers tells where everybody is.
 *
 * Not here: joining for the first time, and the question itself (wire/peer/join.ts).
 */
import { DbError } from '../base/index.ts'
import type { Member } from '../cluster/index.ts'
import type { Io, Timer } from '../io/index.ts'
import { askSeed, type JoinOptions, Refusal, type SeedAddress } from '../wire/index.ts'

const firstPauseMs = 200
const longestPauseMs = 10_000

/**
 * Asks until `stop` is called or every seed has answered.
 * @param found whom a seed knows, itself included
 * @param refused a seed says that this node is none of its cluster's: no waiting changes that
 */
export function searchSeeds(
  io: Io,
  seeds: readonly SeedAddress[],
  greeting: JoinOptions,
  found: (members: readonly Member[]) => void,
  refused: (error: DbError) => void,
): { stop(): void } {
  let left = seeds
  let pauseMs = firstPauseMs
  let stopped = false
  let timer: Timer | undefined
  const round = async () => {
    for (const seed of left) {
      try {
        const { members } = await askSeed(io, seed, greeting)
        if (stopped || io.dead) return
        left = left.filter((other) => other !== seed)
        found(members)
      } catch (error) {
        if (stopped || io.dead) return
        if (!(error instanceof DbError)) throw error
        if (error instanceof Refusal && !error.retryable) return refused(error)
        io.log.debug('seed-silent', { ...seed, reason: error.message })
      }
    }
    if (left.length > 0) later()
  }
  const later = () => {
    timer = io.tasks.after(pauseMs / 2 + io.random.below(pauseMs), () => {
      round().catch((error) => io.fatal('looking for the cluster failed', error))
    })
    pauseMs = Math.min(pauseMs * 2, longestPauseMs)
  }
  later()
  return {
    stop: () => {
      stopped = true
      timer?.cancel()
    },
  }
}
