/**
 * Sequence values and row ids. Not transactional, as in PostgreSQL: what is handed out never comes back.
 *
 * The store holds how far values may have been handed out; it is moved ahead in steps, by a log record that precedes
 * the commit of any transaction that uses a value of the step. A crash leaves a gap, never a repetition.
 *
 *   key   u32 2 │ u32 storage id of the sequence        value   reserved value in text form │ ' ' │ t or f (was it handed out)
 */
import { DbError } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import type { TransactionStore } from '../../transaction/index.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { RelationDescriptor, SequenceInfo } from '../catalog/descriptors.ts'
import type { Execution } from './execution.ts'

export const sequenceStorage = 2

/** How many values a log record reserves. PostgreSQL's SEQ_LOG_VALS. */
const step = 32n
const rowIdStep = 10_000

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

  constructor(store: TransactionStore) {
    this.#store = store
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
    this.#states.set(relation.storage, { last: value, called, reserved: value })
    this.#write(relation.storage, value, called)
  }

  /** Gives fresh storage its first value. */
  begin(storage: number, value: bigint): void {
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
    set.put(sequenceKey(storage), Buffer.from(`${value} ${called ? 't' : 'f'}`))
    this.#store.commit(set, 0, () => {})
  }
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
