/**
 * All planted bugs.
 */
import type { Plant } from '../plant.ts'
import { leasePlants } from './leases.ts'
import { partitionPlants } from './partitions.ts'
import { raftPlants } from './raft.ts'
import { sqlPlants } from './sql.ts'
import { storagePlants } from './storage.ts'
import { transactionPlants } from './transactions.ts'

export const plants: readonly Plant[] = [
  ...storagePlants,
  ...raftPlants,
  ...leasePlants,
  ...transactionPlants,
  ...partitionPlants,
  ...sqlPlants,
]
