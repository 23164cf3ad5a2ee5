/**
 * The Raft group of one: its own vote is the majority, so an entry is committed when its fsync returns.
 *
 * It keeps the group's shape on disk (term, vote, index, commit hint), so that the same log can grow into a group of
 * several. Each start is a new term, voted for by itself.
 */
import { assert } from '../base/index.ts'
import type { CommitLog, Engine } from '../storage/index.ts'
import type { Replica } from './replica.ts'
import type { StateMachine } from './state-machine.ts'

export interface SoloOptions {
  readonly log: CommitLog
  readonly engine: Engine
  readonly machine: StateMachine
  readonly stream: number
  readonly nodeId: number
  /** Called now and then while entries are replayed, with how many of how many are done. */
  readonly progress?: (done: number, total: number) => void
}

export class SoloReplica implements Replica {
  readonly stream: number
  readonly term: number
  readonly #log: CommitLog
  readonly #engine: Engine
  readonly #machine: StateMachine
  #lastIndex: number

  private constructor(options: SoloOptions, term: number, lastIndex: number) {
    this.stream = options.stream
    this.term = term
    this.#log = options.log
    this.#engine = options.engine
    this.#machine = options.machine
    this.#lastIndex = lastIndex
  }

  /** Replays what the tables do not hold, then takes the next term. */
  static async open(options: SoloOptions): Promise<SoloReplica> {
    const { log, engine, machine, stream } = options
    const applied = engine.applied(stream)
    const last = Math.max(log.lastIndex(stream), applied)
    if (last > applied) {
      assert(log.firstIndex(stream) <= applied + 1, 'the log begins after what the tables hold')
      let at = applied + 1
      while (at <= last) {
        const to = Math.min(last, at + 9_999)
        await log.read(stream, at, to, (record) => machine.apply(record.payload, stream, record.index))
        at = to + 1
        options.progress?.(at - 1 - applied, last - applied)
        if (engine.stalled) await engine.unstalled()
      }
    }
    const state = log.hardState(stream)
    const term = state.term + 1
    log.saveHardState(stream, { term, vote: options.nodeId, commit: last }, undefined)
    await log.sync()
    return new SoloReplica(options, term, last)
  }

  propose(payload: Uint8Array, transactionId: number, applied: () => void): void {
    const index = ++this.#lastIndex
    try {
      this.#log.append({ stream: this.stream, index, term: this.term, transactionId, payload }, () => {
        this.#machine.apply(payload, this.stream, index)
        applied()
      })
    } catch (error) {
      // A full disk or an entry that is too long: the log has not taken it, the index is free.
      this.#lastIndex = index - 1
      throw error
    }
  }

  reclaim(): void {
    this.#log.release(this.stream, this.#engine.flushed(this.stream))
  }

  async close(): Promise<void> {
    await this.#log.sync()
  }
}
