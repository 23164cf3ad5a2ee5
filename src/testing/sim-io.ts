/**
 * The ports of one incarnation of a simulated node. After `crash` nothing that the incarnation awaits ever comes, so
 * none of its continuations runs into its successor.
 *
 * Not here: what survives (sim-disk.ts), other nodes (sim-world.ts).
 */
import type { Clock, CpuJob, Io, Log, LogFields, Network, Random, Tasks, Timer } from '../io/index.ts'
import type { EventOwner, SimEvent } from './event-queue.ts'
import type { SimDisk, SimDiskPort } from './sim-disk.ts'
import type { SimRandom } from './sim-random.ts'
import type { SimWorld } from './sim-world.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export class SimIo implements Io, EventOwner {
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
  /** Called once when the incarnation ends, however it does. */
  onEnd: (() => void) | undefined
  /** Hears everything that is logged. */
  onLog: ((level: LogLevel, event: string, fields: LogFields) => void) | undefined
  #dead = false
  #paused = false
  #held: SimEvent[] = []
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
    this.log = new SimLog(this, {})
  }

  get dead(): boolean {
    return this.#dead
  }

  fatal(reason: string, cause?: unknown): void {
    if (this.#dead) return
    this.fatalReason = reason
    this.fatalCause = cause
    this.world.trace.note('fatal', 0, 0, reason)
    this.#end()
    this.world.internet.drop(this)
    this.onFatal?.(reason, cause)
  }

  get paused(): boolean {
    return this.#paused
  }

  /** Nothing that the node waits for happens until `resume`: the process is stopped, its machine goes on. */
  pause(): void {
    if (this.#dead || this.#paused) return
    this.world.trace.note('pause', this.incarnation)
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.world.trace.note('resume', this.incarnation)
    this.#paused = false
    this.world.release(this.#held)
    this.#held = []
  }

  hold(event: SimEvent): void {
    this.#held.push(event)
  }

  #end(): void {
    this.#dead = true
    this.#paused = false
    this.#held = []
    this.onEnd?.()
  }

  /** The node dies with its machine: what was not synced is lost, torn or reordered. */
  crash(): void {
    this.kill()
    this.#disk.crash()
  }

  /** The process dies, the machine does not: the page cache survives. */
  kill(): void {
    if (!this.#dead) {
      this.world.trace.note('kill', this.incarnation)
      this.#end()
    }
    this.#disk.unmount()
    this.world.internet.drop(this)
  }

  /** Schedules something that is forgotten if the incarnation ends first. */
  later(delayMicros: number, run: () => void): Timer {
    const happen = () => {
      if (!this.#dead) run()
    }
    const event = this.world.schedule(delayMicros, happen, this)
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
  #driftPpm = 0
  /** The clock showed `#shown` when the world's was at `#since`. */
  #since = 0
  #shown = 0

  constructor(world: SimWorld) {
    this.#world = world
  }

  /** This node's clocks gain so many parts per million, from now on. Above -1,000,000. */
  get driftPpm(): number {
    return this.#driftPpm
  }

  set driftPpm(ppm: number) {
    this.#shown = this.#elapsed()
    this.#since = this.#world.nowMicros
    this.#driftPpm = ppm
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

  /** How long the world takes until this clock has gone on by so much. */
  worldMicros(micros: number): number {
    return Math.ceil(micros / (1 + this.#driftPpm / 1e6))
  }

  #elapsed(): number {
    return this.#shown + Math.floor((this.#world.nowMicros - this.#since) * (1 + this.#driftPpm / 1e6))
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
    const timer = this.#io.later(this.#io.clock.worldMicros(micros), callback)
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
  readonly #io: SimIo
  readonly #fields: LogFields

  constructor(io: SimIo, fields: LogFields) {
    this.#io = io
    this.#fields = fields
  }

  debug(event: string, fields?: LogFields): void {
    this.#write('debug', event, fields)
  }

  info(event: string, fields?: LogFields): void {
    this.#write('info', event, fields)
  }

  warn(event: string, fields?: LogFields): void {
    this.#write('warn', event, fields)
  }

  error(event: string, fields?: LogFields): void {
    this.#write('error', event, fields)
  }

  child(fields: LogFields): Log {
    return new SimLog(this.#io, { ...this.#fields, ...fields })
  }

  #write(level: LogLevel, event: string, fields: LogFields | undefined): void {
    this.#io.world.trace.note(level, 0, 0, event)
    this.#io.onLog?.(level, event, { ...this.#fields, ...fields })
  }
}
