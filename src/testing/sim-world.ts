/**
 * A simulated world: one seed, one clock, one queue of events. Ordinary async code runs in it over simulated ports
 * and does the same every time. Between two events all microtasks are drained, as the event loop does.
 *
 *   world ── disks (outlive their nodes)
 *     ├──── network (hosts are names)
 *     └──── nodes: an `Io` per incarnation, which ends by `crash` or `stop`
 *
 * Not here: what goes wrong and when; tests and workloads decide that.
 */
import { AssertionError } from '../base/index.ts'
import { turn } from '../io/node/turn.ts'
import { type EventOwner, EventQueue, type SimEvent } from './event-queue.ts'
import { SimDisk } from './sim-disk.ts'
import { SimIo } from './sim-io.ts'
import { SimInternet } from './sim-network.ts'
import { SimRandom } from './sim-random.ts'
import { Trace } from './trace.ts'

export class SimWorld {
  readonly seed: string
  readonly random: SimRandom
  readonly trace = new Trace()
  readonly internet: SimInternet
  /** Microseconds since the world began. */
  nowMicros = 0
  /** The wall clock at that moment: 2026-01-01. */
  readonly epochMicros = 1_767_225_600_000_000
  readonly #queue = new EventQueue()
  #incarnations = 0

  constructor(seed: string | number) {
    this.seed = String(seed)
    this.random = new SimRandom(this.seed)
    this.internet = new SimInternet(this)
  }

  disk(name = 'disk'): SimDisk {
    return new SimDisk(this, name)
  }

  /** Starts an incarnation of a node on a disk; the earlier one on that disk must have ended. */
  node(disk: SimDisk, host = '127.0.0.1'): SimIo {
    return new SimIo(this, disk, host, ++this.#incarnations)
  }

  /** Lets something happen after a delay, or later when its owner is paused then. */
  schedule(delayMicros: number, run: () => void, owner?: EventOwner): SimEvent {
    return this.#queue.push(this.nowMicros + Math.max(0, Math.floor(delayMicros)), run, owner)
  }

  /** Lets events that were held for a paused owner happen now, in their order. */
  release(events: readonly SimEvent[]): void {
    for (const event of events) {
      event.at = this.nowMicros
      this.#queue.put(event)
    }
  }

  /**
   * Runs the world until `main` has settled and answers with its result, or until `until` holds, and answers
   * undefined. Throws when nothing is left to happen while `main` still waits.
   */
  async run<T>(main: () => Promise<T>, until: () => boolean = () => false): Promise<T | undefined> {
    let settled = false
    let result: T | undefined
    let failure: unknown
    let failed = false
    main().then(
      (value) => {
        settled = true
        result = value
      },
      (error) => {
        settled = true
        failed = true
        failure = error
      },
    )
    for (;;) {
      await turn()
      if (failed) throw failure
      if (settled) return result
      if (until()) return undefined
      if (!this.step()) throw new AssertionError(`seed ${this.seed}: nothing is left to happen, but the run waits`)
    }
  }

  /** Runs the world for a time, whatever waits. */
  async runFor(micros: number): Promise<void> {
    let over = false
    this.schedule(micros, () => {
      over = true
    })
    while (!over) {
      await turn()
      this.step()
    }
    await turn()
  }

  /** Lets the next thing happen. False: there is none. All microtasks must run before the next call. */
  step(): boolean {
    const event = this.#queue.pop()
    if (event === undefined) return false
    if (event.at > this.nowMicros) this.nowMicros = event.at
    if (event.owner?.paused) event.owner.hold(event)
    else event.run!()
    return true
  }
}

/** A world with one node on one disk, for tests of a single part. */
export interface SimSolo {
  readonly world: SimWorld
  readonly disk: SimDisk
  readonly io: SimIo
  /** Runs until the function's promise settles. */
  run<T>(main: () => Promise<T>): Promise<T>
  readonly traceHash: string
}

export function simIo(seed: string | number): SimSolo {
  const world = new SimWorld(seed)
  const disk = world.disk()
  const io = world.node(disk)
  return {
    world,
    disk,
    io,
    run: async (main) => (await world.run(main)) as Awaited<ReturnType<typeof main>>,
    get traceHash() {
      return world.trace.hash
    },
  }
}
