/**
 * A data directory and the one line in it that says which formats its files have.
 *
 *   DIR/FORMAT   "latticedb data format 1\n"
 *   DIR/log/     commit log segments       (docs/formats/commit-log.md)
 *   DIR/store/   tables and the manifest   (docs/formats/table.md, manifest.md)
 *
 * Not here: the lock on the directory, which the node takes before anything else.
 */
import { DbError } from '../base/index.ts'
import type { Io } from '../io/index.ts'

/** The version of everything below a data directory. A change of any file format raises it. */
export const formatVersion = 1

const pattern = /^latticedb data format ([0-9]{1,9})\n$/

export const logDirectory = (directory: string): string => `${directory}/log`
export const storeDirectory = (directory: string): string => `${directory}/store`

/** Makes a new data directory, or checks that an existing one has our format; incompatible_format otherwise. */
export async function openDataDirectory(io: Io, directory: string): Promise<void> {
  const names = await io.disk.list(directory)
  if (names.includes('FORMAT')) {
    await checkFormat(io, directory)
    return
  }
  for (const part of [logDirectory(directory), storeDirectory(directory)]) {
    const files = await io.disk.list(part)
    if (files.length === 0) continue
    throw new DbError('incompatible_format', `the directory ${directory} holds data of an unknown format`, {
      detail: `It has no FORMAT file; this program reads and writes format ${formatVersion}.`,
    })
  }
  await io.disk.makeDirectory(directory)
  await io.disk.makeDirectory(logDirectory(directory))
  await io.disk.makeDirectory(storeDirectory(directory))
  const line = Buffer.from(`latticedb data format ${formatVersion}\n`)
  const file = await io.disk.open(`${directory}/FORMAT.new`, { create: true })
  await file.truncate(0)
  await file.write(line, 0, line.length, 0)
  await file.sync()
  await file.close()
  await io.disk.syncDirectory(directory)
  await io.disk.rename(`${directory}/FORMAT.new`, `${directory}/FORMAT`)
  await io.disk.syncDirectory(directory)
}

/** Throws incompatible_format unless the directory has our format. */
export async function checkFormat(io: Io, directory: string): Promise<void> {
  const file = await io.disk.open(`${directory}/FORMAT`, { readOnly: true })
  const bytes = Buffer.alloc(64)
  const count = await file.read(bytes, 0, 64, 0)
  await file.close()
  const found = pattern.exec(bytes.toString('latin1', 0, count))
  if (found && Number(found[1]) === formatVersion) return
  const theirs = found ? `format ${found[1]}` : 'an unknown format'
  throw new DbError('incompatible_format', `the directory ${directory} has ${theirs}, not format ${formatVersion}`, {
    detail: `This program reads and writes format ${formatVersion}.`,
    hint: 'Use the version of the program that wrote the directory, or restore a backup into a new one.',
  })
}
