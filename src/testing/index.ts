/**
 * Simulated ports: one seed gives one run, whatever goes wrong in it.
 *
 * Not here: the simulated cluster built on them.
 */
export { type DiskFault, type DiskOperation, type DiskOperationKind, SimDisk } from './sim-disk.ts'
export type { CrashMode } from './sim-file.ts'
export { SimIo } from './sim-io.ts'
export { SimInternet } from './sim-network.ts'
export { SimRandom } from './sim-random.ts'
export { type SimSolo, SimWorld, simIo } from './sim-world.ts'
export { Trace } from './trace.ts'
