/**
 * What a test does to the disk of one node.
 *
 * Not here: the disk (sim-disk.ts).
 */
import { DbError } from '../base/index.ts'
import { type Duration, microsOf } from './duration.ts'
import type { DiskFault, SimDisk } from './sim-disk.ts'
import type { CrashMode } from './sim-file.ts'

/** A bit that was flipped. */
export interface Corruption {
  readonly path: string
  /** Bytes from the beginning of the file. */
  readonly position: number
}

export class NodeDisk {
  readonly #disk: SimDisk
  readonly #faults = new Map<'sync' | 'write' | 'read', DiskFault>()

  constructor(disk: SimDisk) {
    this.#disk = disk
  }

  /** Every fsync fails with an I/O error from now on: a node never survives one. */
  failSyncs(): void {
    this.#fault('sync', 'io_error')
  }

  /** Every write fails with an I/O error. */
  failWrites(): void {
    this.#fault('write', 'io_error')
  }

  /** Every read fails with an I/O error. */
  failReads(): void {
    this.#fault('read', 'io_error')
  }

  /** Every fsync reports success and does nothing: a crash after it loses what was acknowledged. */
  lieAboutSyncs(): void {
    this.#fault('sync', 'skip')
  }

  /** Leaves so many bytes free. */
  fill(freeBytes = 0): void {
    this.#disk.capacityBytes = this.#disk.usedBytes() + freeBytes
  }

  /** Every operation takes so much longer. */
  slow(by: Duration): void {
    this.#disk.extraMicros = microsOf(by)
  }

  /**
   * Flips one bit, drawn from the seed, in a file whose path matches; without a pattern in a table file or, when there
   * is none, in the commit log. Raises undefined_file when no file that is not empty matches.
   */
  corrupt(path?: RegExp): Corruption {
    const full = this.#disk.paths().filter((p) => this.#disk.file(p).length > 0)
    const candidates =
      path === undefined
        ? [/\.table$/, /\/log\//, /./].map((kind) => full.filter((p) => kind.test(p))).find((found) => found.length > 0)
        : full.filter((p) => path.test(p))
    if (candidates === undefined || candidates.length === 0) {
      throw new DbError('undefined_file', `no file of ${this.#disk.name} matches ${path ?? 'anything'}`)
    }
    const chosen = this.#disk.random.pick(candidates)
    // Files are long before they are full: what lies behind their last byte is of no interest.
    const position = this.#disk.random.below(Math.max(1, this.#disk.file(chosen).written))
    this.#disk.flipBit(chosen, position, this.#disk.random.below(8))
    return { path: chosen, position }
  }

  /** How a crash treats what was not synced: all lost, all kept, or a mixture; drawn from the seed by default. */
  onCrash(mode: CrashMode | undefined): void {
    this.#disk.crashMode = mode
  }

  /** Paths of all files, sorted. */
  get files(): readonly string[] {
    return this.#disk.paths()
  }

  /** Ends all faults; what is corrupt stays so. */
  heal(): void {
    this.#faults.clear()
    this.#disk.onOperation = undefined
    this.#disk.capacityBytes = Number.POSITIVE_INFINITY
    this.#disk.extraMicros = 0
    this.#disk.crashMode = undefined
  }

  #fault(kind: 'sync' | 'write' | 'read', fault: DiskFault): void {
    this.#faults.set(kind, fault)
    this.#disk.onOperation = (operation) => this.#faults.get(operation.kind as 'sync' | 'write' | 'read')
  }
}
