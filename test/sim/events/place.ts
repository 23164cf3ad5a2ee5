/**
 * Where a simulated store lives: something durable that outlives it, and that crashes.
 *
 * Not here: what stores do there (run.ts).
 */
import { openEventDirectory } from '../../../src/model/events/directory.ts'
import { type Change, type Entry, memoryMap, type OrderedMap } from '../../../src/model/events/index.ts'
import type { SimDisk, SimIo, SimWorld } from '../../../src/testing/index.ts'
import type { SimRandom } from '../../../src/testing/sim-random.ts'

/** One life of a place: from an opening to its end. */
export interface Life {
  readonly events: OrderedMap
  readonly views: OrderedMap
  /** Resolves when the life ends by a crash; what it awaits then never comes. */
  readonly died: Promise<void>
  readonly dead: boolean
  /** The power goes now, or at some write that is still to come. */
  crash(when: 'now' | 'soon'): void
  close(): Promise<void>
}

export interface Place {
  open(): Promise<Life>
}

export type Backup = readonly (readonly Entry[])[]
const everything = { from: new Uint8Array(0), to: Uint8Array.of(255, 255), limit: Number.MAX_SAFE_INTEGER }

export async function backUp(life: Life): Promise<Backup> {
  return [await life.events.scan(everything), await life.views.scan(everything)]
}

/** Puts a backup into a place that is new. */
export async function restore(place: Place, [events, views]: Backup): Promise<void> {
  const life = await place.open()
  if (events.length > 0) await life.events.write(events)
  if (views.length > 0) await life.views.write(views)
  await life.close()
}

/** A place in plain memory: quick, and its crashes come between two writes or within one, of which all is there or nothing. */
export class MemoryPlace implements Place {
  readonly #maps = [memoryMap(), memoryMap()]
  readonly #random: SimRandom

  constructor(random: SimRandom) {
    this.#random = random
  }

  async open(): Promise<Life> {
    let end = () => {}
    const died = new Promise<void>((done) => (end = done))
    const random = this.#random
    let left = Number.POSITIVE_INFINITY
    const life = {
      died,
      dead: false,
      crash(when: 'now' | 'soon') {
        if (when === 'soon') left = random.below(6)
        else die()
      },
      close: async () => {
        life.dead = true
      },
    }
    const die = () => {
      life.dead = true
      end()
    }
    const never = new Promise<never>(() => {})
    const wrap = (map: OrderedMap): OrderedMap => ({
      write: async (changes: readonly Change[]) => {
        if (life.dead) return never
        if (left-- <= 0) {
          if (random.chance(0.5)) await map.write(changes)
          die()
          return never
        }
        await map.write(changes)
        // Others have their turn while it becomes durable.
        for (let i = random.below(4); i > 0; i--) await undefined
        if (life.dead) return never
      },
      get: (keys) => (life.dead ? never : map.get(keys)),
      scan: (options) => (life.dead ? never : map.scan(options)),
      close: async () => {},
    })
    const [events, views] = this.#maps.map(wrap)
    return Object.assign(life, { events, views })
  }
}

/** A directory on a simulated disk, which forgets what was not synced. */
export class DiskPlace implements Place {
  readonly #world: SimWorld
  readonly #disk: SimDisk

  constructor(world: SimWorld, name: string) {
    this.#world = world
    this.#disk = world.disk(name)
  }

  async open(): Promise<Life> {
    const disk = this.#disk
    disk.onOperation = undefined
    const io: SimIo = this.#world.node(disk)
    let end = () => {}
    const died = new Promise<void>((done) => (end = done))
    io.onEnd = () => end()
    const small = { memtableBytes: 64 * 1024, cacheBytes: 1 << 20 }
    const directory = await openEventDirectory(io, '/data', small)
    const [events, views] = [await directory.openMap('events'), await directory.openMap('views')]
    return {
      events,
      views,
      died,
      get dead() {
        return io.dead
      },
      crash: (when) => {
        const at = disk.operations + 1 + this.#world.random.below(12)
        if (when === 'now') io.crash()
        else disk.onOperation = ({ number }) => (number >= at ? 'crash' : undefined)
      },
      close: async () => {
        disk.onOperation = undefined
        await directory.close()
        io.kill()
      },
    }
  }
}
