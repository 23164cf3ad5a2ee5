/**
 * Planning state of one query instance: which register each column lives in, and what expressions are already computed.
 *
 * A view planned twice has two of these; the bound query they share is never changed.
 */

import { functionRow } from '../bind/calls.ts'
import type { BindContext, PlanWay } from '../bind/context.ts'
import { exprKey, forEachChild } from '../bind/scope.ts'
import type { Execution, Operator } from '../execute/execution.ts'
import type { TableAccess, Tables } from '../execute/tables.ts'
import type { Entry, Expr, Query } from '../query.ts'
import type { Type } from '../types/type.ts'

/**
 * As long as the objects that the statement names are the same; while nothing at all has changed in the catalog, since it
 * holds names of objects or calls functions that look at them; not at all.
 */
export type Reuse = 'always' | 'same-catalog' | 'never'

/** PostgreSQL's disable_cost. */
const disabledCost = 1e10

/** One plan under construction: registers are numbered across all its queries. */
export class PlanBuilder {
  readonly context: BindContext
  registers = 0
  /** Sub-plans to forget the state of when an execution starts. */
  readonly resets: ((x: Execution) => void)[] = []
  /** Sub-plans for EXPLAIN. */
  readonly subplans: { readonly name: string; readonly plan: Operator }[] = []
  /** How long the plan may be used again. */
  reuse: Reuse = 'always'
  readonly instrument: boolean
  /** Tables of at least so many rows are read in batches where their conditions allow it. */
  readonly batchRows: number

  readonly tables: Tables
  readonly rows: (oid: number) => number | undefined
  /** The execution that runs the plan now, for code that is not handed it (aggregates' functions). */
  running: Execution | undefined
  readonly #registerTypes = new Map<number, Type>()
  readonly #recorders: Set<number>[] = []

  constructor(context: BindContext, tables: Tables, rows: (oid: number) => number | undefined, instrument = false) {
    this.context = context
    this.tables = tables
    this.rows = rows
    this.instrument = instrument
    this.batchRows = context.planning?.batchRows ?? Number.POSITIVE_INFINITY
  }

  disabled(way: PlanWay): boolean {
    return this.context.planning?.disabled.has(way) ?? false
  }

  /** What a way costs besides: so much when it is disabled that any other is taken. */
  penalty(way: PlanWay): number {
    return this.disabled(way) ? disabledCost : 0
  }

  #problems = 0

  nextProblem(): number {
    return this.#problems++
  }

  /** A new register; of known type so that sorts can put its rows on disk. */
  allocate(type?: Type): number {
    const register = this.registers++
    if (type !== undefined) this.noteType(register, type)
    return register
  }

  /** Runs `make` and adds to `uses` every register that expressions compiled meanwhile read. */
  recording<T>(uses: Set<number>, make: () => T): T {
    this.#recorders.push(uses)
    try {
      return make()
    } finally {
      this.#recorders.pop()
    }
  }

  /** The type of the values in a register, when it is known: rows of known types can be spilled to disk. */
  typeOfRegister(register: number): Type | undefined {
    return this.#registerTypes.get(register)
  }

  noteType(register: number, type: Type): void {
    this.#registerTypes.set(register, type)
  }

  noteUses(uses: ReadonlySet<number>): void {
    for (const recorder of this.#recorders) for (const u of uses) recorder.add(u)
  }

  tableAccess(oid: number): TableAccess {
    const { catalog } = this.context.names
    return this.tables.access(catalog, catalog.relationOf(oid))
  }

  /** Rows of a table by the store's own estimate, undefined when it cannot say. */
  tableRows(oid: number): number | undefined {
    return this.rows(oid)
  }
}

/** Where an entry's columns come from. */
export type Source =
  | { readonly kind: 'registers'; readonly byColumn: Map<number, number> }
  | { readonly kind: 'inlined'; readonly scope: PlanScope; readonly exprs: readonly Expr[] }

export class PlanScope {
  readonly builder: PlanBuilder
  readonly query: Query
  readonly parent: PlanScope | undefined
  readonly sources: (Source | undefined)[]
  /** Expressions that are in a register already (grouped, aggregated, windowed, sorted by), by exprKey. */
  substitutions: Map<string, number> = new Map()
  /** How each common table is planned, by its position in the query. */
  readonly commonTables: CommonPlan[] = []
  /** Registers of EXCLUDED and other special entries are set by their operators. */
  readonly caseRegisters: number[] = []

  /** The join problem its relations take part in; opened sub-queries share their outer one's. */
  readonly problem: number

  constructor(builder: PlanBuilder, query: Query, parent: PlanScope | undefined, problem?: number) {
    this.problem = problem ?? builder.nextProblem()
    this.builder = builder
    this.query = query
    this.parent = parent
    this.sources = new Array(query.entries.length).fill(undefined)
  }

  outer(up: number): PlanScope {
    let scope: PlanScope = this
    for (let i = 0; i < up; i++) scope = scope.parent!
    return scope
  }

  entry(index: number): Entry {
    return this.query.entries[index]
  }

  /** The register of a column of an entry that is not inlined; allocated at first use. */
  register(entry: number, column: number): number {
    const source = this.source(entry)
    if (source.kind === 'inlined') throw new Error('an inlined entry has no registers')
    let register = source.byColumn.get(column)
    if (register === undefined) {
      register = this.builder.allocate()
      source.byColumn.set(column, register)
      const type = column > 0 ? this.entry(entry).columns[column - 1]?.type : undefined
      if (type !== undefined) this.builder.noteType(register, this.builder.context.types.types.type(type))
    }
    return register
  }

  source(entry: number): Source {
    let source = this.sources[entry]
    if (source === undefined) {
      source = { kind: 'registers', byColumn: new Map() }
      this.sources[entry] = source
    }
    return source
  }

  /** Whether evaluating it twice may give different values, or has effects. */
  isVolatile(expr: Expr): boolean {
    if (expr.kind === 'nextval') return true
    if (
      (expr.kind === 'func' || expr.kind === 'srf') &&
      functionRow(this.builder.context, expr.func)?.volatility === 'v'
    )
      return true
    let found = false
    forEachChild(expr, (e) => {
      if (!found && this.isVolatile(e)) found = true
    })
    return found
  }

  substitute(expr: Expr, register: number): void {
    this.substitutions.set(exprKey(expr), register)
  }
}

export interface CommonPlan {
  readonly name: string
  /** The query itself, when each reference may plan it for itself. */
  readonly inline: Query | undefined
  /** An operator that delivers the common table's rows; `register` gives a column's register or -1, when it is opened. */
  scan(scope: PlanScope, byColumn: ReadonlyMap<number, number>): Operator
}
