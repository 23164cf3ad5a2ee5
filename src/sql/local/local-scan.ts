/**
 * A scan of a local table: pages of its event database, and what the transaction itself has written there.
 *
 *   next: rows of the page → WAIT for the next page → … → own rows that no page had → END
 *
 * Not here: where pages come from (row-source.ts).
 */
import { END, ROW, type Step, WAIT, YIELD } from '../../base/index.ts'
import type { Column, RelationDescriptor } from '../catalog/descriptors.ts'
import type { Condition } from '../execute/basic.ts'
import { type Execution, type NodeDescription, Operator } from '../execute/execution.ts'
import { plainContext, type Type, type Value } from '../types/type.ts'
import type { LocalSession } from './local-session.ts'
import { isContinuousView, isMerging } from './local-table.ts'
import type { OpenTable } from './local-tables.ts'
import { RowJson } from './row-json.ts'
import {
  eventPages,
  eventsByKey,
  type FoundRow,
  groupPages,
  mergedByKey,
  mergedPages,
  type RowPages,
} from './row-source.ts'
import { requireLocal } from './waiting.ts'

/** Attribute numbers of the pseudo columns, as in plan/compile.ts. */
const rowKeyColumn = -101
const tableoidColumn = -6

export interface LocalScanOptions {
  readonly table: RelationDescriptor
  /** Name of the event database; of a view that of the view. */
  readonly store: string
  readonly alias: string
  /** Register of each column read, by attribute number. */
  readonly registers: ReadonlyMap<number, number>
  readonly filter: Condition | undefined
  /** The keys to look up; undefined: all rows are read. */
  readonly keys: { readonly values: (x: Execution) => readonly Value[]; readonly text: string } | undefined
  /** The column that is the event's key or the row's, and its type; a continuous view has none. */
  readonly key: { readonly column: Column; readonly type: Type } | undefined
}

const encoder = new TextEncoder()

export class LocalScan extends Operator {
  readonly options: LocalScanOptions
  readonly #columns: number[]
  readonly #merging: boolean
  #json: RowJson | undefined
  #pages: RowPages | undefined
  #page: readonly FoundRow[] = []
  #at = 0
  /** Own rows that are to come: by key. */
  #own = new Map<string, readonly Value[] | undefined>()
  #ownRows: Iterator<readonly [string, readonly Value[] | undefined]> | undefined
  #pending: Promise<void> | undefined
  #error: { readonly value: unknown } | undefined
  /** After a suspended condition: the same row is tested again. */
  #held = false
  #count = 0
  readonly #values: Value[] = []

  constructor(options: LocalScanOptions) {
    super()
    this.options = options
    this.#columns = [...options.registers.keys()].filter((c) => c > 0)
    this.#merging = isMerging(options.table)
  }

  produces(): readonly number[] {
    return [...this.options.registers.values()]
  }
  require(): void {}

  open(x: Execution): void {
    const { table, store, keys, key } = this.options
    const local = requireLocal(x)
    local.checkReading(x.tx, table.name, x.depth)
    this.#json ??= new RowJson(table, x.types, key?.column)
    const plain = plainContext(x.types)
    const wanted = keys?.values(x).filter((v) => v !== null)
    const texts = wanted && [...new Set(wanted.map((v) => key!.type.format(v, plain)))]
    this.#own.clear()
    if (texts === undefined) for (const w of local.writes.rows(store, x.tx.statement)) this.#own.set(w.key, w.values)
    else {
      for (const text of texts) {
        const own = local.writes.find(store, text, x.tx.statement)
        if (own !== undefined) this.#own.set(text, own.values)
      }
    }
    this.#page = []
    this.#at = 0
    this.#ownRows = undefined
    this.#held = false
    this.#error = undefined
    this.#pages = undefined
    if (texts?.length === 0) this.#pages = async () => undefined
    else this.#read(x, this.#begin(local, x, texts))
  }

  async #begin(local: LocalSession, x: Execution, keys: readonly string[] | undefined): Promise<void> {
    const { table: relation, store } = this.options
    if (isContinuousView(relation)) {
      const table = await local.openView(relation)
      this.#pages = groupPages(table, store, local.boundOf(x.tx, table))
      return
    }
    const table: OpenTable = await local.tables.open(store, this.#merging)
    const bound = local.boundOf(x.tx, table)
    if (this.#merging) this.#pages = keys === undefined ? mergedPages(table, bound) : mergedByKey(table, keys, bound)
    else this.#pages = keys === undefined ? eventPages(table, bound) : eventsByKey(table, keys, bound)
  }

  #read(x: Execution, work: Promise<void>): void {
    const pending: Promise<void> = work.then(
      () => this.#done(pending),
      (value) => this.#done(pending, { value }),
    )
    this.#pending = pending
    x.blocker = { ready: () => pending }
  }

  /** What an earlier opening had asked for may come after it was closed. */
  #done(pending: Promise<void>, error?: { readonly value: unknown }): void {
    if (this.#pending !== pending) return
    this.#pending = undefined
    this.#error = error
  }

  next(x: Execution): Step {
    const { filter } = this.options
    for (;;) {
      if (!this.#held) {
        const step = this.#row(x)
        if (step !== ROW) return step
        if ((++this.#count & 1023) === 0 && x.spent) {
          this.#held = true
          return YIELD
        }
      }
      this.#held = false
      if (filter === undefined) return ROW
      this.#held = filter.suspends
      const pass = filter.eval(x)
      this.#held = false
      if (pass === true) return ROW
    }
  }

  #row(x: Execution): Step {
    for (;;) {
      if (this.#pending !== undefined) {
        const pending = this.#pending
        x.blocker = { ready: () => pending }
        return WAIT
      }
      if (this.#error !== undefined) throw this.#error.value
      if (this.#at < this.#page.length) {
        const { key, row } = this.#page[this.#at++]
        if (this.#own.has(key)) {
          const own = this.#own.get(key)
          this.#own.delete(key)
          if (own === undefined) continue
          return this.#show(x, key, own)
        }
        this.#json!.decode(row, this.#columns, this.#values)
        const own = this.options.key
        if (own !== undefined) this.#values[own.column.number - 1] = own.type.parse(key, -1, x.types)
        return this.#show(x, key, this.#values)
      }
      if (this.#pages !== undefined) {
        this.#read(x, this.#nextPage(this.#pages))
        continue
      }
      this.#ownRows ??= this.#own.entries()
      const own = this.#ownRows.next()
      if (own.done) return END
      const [key, values] = own.value
      if (values !== undefined) return this.#show(x, key, values)
    }
  }

  async #nextPage(pages: RowPages): Promise<void> {
    const page = await pages()
    if (page === undefined) this.#pages = undefined
    this.#page = page ?? []
    this.#at = 0
  }

  #show(x: Execution, key: string, values: readonly Value[]): Step {
    for (const [column, register] of this.options.registers) {
      if (column > 0) x.r[register] = values[column - 1] ?? null
      else if (column === rowKeyColumn) x.r[register] = encoder.encode(key)
      else if (column === tableoidColumn) x.r[register] = this.options.table.oid
      else x.r[register] = null
    }
    return ROW
  }

  close(): void {
    this.#pending = undefined
    this.#pages = undefined
    this.#page = []
    this.#own.clear()
  }

  describe(): NodeDescription {
    const { table, alias, filter, keys } = this.options
    const details: [string, string][] = []
    if (keys !== undefined) details.push(['Key', keys.text])
    if (filter !== undefined) details.push(['Filter', filter.text])
    return {
      name: 'Local Scan',
      target: `on ${table.name}${alias === table.name ? '' : ` ${alias}`}`,
      details,
    }
  }
}
