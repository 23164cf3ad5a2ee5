/**
 * Temporary files of statements that sort more than their memory holds: below the data directory, under names that
 * nobody else knows. What a crash leaves behind is removed at the next start.
 *
 * Not here: what is in them (execute/spill.ts).
 */
import type { File, Io } from '../../io/index.ts'
import type { SpillSpace } from '../execute/spill.ts'

export class DiskSpill implements SpillSpace {
  readonly #io: Io
  readonly #directory: string | undefined

  /** @param directory undefined: there is no disk, statements keep to their memory. */
  constructor(io: Io, directory: string | undefined) {
    this.#io = io
    this.#directory = directory
  }

  get available(): boolean {
    return this.#directory !== undefined
  }

  async create(): Promise<File> {
    const { disk, random } = this.#io
    const name = Buffer.from(random.bytes(12)).toString('hex')
    return disk.open(`${this.#directory}/${name}`, { create: true, exclusive: true })
  }

  async remove(file: File): Promise<void> {
    await file.close()
    await this.#io.disk.remove(file.path)
  }
}

/** Makes the directory of temporary files, and empties it: they belonged to statements of a process that is gone. */
export async function clearTemporaryFiles({ disk }: Io, directory: string): Promise<void> {
  await disk.makeDirectory(directory)
  for (const name of await disk.list(directory)) await disk.remove(`${directory}/${name}`)
}
