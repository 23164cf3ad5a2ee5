/**
 * Faults that a log without its safeguards would have, planted from outside: into the bytes on their way to the disk, or
 * into what a crash left there. They show that the torture notices.
 *
 * Not here: faults of disks (src/testing/sim-disk.ts).
 */
import { getSafe, putSafe } from '../../src/encoding/index.ts'
import type { Disk, File, Io } from '../../src/io/index.ts'
import {
  alignRecord,
  checkpointKind,
  decodeSegmentHeader,
  groupChecksum,
  groupHeaderBytes,
  groupMagic,
  segmentHeaderBytes,
  segmentNumberOf,
  viewOf,
} from '../../src/storage/commit-log/layout.ts'
import { recoverLog } from '../../src/storage/commit-log/recovery.ts'
import type { SimIo } from '../../src/testing/index.ts'

/** The same ports with another disk. */
export function withDisk(io: SimIo, disk: Disk): Io {
  return {
    clock: io.clock,
    random: io.random,
    disk,
    network: io.network,
    tasks: io.tasks,
    log: io.log,
    get dead() {
      return io.dead
    },
    fatal: (reason, cause) => io.fatal(reason, cause),
  }
}

/** A log that forgets to write the streams' checkpoints at the beginning of a segment. */
export function droppingCheckpoints(io: SimIo): Io {
  let identity: Uint8Array | undefined
  const wrap = (file: File): File => ({
    path: file.path,
    size: () => file.size(),
    read: (into, intoOffset, length, position) => file.read(into, intoOffset, length, position),
    write: (from, fromOffset, length, position) => {
      const number = segmentNumberOf(file.path.slice(file.path.lastIndexOf('/') + 1))
      if (number === undefined) return file.write(from, fromOffset, length, position)
      const bytes = Buffer.from(from.subarray(fromOffset, fromOffset + length))
      if (position === 0 && length === segmentHeaderBytes) identity = decodeSegmentHeader(bytes)?.identity ?? identity
      if (position !== segmentHeaderBytes || identity === undefined) return file.write(bytes, 0, length, position)
      hideCheckpoints(bytes, number, identity)
      return file.write(bytes, 0, length, position)
    },
    sync: () => file.sync(),
    truncate: (length) => file.truncate(length),
    close: () => file.close(),
  })
  const disk: Disk = {
    open: async (path, options) => wrap(await io.disk.open(path, options)),
    list: (directory) => io.disk.list(directory),
    makeDirectory: (directory) => io.disk.makeDirectory(directory),
    rename: (from, to) => io.disk.rename(from, to),
    remove: (path) => io.disk.remove(path),
    syncDirectory: (directory) => io.disk.syncDirectory(directory),
    freeBytes: (path) => io.disk.freeBytes(path),
    lock: (directory) => io.disk.lock(directory),
  }
  return withDisk(io, disk)
}

/** Makes the checkpoints of a group say nothing, and the group sound again. */
function hideCheckpoints(bytes: Buffer, segment: number, identity: Uint8Array): void {
  const view = viewOf(bytes)
  const length = view.getUint32(8, true)
  let at = groupHeaderBytes
  for (let left = view.getUint32(12, true); left > 0; left--) {
    if (view.getUint8(at + 8) === checkpointKind) {
      for (const field of [24, 32, 40]) putSafe(view, at + field, 0)
    }
    at += alignRecord(view.getUint32(at + 4, true))
  }
  view.setUint32(4, groupChecksum(identity, segment, segmentHeaderBytes, bytes, 0, length), true)
}

/**
 * What recovery would see if checksums did not cover a group's place: the former life's group that stands where the log
 * ends is made to pass. Answers whether there was one.
 */
export async function raiseGhost(io: SimIo, directory: string): Promise<boolean> {
  const found = await recoverLog(io, directory)
  const tail = found.segments.at(-1)
  if (tail === undefined || found.identity === undefined) return false
  const file = await io.disk.open(tail.path)
  const bytes = Buffer.alloc(tail.fileBytes)
  await file.read(bytes, 0, bytes.length, 0)
  const view = viewOf(bytes)
  let raised = false
  for (let at = tail.end; at + groupHeaderBytes <= bytes.length && !raised; at += 16) {
    const length = view.getUint32(at + 8, true)
    if (view.getUint32(at, true) !== groupMagic || length < groupHeaderBytes || at + length > bytes.length) continue
    if (getSafe(view, at + 16) > found.lastGroup || view.getUint32(at + 12, true) === 0) continue
    const ghost = Buffer.from(bytes.subarray(at, at + length))
    const ghostView = viewOf(ghost)
    putSafe(ghostView, 16, found.lastGroup + 1)
    putSafe(ghostView, 24, found.lastGroup)
    if (tail.end + length > bytes.length) continue
    ghostView.setUint32(4, groupChecksum(found.identity, tail.number, tail.end, ghost, 0, length), true)
    await file.write(ghost, 0, length, tail.end)
    await file.sync()
    raised = true
  }
  await file.close()
  return raised
}
