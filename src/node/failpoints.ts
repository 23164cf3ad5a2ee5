/**
 * Failpoints: what a test or benchmark asks a node to hold back. The command line reads them once, at the start, from
 * the environment (docs/operating/failpoints.md); below it they are ordinary options.
 *
 * Not here: faults of disks, networks and clocks, which the simulated ports inject (testing/).
 */
import { DbError } from '../base/index.ts'

export interface Failpoints {
  /** Full memtables stay in memory: the log alone holds what was written. */
  readonly holdFlush: boolean
}

const names = ['hold-flush']

/** Failpoints of a list of names, parted by commas; undefined when there are none. Raises config_file_error. */
export function readFailpoints(text: string | undefined): Failpoints | undefined {
  const asked = (text ?? '').split(',').filter((name) => name !== '')
  if (asked.length === 0) return undefined
  for (const name of asked) {
    if (names.includes(name)) continue
    throw new DbError('config_file_error', `there is no failpoint "${name}"`, {
      hint: `Failpoints: ${names.join(', ')}.`,
    })
  }
  return { holdFlush: asked.includes('hold-flush') }
}
