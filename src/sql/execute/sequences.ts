/**
 * Sequence values and row ids. Not transactional, as in PostgreSQL: what is handed out never comes back.
 *
 * The store holds how far values may have been handed out; it is moved ahead in steps, by a log record that precedes
 * the commit of any transaction that uses a value of the step. A crash leaves a gap, never a repetition. In a cluster
 * each node sets steps of its own aside.
 *
 *   key   u32 2 │ u32 storage id of the sequence        value   reserved value in text form │ ' ' │ t or f (was it handed out)
 */
import { DbError, ROW, WAIT } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import { forUpdate, LockOwner, type Transaction, type TransactionStore } from '../../transaction/index.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { RelationDescriptor, SequenceInfo } from '../catalog/descriptors.ts'
import type { SqlCluster } from '../cluster-port.ts'
import type { Execution } from './execution.ts'

export const sequenceStorage = 2

/** How many values a log record reserves. PostgreSQL's SEQ_LOG_VALS. */
const step = 32n
const rowIdStep = 10_000
/** Values of a sequence that nodes have set aside are void: it was set anew. */
const forgetTopic = 'sequence'

interface State {
  /** The last value handed out, or the first one to hand out when `called` is false. */
  last: bigint
  called: boolean
  /** Values up to this may be handed out without another log record. */
  reserved: bigint
}

export class Sequences {
  readonly #store: TransactionStore
  readonly #states = new Map<number, State>()
  readonly #rowIds = new Map<number, { next: number; limit: number }>()
  /** What was found in the store at start. */
  readonly #stored = new Map<number, { value: bigint; called: boolean }>()

  readonly #cluster: SqlCluster | undefined

  constructor(store: TransactionStore, cluster: SqlCluster | undefined) {
    this.#store = store
    this.#cluster = cluster
    cluster?.onBroadcast(forgetTopic, (storage: number) => this.forget(storage))
  }

  /** Takes in one stored entry at start-up. */
  load(storage: number, text: string): void {
    const [value, called] = text.split(' ')
    this.#stored.set(storage, { value: BigInt(value), called: called === 't' })
  }

  next(x: Execution, sequence: number): number | bigint {
    const relation = descriptor(x.session.catalog, sequence)
    const info = relation.sequence!
    x.session.requireWritable('nextval()')
    if (this.#cluster !== undefined) return this.#nextShared(x, relation)
    const state = this.#state(relation)
    const value = state.called ? advance(relation.name, info, state.last) : state.last
    state.last = value
    state.called = true
    const ahead = BigInt(info.increment) > 0n ? value > state.reserved : value < state.reserved
    if (ahead || state.reserved === value) this.#reserve(relation.storage, info, state, value)
    const out = safe(value)
    x.session.noteSequence(sequence, out)
    return out
  }

  set(x: Execution, sequence: number, value: bigint, called: boolean): void {
    const relation = descriptor(x.session.catalog, sequence)
    const info = relation.sequence!
    x.session.requireWritable('setval()')
    if (value < BigInt(info.min) || value > BigInt(info.max)) {
      throw new DbError(
        'numeric_value_out_of_range',
        `setval: value ${value} is out of bounds for sequence "${relation.name}" (${info.min}..${info.max})`,
      )
    }
    if (this.#cluster !== undefined) {
      this.#wait(x, relation.storage, 'set', () => this.#setShared(relation.storage, value, called))
      return
    }
    this.#states.set(relation.storage, { last: value, called, reserved: value })
    this.#write(relation.storage, value, called)
  }

  /** Gives fresh storage its first value. */
  begin(tx: Transaction, storage: number, value: bigint): void {
    if (this.#cluster !== undefined) {
      tx.put(sequenceKey(storage), encode(value, false))
      return
    }
    this.#states.set(storage, { last: value, called: false, reserved: value })
    this.#write(storage, value, false)
  }

  /** last_value and is_called, as SELECT … FROM the sequence shows them. */
  current(relation: RelationDescriptor): { last: number | bigint; called: boolean } {
    const state = this.#state(relation)
    return { last: safe(state.last), called: state.called }
  }

  /** A number that no row of the table has had. */
  nextRowId(storage: number): number {
    if (this.#cluster !== undefined) return this.#cluster.newRowId()
    let range = this.#rowIds.get(storage)
    if (range === undefined) {
      const from = Number(this.#stored.get(storage)?.value ?? 0n) + 1
      range = { next: from, limit: from - 1 }
      this.#rowIds.set(storage, range)
    }
    if (range.next > range.limit) {
      range.limit = range.next + rowIdStep
      this.#write(storage, BigInt(range.limit), true)
    }
    return range.next++
  }

  /** Forgets a dropped sequence's state. */
  forget(storage: number): void {
    this.#states.delete(storage)
    this.#rowIds.delete(storage)
    this.#stored.delete(storage)
  }

  #state(relation: RelationDescriptor): State {
    let state = this.#states.get(relation.storage)
    if (state === undefined) {
      const stored = this.#stored.get(relation.storage)
      const start = BigInt(relation.sequence!.start)
      state =
        stored === undefined
          ? { last: start, called: false, reserved: start }
          : { last: stored.value, called: stored.called, reserved: stored.value }
      this.#states.set(relation.storage, state)
    }
    return state
  }

  #reserve(storage: number, info: SequenceInfo, state: State, value: bigint): void {
    const increment = BigInt(info.increment)
    let reserved = value + increment * step
    if (increment > 0n && reserved > BigInt(info.max)) reserved = BigInt(info.max)
    if (increment < 0n && reserved < BigInt(info.min)) reserved = BigInt(info.min)
    if (info.cycle && (reserved === BigInt(info.max) || reserved === BigInt(info.min))) reserved = value
    state.reserved = reserved
    this.#write(storage, reserved, true)
  }

  #write(storage: number, value: bigint, called: boolean): void {
    const set = this.#store.builder()
    set.put(sequenceKey(storage), encode(value, called))
    this.#store.commit(set, 0, () => {})
  }

  // ---- in a cluster: values are reserved by a transaction of their own, for this node alone

  #nextShared(x: Execution, relation: RelationDescriptor): number | bigint {
    const info = relation.sequence!
    const { storage } = relation
    const state = this.#states.get(storage)
    if (state === undefined || (state.called && state.last === state.reserved)) {
      this.#wait(x, storage, 'reserve', () => this.#reserveShared(relation, info))
      return this.#nextShared(x, relation)
    }
    state.last = state.called ? state.last + BigInt(info.increment) : state.last
    state.called = true
    const out = safe(state.last)
    x.session.noteSequence(relation.oid, out)
    return out
  }

  /** Suspends the statement until the work is done; it calls again then. Raises what the work raised. */
  #wait(x: Execution, storage: number, what: string, work: () => Promise<void>): void {
    const name = `${what} ${storage}`
    let one = this.#working.get(name)
    if (one === undefined) {
      const begun: Working = { done: false, error: undefined, promise: Promise.resolve() }
      begun.promise = work().then(
        () => {
          begun.done = true
        },
        (error) => {
          begun.done = true
          begun.error = error
        },
      )
      this.#working.set(name, begun)
      one = begun
    }
    if (one.done) {
      this.#working.delete(name)
      if (one.error !== undefined) throw one.error
      return
    }
    const running = x.suspend === undefined ? x.session.running! : x
    const { promise } = one
    running.blocker = { ready: () => promise }
    running.suspend(WAIT)
  }
  readonly #working = new Map<string, Working>()

  async #reserveShared(relation: RelationDescriptor, info: SequenceInfo): Promise<void> {
    const { storage } = relation
    let reserved: State | undefined
    await this.#change(storage, (stored) => {
      const increment = BigInt(info.increment)
      const first =
        stored === undefined
          ? BigInt(info.start)
          : stored.called
            ? advance(relation.name, info, stored.value)
            : stored.value
      let last = first + increment * (step - 1n)
      if (increment > 0n && last > BigInt(info.max)) last = first + ((BigInt(info.max) - first) / increment) * increment
      if (increment < 0n && last < BigInt(info.min)) last = first + ((BigInt(info.min) - first) / increment) * increment
      reserved = { last: first, called: false, reserved: last }
      return { value: last, called: true }
    })
    // Not before it is committed: values that are not reserved may be given by others too.
    if (reserved !== undefined) this.#states.set(storage, reserved)
  }

  async #setShared(storage: number, value: bigint, called: boolean): Promise<void> {
    await this.#change(storage, () => ({ value, called }))
    this.forget(storage)
    await this.#cluster!.broadcast(forgetTopic, storage)
  }

  /** Reads what is stored of a sequence and writes what follows, until nobody comes in between. */
  async #change(storage: number, next: (stored: Stored | undefined) => Stored): Promise<void> {
    const key = sequenceKey(storage)
    for (;;) {
      const tx = this.#store.begin(new LockOwner(0), 'read committed')
      try {
        tx.startStatement()
        while (tx.lockRow(key, forUpdate) === WAIT) await tx.blocker!.ready()
        let read = tx.getLatest(key)
        while (read === WAIT) {
          await tx.blocker!.ready()
          read = tx.getLatest(key)
        }
        const { slab, valueStart, valueEnd } = tx.found
        const stored =
          read === ROW ? decode(Buffer.from(slab.bytes.subarray(valueStart, valueEnd)).toString()) : undefined
        const { value, called } = next(stored)
        tx.put(key, encode(value, called))
        while (tx.commit() === WAIT) await tx.blocker!.ready()
        return
      } catch (error) {
        if (!tx.ended) tx.rollback()
        if (!(error instanceof DbError) || error.code !== 'serialization_failure') throw error
      }
    }
  }
}

interface Stored {
  readonly value: bigint
  readonly called: boolean
}

interface Working {
  done: boolean
  error: unknown
  promise: Promise<void>
}

function encode(value: bigint, called: boolean): Uint8Array {
  return Buffer.from(`${value} ${called ? 't' : 'f'}`)
}

function decode(text: string): Stored {
  const [value, called] = text.split(' ')
  return { value: BigInt(value), called: called === 't' }
}

export function sequenceKey(storage: number): Uint8Array {
  const out = new ByteWriter(8)
  out.u32(sequenceStorage)
  out.u32(storage)
  return out.copy()
}

function descriptor(catalog: Catalog, sequence: number): RelationDescriptor {
  const relation = catalog.relationOf(sequence)
  if (relation.sequence === undefined) throw new DbError('wrong_object_type', `"${relation.name}" is not a sequence`)
  return relation
}

function advance(name: string, info: SequenceInfo, last: bigint): bigint {
  const increment = BigInt(info.increment)
  const next = last + increment
  if (increment > 0n && next > BigInt(info.max)) {
    if (info.cycle) return BigInt(info.min)
    throw new DbError(
      'sequence_generator_limit_exceeded',
      `nextval: reached maximum value of sequence "${name}" (${info.max})`,
    )
  }
  if (increment < 0n && next < BigInt(info.min)) {
    if (info.cycle) return BigInt(info.max)
    throw new DbError(
      'sequence_generator_limit_exceeded',
      `nextval: reached minimum value of sequence "${name}" (${info.min})`,
    )
  }
  return next
}

function safe(value: bigint): number | bigint {
  const n = Number(value)
  return Number.isSafeInteger(n) ? n : value
}
