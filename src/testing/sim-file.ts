/**
 * The contents of one simulated file: what is on the platter, and the writes since the last sync.
 *
 *   current   what a read sees (the page cache)
 *   durable   what the last sync left
 *   pending   writes and truncations since then, in order
 *
 * A power cut decides anew for every 512-byte sector which of the versions that were written since the last sync, or the
 * synced one, is there: that loses, tears and reorders.
 *
 * Not here: names (sim-disk.ts).
 */
import type { SimRandom } from './sim-random.ts'

export const sectorBytes = 512

interface Pending {
  readonly position: number
  /** Absent for a truncation to `position`. */
  readonly bytes: Uint8Array | undefined
}

/** How a power cut treats writes that were not synced. */
export type CrashMode = 'lose' | 'keep' | 'mix'

/** Contents are kept by pages; a page that only ever held zeros is absent. */
const pageBytes = 4096
const zeros = new Uint8Array(pageBytes)

/** Bytes that grow, most of them zeros: files are filled with them ahead of their use. */
class Content {
  length = 0
  #pages: (Uint8Array | undefined)[] = []

  apply(change: Pending): void {
    if (change.bytes === undefined) this.resize(change.position)
    else this.put(change.bytes, change.position)
  }

  put(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length
    if (end > this.length) this.length = end
    for (let at = 0; at < bytes.length; ) {
      const start = (position + at) % pageBytes
      const count = Math.min(pageBytes - start, bytes.length - at)
      const part = bytes.subarray(at, at + count)
      const page = (position + at - start) / pageBytes
      if (this.#pages[page] !== undefined || Buffer.compare(part, zeros.subarray(0, count)) !== 0)
        this.#page(page).set(part, start)
      at += count
    }
  }

  copy(into: Uint8Array, intoOffset: number, position: number, count: number): void {
    for (let at = 0; at < count; ) {
      const start = (position + at) % pageBytes
      const part = Math.min(pageBytes - start, count - at)
      const page = this.#pages[(position + at - start) / pageBytes] ?? zeros
      into.set(page.subarray(start, start + part), intoOffset + at)
      at += part
    }
  }

  resize(length: number): void {
    if (length < this.length) {
      const kept = Math.ceil(length / pageBytes)
      if (this.#pages.length > kept) this.#pages.length = kept
      this.#pages[kept - 1]?.fill(0, length - (kept - 1) * pageBytes)
    }
    this.length = length
  }

  /** Position behind the last byte that is not zero. */
  get written(): number {
    for (let n = this.#pages.length - 1; n >= 0; n--) {
      const page = this.#pages[n]
      const at = page?.findLastIndex((byte) => byte !== 0) ?? -1
      if (at >= 0) return n * pageBytes + at + 1
    }
    return 0
  }

  flipBit(position: number, bit: number): void {
    this.#page(Math.floor(position / pageBytes))[position % pageBytes] ^= 1 << bit
  }

  copyFrom(other: Content): void {
    this.#pages = other.#pages.map((page) => page?.slice())
    this.length = other.length
  }

  #page(n: number): Uint8Array {
    while (this.#pages.length < n) this.#pages.push(undefined)
    this.#pages[n] ??= new Uint8Array(pageBytes)
    return this.#pages[n]
  }
}

export class SimFile {
  readonly id: number
  readonly #current = new Content()
  readonly #durable = new Content()
  #pending: Pending[] = []
  /** Changes ever made; the pending ones are the last of them. */
  #changes = 0

  constructor(id: number) {
    this.id = id
  }

  get length(): number {
    return this.#current.length
  }

  /** Position behind the last byte that is not zero. */
  get written(): number {
    return this.#current.written
  }

  get unsynced(): number {
    return this.#pending.length
  }

  /** What a sync that is called now must make durable, at least and here at most: later changes are not its business. */
  get mark(): number {
    return this.#changes
  }

  read(into: Uint8Array, intoOffset: number, length: number, position: number): number {
    const count = Math.max(0, Math.min(length, this.length - position))
    if (count > 0) this.#current.copy(into, intoOffset, position, count)
    return count
  }

  write(bytes: Uint8Array, position: number): void {
    this.#change({ position, bytes })
  }

  truncate(length: number): void {
    this.#change({ position: length, bytes: undefined })
  }

  sync(mark: number = this.#changes): void {
    const count = mark - (this.#changes - this.#pending.length)
    for (let i = 0; i < count; i++) this.#durable.apply(this.#pending[i])
    if (count > 0) this.#pending = this.#pending.slice(count)
  }

  flipBit(position: number, bit: number): void {
    this.#current.flipBit(position, bit)
    if (position < this.#durable.length) this.#durable.flipBit(position, bit)
  }

  crash(random: SimRandom, mode: CrashMode): void {
    if (this.#pending.length === 0) return
    const pending = mode === 'lose' ? [] : this.#pending
    this.#pending = []
    for (const change of pending) {
      if (mode === 'keep') this.#durable.apply(change)
      else if (change.bytes !== undefined) this.#applySome(change.bytes, change.position, random)
      else if (random.chance(0.5)) this.#durable.apply(change)
    }
    this.#current.copyFrom(this.#durable)
  }

  /** Makes a random subset of the sectors that a write touched durable. */
  #applySome(bytes: Uint8Array, position: number, random: SimRandom): void {
    const keep = random.pick([0, 0.5, 0.9, 1])
    for (let at = 0; at < bytes.length; ) {
      const sectorEnd = (Math.floor((position + at) / sectorBytes) + 1) * sectorBytes - position
      const end = Math.min(bytes.length, sectorEnd)
      if (random.chance(keep)) this.#durable.put(bytes.subarray(at, end), position + at)
      at = end
    }
  }

  #change(change: Pending): void {
    this.#pending.push(change)
    this.#changes++
    this.#current.apply(change)
  }
}
