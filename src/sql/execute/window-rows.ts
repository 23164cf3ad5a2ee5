/**
 * The rows of one partition of a window: in memory while they fit, else in a file of which some blocks are in memory.
 *
 *   partition  │ block │ block │ … │ block │ newest rows │
 *                  file, read where asked      memory
 *
 * A row whose block is not there is asked for by an exception: `notHere` goes up to the operator, which waits for the
 * block and does the row under way again. So whoever asks must have changed nothing that doing it twice would spoil.
 *
 * Not here: what is computed of the rows (window.ts).
 */
import { ByteWriter } from '../../encoding/index.ts'
import type { File } from '../../io/index.ts'
import type { Type, Value } from '../types/type.ts'
import type { Execution } from './execution.ts'
import { RowSerializer, type SpillSpace } from './spill.ts'

/** Thrown where a row's block must be read first: `ready()` of the partition waits for it. */
export const notHere = Symbol('notHere')

interface Block {
  readonly first: number
  readonly count: number
  readonly position: number
  readonly bytes: number
  /** Decoded, and what they take. */
  rows: Value[][] | undefined
  memory: number
  /** When it was last asked for. */
  used: number
}

const blockBytes = 32 * 1024
/** One row's work touches fewer blocks than this at a time. */
const leastBlocks = 8

export class PartitionRows {
  count = 0
  /** Bytes that are accounted for with the execution. */
  #bytes = 0
  readonly #serializer: RowSerializer | undefined
  /** Rows from `#written` on. */
  #newest: Value[][] = []
  #written = 0
  readonly #blocks: Block[] = []
  #loaded = 0
  #last: Block | undefined
  #file: File | undefined
  #fileBytes = 0
  #uses = 0
  #waiting: Promise<void> | undefined
  #failure: unknown
  #closed = false

  /** @param types of the rows' cells; undefined: rows stay in memory. */
  constructor(types: readonly Type[] | undefined) {
    this.#serializer = types && new RowSerializer(types)
  }

  /** Takes a row; raises out_of_memory. */
  push(x: Execution, row: Value[]): void {
    this.#newest.push(row)
    this.count++
    this.#account(x, sizeOf(row))
  }

  /** Whether the newest rows should go to the file before more come. */
  full(x: Execution): boolean {
    return this.#serializer !== undefined && this.#bytes > x.session.workMemory
  }

  /** Puts the newest rows into the file: `ready()` waits for it. */
  spill(x: Execution): void {
    const rows = this.#newest
    this.#newest = []
    const { spill } = x.session
    const bytes = this.#bytes
    this.#waiting = this.#write(rows, spill).then(
      () => {
        this.#waiting = undefined
        if (this.#closed) this.#remove(spill)
        else this.#account(x, -bytes)
      },
      (error) => this.#failed(error),
    )
  }

  get waiting(): boolean {
    if (this.#failure !== undefined) throw this.#failure
    return this.#waiting !== undefined
  }

  async ready(): Promise<void> {
    await this.#waiting
  }

  /** Throws `notHere` for a row that must be read first. */
  get(x: Execution, row: number): Value[] {
    if (row >= this.#written) return this.#newest[row - this.#written]
    const block = this.#blockOf(row)
    block.used = ++this.#uses
    if (block.rows === undefined) {
      if (!this.waiting) {
        this.#evict(x)
        this.#waiting = this.#read(x, block).then(
          () => {
            this.#waiting = undefined
          },
          (error) => this.#failed(error),
        )
      }
      throw notHere
    }
    return block.rows[row - block.first]
  }

  close(x: Execution): void {
    this.#account(x, -this.#bytes)
    this.#closed = true
    this.#newest = []
    this.#blocks.length = 0
    this.#last = undefined
    // What is being read or written comes to its end first.
    if (this.#waiting === undefined) this.#remove(x.session.spill)
    else void this.#waiting.then(() => this.#remove(x.session.spill))
  }

  /** What cannot be removed now goes at the next start. */
  #remove(spill: SpillSpace): void {
    const file = this.#file
    this.#file = undefined
    if (file !== undefined) spill.remove(file).catch(() => {})
  }

  #failed(error: unknown): void {
    this.#failure = error
    this.#waiting = undefined
  }

  #account(x: Execution, bytes: number): void {
    this.#bytes += bytes
    if (bytes > 0) x.grow(bytes)
    else x.shrink(-bytes)
  }

  async #write(rows: readonly Value[][], spill: SpillSpace): Promise<void> {
    this.#file ??= await spill.create()
    const out = new ByteWriter(blockBytes * 2)
    let first = this.#written
    for (let i = 0; i < rows.length; i++) {
      this.#serializer!.write(rows[i], out)
      if (out.length < blockBytes && i < rows.length - 1) continue
      const block = { first, count: this.#written + i + 1 - first, position: this.#fileBytes, bytes: out.length }
      await this.#file.write(out.buffer, 0, out.length, this.#fileBytes)
      if (this.#closed) return
      this.#blocks.push({ ...block, rows: undefined, memory: 0, used: 0 })
      this.#fileBytes += out.length
      first += block.count
      out.reset()
    }
    this.#written += rows.length
  }

  async #read(x: Execution, block: Block): Promise<void> {
    const bytes = Buffer.allocUnsafeSlow(block.bytes)
    await this.#file!.read(bytes, 0, block.bytes, block.position)
    if (this.#closed) return
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const rows: Value[][] = []
    let memory = 0
    for (let at = 0; at < bytes.length; at += 4 + view.getUint32(at)) {
      const row = this.#serializer!.read(bytes, view, at)
      memory += sizeOf(row)
      rows.push(row)
    }
    block.rows = rows
    block.memory = memory
    this.#loaded++
    this.#account(x, memory)
  }

  /** Makes room for one more block, taking from those that were not asked for longest. */
  #evict(x: Execution): void {
    while (this.#loaded >= leastBlocks && this.#bytes > x.session.workMemory / 2) {
      let oldest: Block | undefined
      for (const block of this.#blocks)
        if (block.rows !== undefined && (oldest === undefined || block.used < oldest.used)) oldest = block
      oldest!.rows = undefined
      this.#loaded--
      this.#account(x, -oldest!.memory)
    }
  }

  #blockOf(row: number): Block {
    const last = this.#last
    if (last !== undefined && row >= last.first && row < last.first + last.count) return last
    let low = 0
    let high = this.#blocks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#blocks[middle].first <= row) low = middle
      else high = middle - 1
    }
    this.#last = this.#blocks[low]
    return this.#last
  }
}

function sizeOf(row: readonly Value[]): number {
  let bytes = 40 + 16 * row.length
  for (const v of row) {
    if (typeof v === 'string') bytes += v.length
    else if (v instanceof Uint8Array) bytes += v.length
  }
  return bytes
}
