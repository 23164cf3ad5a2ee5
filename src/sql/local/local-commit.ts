/**
 * The commit of what a transaction wrote to local tables.
 *
 *   one table and nothing else     prepare: append, durably           (works with no other node in reach)
 *   several, others too, or much   prepare: entries of the outbox → the transaction commits → deliver them
 *
 * Commits of one merging table follow each other, from the reading of its rows to the appending of their deltas: of two
 * that add to one counter the second must know of the first.
 *
 * Not here: what was written (local-writes.ts), the transaction (transaction/).
 */
import { DbError, END, type Step, WAIT } from '../../base/index.ts'
import type { NewEvent } from '../../model/events/index.ts'
import { cellToleranceMicros, rowEvent } from '../../model/local-tables/row-event.ts'
import { deltaOf, type RowStep } from '../../model/local-tables/row-step.ts'
import { type RowAnswer, rowsViewName, stateCells } from '../../model/local-tables/rows-view.ts'
import { newestTimestamp } from '../../replication/sync/index.ts'
import type { Transaction } from '../../transaction/index.ts'
import type { LocalTables, OpenTable } from './local-tables.ts'
import type { LocalWrite, LocalWrites } from './local-writes.ts'
import { jsonType, maxEventBytes, type OutboxBatch, type OutboxEntry, parted } from './outbox.ts'
import { changesOf, type PublishingSession } from './publishing.ts'

type Events = [key: string, value: string][]

const decoder = new TextDecoder()
const encoder = new TextEncoder()

export class LocalCommit {
  readonly #tables: LocalTables
  readonly #writes: LocalWrites
  readonly #tx: Transaction
  readonly #publishing: PublishingSession | undefined
  readonly #turns: (() => void)[] = []
  #phase: 'new' | 'preparing' | 'prepared' | 'delivering' | 'done' = 'new'
  #error: { readonly value: unknown } | undefined
  #entries: OutboxEntry[] = []
  /** What the last WAIT waits for. */
  blocker: { ready(): Promise<void> } | undefined

  /** @param publishing whose bridged tables' changes are published; undefined: none are. */
  constructor(tables: LocalTables, writes: LocalWrites, tx: Transaction, publishing: PublishingSession | undefined) {
    this.#tables = tables
    this.#writes = writes
    this.#tx = tx
    this.#publishing = publishing
  }

  /** Before the transaction commits. Raises what refuses the writes: unique_violation, clock_skewed, event_conflict, … */
  prepare(): Step {
    if (this.#phase === 'new') this.#go('preparing', this.#prepare(), 'prepared')
    if (this.#phase === 'preparing') return WAIT
    if (this.#error !== undefined) throw this.#error.value
    return END
  }

  /** After it has committed; the session's next statement sees its rows. */
  deliver(): Step {
    if (this.#phase === 'prepared') {
      if (this.#entries.length === 0) this.#phase = 'done'
      else this.#go('delivering', this.#tables.outbox.deliver(this.#entries, this.#tx.commitTimestamp), 'done')
    }
    if (this.#phase === 'delivering') return WAIT
    this.end()
    return END
  }

  #go(phase: 'preparing' | 'delivering', work: Promise<void>, then: 'prepared' | 'done'): void {
    this.#phase = phase
    const over = work.then(
      () => {
        this.#phase = then
      },
      (value) => {
        this.#error = { value }
        this.#phase = then
      },
    )
    // Whoever waited for it may be gone: the turns are given back all the same.
    this.blocker = { ready: () => over }
    over.then(() => this.#abandoned && this.end())
  }
  #abandoned = false

  /** The transaction is over, either way. */
  end(): void {
    this.#abandoned = true
    if (this.#phase === 'preparing' || this.#phase === 'delivering') return
    for (const release of this.#turns.splice(0)) release()
  }

  async #prepare(): Promise<void> {
    this.#tables.outbox.check()
    const byStore = new Map<string, LocalWrite[]>()
    for (const w of this.#writes.all) {
      const list = byStore.get(w.store)
      if (list === undefined) byStore.set(w.store, [w])
      else list.push(w)
    }
    // All take their turns in one order: none waits for another that waits for it.
    const names = [...byStore.keys()].sort()
    const batches: OutboxBatch[] = []
    for (const name of names) {
      const writes = byStore.get(name)!
      const merging = !(writes[0].what instanceof Uint8Array)
      const table = await this.#tables.open(name, merging)
      const events = merging ? await this.#deltas(table, writes) : plainEvents(writes)
      if (!merging) await this.#tables.checkValues(name, events)
      for (const [key, value] of events) checkSize(name, key, value)
      if (events.length > 0) batches.push({ store: name, events })
    }
    if (this.#publishing !== undefined) {
      for (const batch of await changesOf(this.#publishing, this.#tx)) {
        for (const [identity, text] of batch.events) checkSize(batch.store, identity, text)
        batches.push(batch)
      }
    }
    if (batches.length === 0) return
    const parts = parted(batches)
    if (parts.length === 1 && this.#tx.overlay.empty && parts[0].origin === undefined) return this.#append(parts[0])
    const { outbox } = this.#tables
    for (const batch of parts) {
      const key = outbox.entryKey(this.#tables.newKey())
      this.#entries.push({ key, batch })
      const value = outbox.entryValue(batch)
      this.#tx.put(key, value, 0, value.length)
    }
  }

  async #append({ store: name, events }: OutboxBatch): Promise<void> {
    const { store } = await this.#tables.open(name, false)
    const all: NewEvent[] = events.map(([key, value]) => ({ key, value: encoder.encode(value), contentType: jsonType }))
    await store.append(all)
  }

  async #deltas(table: OpenTable, writes: readonly LocalWrite[]): Promise<Events> {
    this.#turns.push(await this.#tables.takeTurn(table.name))
    const steps = new Map<string, RowStep[]>()
    for (const { key, what } of writes) {
      const own = steps.get(key)
      if (own === undefined) steps.set(key, [what as RowStep])
      else own.push(what as RowStep)
    }
    const out: Events = []
    for (const [row, list] of steps) {
      const answer = (await table.views.get(rowsViewName, row)) as RowAnswer | undefined
      const before = answer === undefined ? undefined : stateCells(answer)
      const seen = before === undefined ? 0 : newestTimestamp(before)
      const time = () => this.#tables.newTime(table, seen, cellToleranceMicros / 2)
      const delta = deltaOf(before, list, time)
      if (delta === 'taken') {
        throw new DbError('unique_violation', `a row with the key (${row}) of "${table.name}" exists already`, {
          hint: 'It has come since the statement looked. Try the transaction again.',
        })
      }
      if (delta !== undefined) out.push([this.#tables.newKey(), JSON.stringify(rowEvent(row, delta))])
    }
    return out
  }
}

/** What a store would refuse after the commit is refused before. */
function checkSize(store: string, key: string, value: string): void {
  // A character is at most three bytes.
  if (value.length * 3 <= maxEventBytes) return
  const bytes = encoder.encode(value).length
  if (bytes <= maxEventBytes) return
  throw new DbError(
    'event_too_large',
    `the row ${key} of "${store}" has ${bytes} bytes: at most ${maxEventBytes} are taken`,
    {
      hint: 'Keep large values elsewhere, or in several rows.',
    },
  )
}

function plainEvents(writes: readonly LocalWrite[]): Events {
  return writes.map(({ key, what }) => [key, decoder.decode(what as Uint8Array)])
}
