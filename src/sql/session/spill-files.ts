/** Temporary files for sorts: in a directory of this process below the system's one for such files. */
import type { File, Io } from '../../io/index.ts'
import type { SpillSpace } from '../execute/spill.ts'

const directory = '/tmp/lattice-spill'

export class DiskSpill implements SpillSpace {
  readonly #io: Io

  constructor(io: Io) {
    this.#io = io
  }
  async create(): Promise<File> {
    const { disk, random } = this.#io
    await disk.makeDirectory(directory)
    const name = Buffer.from(random.bytes(12)).toString('hex')
    return disk.open(`${directory}/${name}`, { create: true, exclusive: true })
  }
  async remove(file: File): Promise<void> {
    await file.close()
    await this.#io.disk.remove(file.path)
  }
}
