/** EXPLAIN ANALYZE: counts rows, loops and time of each operator, by wrapping its methods for one run. */
import { ROW } from '../../base/index.ts'
import type { Clock } from '../../io/index.ts'
import type { Execution, Operator } from '../execute/execution.ts'

interface Counts {
  rows: number
  loops: number
  micros: number
}

export interface Measured {
  readonly root: Operator
  of(operator: Operator): Counts | undefined
}

export function instrument(root: Operator, clock: Clock): Measured {
  const counts = new Map<Operator, Counts>()
  const wrap = (operator: Operator): void => {
    const c: Counts = { rows: 0, loops: 0, micros: 0 }
    counts.set(operator, c)
    const open = operator.open.bind(operator)
    const next = operator.next.bind(operator)
    operator.open = (x: Execution) => {
      c.loops++
      open(x)
    }
    operator.next = (x: Execution) => {
      const before = clock.monotonicMicros()
      const step = next(x)
      c.micros += clock.monotonicMicros() - before
      if (step === ROW) c.rows++
      return step
    }
    for (const input of operator.inputs()) wrap(input)
  }
  wrap(root)
  return { root, of: (operator) => counts.get(operator) }
}
