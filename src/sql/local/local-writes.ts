/**
 * What a transaction has written to local tables: kept here until it commits, seen by its own later statements.
 *
 * Not here: what becomes of it at the commit (local-commit.ts).
 */
import type { RowStep } from '../../model/local-tables/row-step.ts'
import type { Value } from '../types/type.ts'

export interface LocalWrite {
  /** Name of the event database. */
  readonly store: string
  /** Of the event, or of the row of a merging table: as text. */
  readonly key: string
  /** Of the transaction: later ones see it. */
  readonly statement: number
  /** The row as it is now, by attribute number − 1; undefined: it is deleted. */
  readonly values: readonly Value[] | undefined
  /** The JSON text of the event; of a merging table what was done to the row. */
  readonly what: Uint8Array | RowStep
}

export class LocalWrites {
  readonly #list: LocalWrite[] = []
  readonly #byKey = new Map<string, Map<string, LocalWrite[]>>()

  get mark(): number {
    return this.#list.length
  }

  add(write: LocalWrite): void {
    this.#list.push(write)
    let rows = this.#byKey.get(write.store)
    if (rows === undefined) {
      rows = new Map()
      this.#byKey.set(write.store, rows)
    }
    const row = rows.get(write.key)
    if (row === undefined) rows.set(write.key, [write])
    else row.push(write)
  }

  rollbackTo(mark: number): void {
    while (this.#list.length > mark) {
      const { store, key } = this.#list.pop()!
      const rows = this.#byKey.get(store)!
      const row = rows.get(key)!
      row.pop()
      if (row.length === 0) rows.delete(key)
    }
  }

  clear(): void {
    this.#list.length = 0
    this.#byKey.clear()
  }

  /** In the order of writing. */
  get all(): readonly LocalWrite[] {
    return this.#list
  }

  /** The newest write of a row by statements before `statement`. */
  find(store: string, key: string, statement = Number.POSITIVE_INFINITY): LocalWrite | undefined {
    return this.#byKey
      .get(store)
      ?.get(key)
      ?.findLast((w) => w.statement < statement)
  }

  /** The newest write of each row that statements before `statement` have written, in the order of first writes. */
  rows(store: string, statement: number): LocalWrite[] {
    const out: LocalWrite[] = []
    for (const row of this.#byKey.get(store)?.values() ?? []) {
      const last = row.findLast((w) => w.statement < statement)
      if (last !== undefined) out.push(last)
    }
    return out
  }
}
