/**
 * The catalog as a transaction sees it: what everybody sees, and over it what the transaction has changed.
 *
 *   everybody's   c1 ──────────────► c2 (another session's DDL)
 *   ours          c1 + changes       c2 + changes
 *
 * What others commit meanwhile counts: a table that is written by a definition that is over loses the rows.
 *
 * Not here: writing the changes to the store (session.ts), who may change what (table locks).
 */
import type { Catalog, Change } from '../catalog/catalog.ts'

export class OwnCatalog {
  readonly #everybodys: () => Catalog
  #changes: Change[] = []
  /** `#laid` is this with the changes over it. */
  #base: Catalog | undefined
  #laid: Catalog | undefined

  constructor(everybodys: () => Catalog) {
    this.#everybodys = everybodys
  }

  get current(): Catalog {
    const now = this.#everybodys()
    if (this.#changes.length === 0) return now
    if (this.#base !== now || this.#laid === undefined) {
      this.#base = now
      this.#laid = now.with(this.#changes)
    }
    return this.#laid
  }

  /** What the transaction has changed, oldest first; `clear` leaves the array as it is. */
  get changes(): readonly Change[] {
    return this.#changes
  }

  add(change: Change): void {
    const laid = this.current.with([change])
    this.#base = this.#everybodys()
    this.#laid = laid
    this.#changes.push(change)
  }

  /** Takes back all but the first changes. */
  cutTo(count: number): void {
    this.#changes.length = count
    this.#laid = undefined
  }

  clear(): void {
    if (this.#changes.length > 0) this.#changes = []
    this.#base = undefined
    this.#laid = undefined
  }
}
