/**
 * All workloads by name.
 */
import { Advisory } from './advisory.ts'
import { Bank } from './bank.ts'
import { Large } from './large.ts'
import { Lists } from './lists.ts'
import { Notify } from './notify.ts'
import { Orders } from './orders.ts'
import { Past } from './past.ts'
import { Registers } from './registers.ts'
import { Schema } from './schema.ts'
import { Sequences } from './sequences.ts'
import { Sessions } from './sessions.ts'
import { Snapshots } from './snapshots.ts'
import type { Bench, Workload } from './workload.ts'

export { Bench, type Shape, type Turn, type Workload } from './workload.ts'

const classes = {
  lists: Lists,
  registers: Registers,
  bank: Bank,
  orders: Orders,
  sequences: Sequences,
  sessions: Sessions,
  schema: Schema,
  large: Large,
  notify: Notify,
  advisory: Advisory,
  snapshots: Snapshots,
  past: Past,
} as const

export type WorkloadName = keyof typeof classes

export const workloadNames = Object.keys(classes) as WorkloadName[]

export function makeWorkload(name: WorkloadName, bench: Bench): Workload {
  return new classes[name](bench)
}
