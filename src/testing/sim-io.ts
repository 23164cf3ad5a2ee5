/**
 * The ports of one incarnation of a simulated node. After `crash` nothing that the incarnation awaits ever comes, so
 * none of its continuations runs into its successor.
 *
 * Not here: what survives (sim-disk.ts), other nodes (sim-world.ts).
 */
import type { Clock, CpuJob, Io, Log, LogFields, Network, Random, Tasks, Timer } from '../io/index.ts'
import type { SimDisk, SimDiskPort } from './sim-disk.ts'
import type { SimRandom } from './sim-random.ts'
import type { SimWorld } from './sim-world.ts'

export class SimIo implements Io {
  readonly world: SimWorld
  readonly host: string
  readonly clock: SimClock
  readonly random: Random
  readonly disk: SimDiskPort
  readonly network: Network
  readonly tasks: Tasks
  readonly log: Log
  readonly incarnation: number
  /** Why the incarnation ended by itself, if it did. */
  fatalReason: string | undefined
  fatalCause: unknown
  /** Called when the node ends itself. */
  onFatal: ((reason: string, cause: unknown) => void) | undefined
  #dead = false
  readonly #disk: SimDisk

  constructor(world: SimWorld, disk: SimDisk, host: string, incarnation: number) {
    this.world = world
    this.host = host
    this.incarnation = incarnation
    this.#disk = disk
    const random = world.random.fork(`node ${incarnation}`, world.trace)
    this.clock = new SimClock(world)
    this.random = random
    this.disk = disk.mount(this)
    this.network = world.internet.attach(this)
    this.tasks = new SimTasks(this, world.random.fork(`tasks ${incarnation}`))
    this.log = new SimLog(world)
  }

  get dead(): boolean {
    return this.#dead
  }

  fatal(reason: string, cause?: unknown): void {
    if (this.#dead) return
    this.#dead = true
    this.fatalReason = reason
    this.fatalCause = cause
    this.world.trace.note('fatal', 0, 0, reason)
    this.world.internet.drop(this)
    this.onFatal?.(reason, cause)
  }

  /** The node dies with its machine: what was not synced is lost, torn or reordered. */
  crash(): void {
    this.kill()
    this.#disk.crash()
  }

  /** The process dies, the machine does not: the page cache survives. */
  kill(): void {
    if (!this.#dead) this.world.trace.note('kill', this.incarnation)
    this.#dead = true
    this.#disk.unmount()
    this.world.internet.drop(this)
  }

  /** Schedules something that is forgotten if the incarnation ends first. */
  later(delayMicros: number, run: () => void): Timer {
    const event = this.world.schedule(delayMicros, () => {
      if (!this.#dead) run()
    })
    return {
      cancel() {
        event.run = undefined
      },
    }
  }
}

export class SimClock implements Clock {
  readonly #world: SimWorld
  /** How far this node's wall clock is off; may be changed at any time. */
  wallOffsetMicros = 0
  /** This node's clocks gain so many parts per million. */
  driftPpm = 0

  constructor(world: SimWorld) {
    this.#world = world
  }

  wallMicros(): number {
    const micros = this.#world.epochMicros + this.wallOffsetMicros + this.#elapsed()
    this.#world.trace.note('wall', micros)
    return micros
  }

  monotonicMicros(): number {
    const micros = this.#elapsed()
    this.#world.trace.note('monotonic', micros)
    return micros
  }

  #elapsed(): number {
    return Math.floor(this.#world.nowMicros * (1 + this.driftPpm / 1e6))
  }
}

class SimTasks implements Tasks {
  readonly #io: SimIo
  readonly #random: SimRandom

  constructor(io: SimIo, random: SimRandom) {
    this.#io = io
    this.#random = random
  }

  after(delayMs: number, callback: () => void): Timer {
    const micros = Math.ceil(delayMs * 1000)
    this.#io.world.trace.note('after', micros)
    const timer = this.#io.later(micros, callback)
    return {
      cancel: () => {
        this.#io.world.trace.note('cancel', micros)
        timer.cancel()
      },
    }
  }

  yield(): Promise<void> {
    this.#io.world.trace.note('yield')
    // A turn takes time: code that yields in a loop must not hold the clock still.
    return new Promise((done) => this.#io.later(1, done))
  }

  cpu<I, O>(job: CpuJob<I, O>, input: I, transfer: readonly ArrayBufferLike[] = []): Promise<O> {
    this.#io.world.trace.note('cpu', 0, 0, job.name)
    const movable = transfer.filter((buffer) => buffer instanceof ArrayBuffer)
    const received = structuredClone(input, { transfer: movable })
    return new Promise((done, fail) => {
      this.#io.later(this.#random.between(10, 5000), () => {
        try {
          done(job.run(received))
        } catch (error) {
          fail(error)
        }
      })
    })
  }
}

class SimLog implements Log {
  readonly #world: SimWorld

  constructor(world: SimWorld) {
    this.#world = world
  }

  debug(event: string): void {
    this.#world.trace.note('debug', 0, 0, event)
  }

  info(event: string): void {
    this.#world.trace.note('info', 0, 0, event)
  }

  warn(event: string): void {
    this.#world.trace.note('warn', 0, 0, event)
  }

  error(event: string): void {
    this.#world.trace.note('error', 0, 0, event)
  }

  child(_fields: LogFields): Log {
    return this
  }
}
