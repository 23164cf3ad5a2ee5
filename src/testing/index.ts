/**
 * The simulated cluster: the whole database, some nodes of it, in a unit test.
 *
 *   import { sim, simCluster } from 'latticedb/testing'
 *
 * Below it: simulated ports, for tests of single parts. One seed gives one run, whatever goes wrong in it.
 *
 * Not here: the database itself.
 */
export { DbError } from '../base/index.ts'
export type { Client, QueryResult, Transaction } from '../client/client.ts'
export { type Corruption, NodeDisk } from './disk-faults.ts'
export type { Duration } from './duration.ts'
export type { Fault } from './network-faults.ts'
export type { PartitionPlace } from './partition-place.ts'
export { type SimCluster, type SimClusterOptions, type SimLogEntry, simCluster } from './sim-cluster.ts'
export { type DiskFault, type DiskOperation, type DiskOperationKind, SimDisk } from './sim-disk.ts'
export type { CrashMode } from './sim-file.ts'
export { SimIo } from './sim-io.ts'
export { SimInternet } from './sim-network.ts'
export { SimRandom } from './sim-random.ts'
export { type SimBody, type SimOptions, sim } from './sim-test.ts'
export { type SimSolo, SimWorld, simIo } from './sim-world.ts'
export { Trace } from './trace.ts'
