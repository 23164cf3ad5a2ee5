/**
 * A planted bug: an edit of a source file, made while the file is loaded by a process of its own. The tree on disk is never
 * touched and production code has no switch for it.
 *
 *   process ── registerHooks(load) ──► src/…/quorum.ts, one expression replaced ──► the swarm runs over the result
 *
 * An edit names text that occurs exactly once, so that a plant whose place has moved is an error and not a silent success.
 * (Mutation analysis: DeMillo, Lipton and Sayward, 1978, with hand-picked mutants.)
 *
 * Not here: the bugs (plants/), running them (main.ts, planted-process.ts).
 */
import { registerHooks } from 'node:module'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Violation } from '../history.ts'
import type { Wishes } from '../swarm/draw.ts'

export interface Edit {
  /** Below src/. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

export interface Plant {
  readonly name: string
  /** What is wrong, and what should suffer from it. */
  readonly breaks: string
  readonly edits: readonly Edit[]
  /** What brings it out. */
  readonly wishes: Wishes
  /** Plays a golden script of src/replication/raft instead of the seeds: what random runs do not come upon. */
  readonly script?: string
  /** What those say who guard what it breaks: it is found when this matches `kind: message` of a violation. */
  readonly guards: RegExp
  /** Seeds that have shown it, which are tried first. */
  readonly seeds?: readonly number[]
  /** Simulated seconds of a seed. Default 30. */
  readonly seconds?: number
  /** Seconds of CPU after which it counts as not found. Default 60. */
  readonly budget?: number
}

/** Whether it is said by whom the bug should be found. */
export function guarded({ guards }: Plant, { kind, message }: Violation): boolean {
  return guards.test(`${kind}: ${message}`)
}

const source = resolve(import.meta.dirname, '../../../src')

/** Makes the edits in what is loaded from now on. Loading raises when a place is not there exactly once. */
export function plant({ name, edits }: Plant): void {
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context)
      const wanted = edits.filter(({ file }) => url === `file://${source}/${file}`)
      if (wanted.length === 0) return loaded
      let text = String(loaded.source instanceof Uint8Array ? Buffer.from(loaded.source) : loaded.source)
      for (const { find, replace } of wanted) text = replaceOnce(text, find, replace, `${name}: ${fileURLToPath(url)}`)
      return { ...loaded, source: text }
    },
  })
}

export function replaceOnce(text: string, find: string, replace: string, where: string): string {
  const parts = text.split(find)
  if (parts.length !== 2) throw new Error(`${where} has ${parts.length - 1} times instead of once: ${find}`)
  return parts.join(replace)
}
