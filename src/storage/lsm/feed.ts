/**
 * A feed: one ordered source of runs, of a memtable, a table or a level of tables.
 *
 * Not here: merging feeds (source.ts, merge-cursor.ts).
 */
import type { Step } from '../../base/index.ts'
import type { Run } from './run.ts'

export interface Feed {
  /** The run at hand after ROW. */
  run: Run
  /** The entries [low, high) of the run belong to the feed. */
  low: number
  high: number
  /** Known without a look at the run: all its keys are before the end of what is read. */
  inside: boolean
  /** Finds the run with the first entry at or behind (key, at); `low` is that entry. */
  seek(key: DataView, keyStart: number, keyLength: number, at: number): Step
  /** Finds the run with the last user key < key, or the last one of all; `high` is behind that entry. */
  seekBefore(key: DataView | undefined, keyStart: number, keyLength: number): Step
  next(): Step
  previous(): Step
  /** Repeats what answered WAIT. */
  again(): Step
  /** Loads what the last call waits for. */
  ready(): Promise<void>
}
