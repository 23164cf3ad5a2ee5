/**
 * Whole small files through the disk port: configuration, certificates.
 *
 * Not here: data files (storage/).
 */
import type { Io } from './ports.ts'

type Disk = Pick<Io, 'disk'>

/** Raises undefined_file, insufficient_privilege. */
export async function readText({ disk }: Disk, path: string): Promise<string> {
  const file = await disk.open(path, { readOnly: true })
  try {
    const bytes = Buffer.alloc(await file.size())
    const count = await file.read(bytes, 0, bytes.length, 0)
    return bytes.toString('utf8', 0, count)
  } finally {
    await file.close()
  }
}

/** Replaces a file's content; durable when it returns. With `exclusive`, a file that is there is left alone and io_error raised. */
export async function writeText({ disk }: Disk, path: string, text: string, exclusive = false): Promise<void> {
  const file = await disk.open(path, { create: true, exclusive })
  try {
    const bytes = Buffer.from(text)
    await file.truncate(0)
    await file.write(bytes, 0, bytes.length, 0)
    await file.sync()
  } finally {
    await file.close()
  }
}
