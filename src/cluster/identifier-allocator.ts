/**
 * Hands identifiers out, one at a time and without waiting, from a block that was taken out of the kept ranges before:
 * what a crash leaves of a block is lost, never used twice.
 *
 *   kept in NODE: ranges ──take a block, durably──▶ block in memory ──next()──▶ identifiers
 *
 * Not here: the arithmetic (identifiers.ts), the file (identity.ts).
 */
import { DbError } from '../base/index.ts'
import { type IdentifierRange, Identifiers } from './identifiers.ts'
import type { IdentityFile } from './identity.ts'

const defaultBlock = 1024

export class IdentifierAllocator {
  readonly #file: IdentityFile
  readonly #unused: Identifiers
  readonly #blockSize: number
  /** Durable blocks in the order of their use. */
  readonly #blocks: { next: number; readonly end: number }[] = []
  #available = 0
  #refilling: Promise<void> | undefined

  constructor(file: IdentityFile, blockSize = defaultBlock) {
    this.#file = file
    this.#blockSize = blockSize
    this.#unused = new Identifiers(file.identity.ranges)
  }

  /** How many identifiers this node owns still. */
  get size(): number {
    return this.#unused.size + this.#available
  }

  /**
   * The next identifier; undefined when none is at hand: await `ready()` and ask again. Asks for more in the background
   * long before that.
   */
  next(): number | undefined {
    if (this.#available <= this.#blockSize / 2 && this.#unused.size > 0) this.#refill().catch(() => {})
    const block = this.#blocks[0]
    if (block === undefined) return undefined
    const id = block.next++
    this.#available--
    if (block.next === block.end) this.#blocks.shift()
    return id
  }

  /** Waits until an identifier is at hand. Raises program_limit_exceeded when this node has none left. */
  async ready(): Promise<void> {
    while (this.#available === 0) {
      if (this.#unused.size === 0 && this.#refilling === undefined) {
        throw new DbError('program_limit_exceeded', 'the identifiers of this node are used up', {
          hint: 'Create the object through another node.',
        })
      }
      await this.#refill()
    }
  }

  /** `next`, waiting if need be. */
  async take(): Promise<number> {
    for (;;) {
      const id = this.next()
      if (id !== undefined) return id
      await this.ready()
    }
  }

  /**
   * Gives half of what is unused to a node that joins; the gift is durable when it returns. Raises
   * program_limit_exceeded when there is nothing to give.
   */
  async split(): Promise<IdentifierRange> {
    const range = this.#unused.split()
    if (range === undefined) {
      throw new DbError('program_limit_exceeded', 'this node has no identifiers to give away', {
        hint: 'Join through another node.',
      })
    }
    await this.#keep(range)
    return range
  }

  /** Takes over the range of a node that is gone for good; durable when it returns. */
  async add(range: IdentifierRange): Promise<void> {
    this.#unused.add(range)
    await this.#file.save({ ranges: this.#unused.ranges })
  }

  #refill(): Promise<void> {
    this.#refilling ??= this.#takeBlock().finally(() => {
      this.#refilling = undefined
    })
    return this.#refilling
  }

  async #takeBlock(): Promise<void> {
    const block = this.#unused.take(this.#blockSize)
    if (block === undefined) return
    await this.#keep(block)
    this.#blocks.push({ next: block.first, end: block.end })
    this.#available += block.end - block.first
  }
  /** Makes it durable that a range was taken out; it is put back when that fails. */
  async #keep(taken: IdentifierRange): Promise<void> {
    try {
      // Concurrent changes are saved in order, each with all that were made before it.
      await this.#file.save({ ranges: this.#unused.ranges })
    } catch (error) {
      this.#unused.add(taken)
      throw error
    }
  }
}
