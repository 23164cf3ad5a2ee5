/** A bound query made executable, with what tells whether it may be used again. */

import { type Step, WAIT } from '../../base/index.ts'
import { accessShare, rowExclusive, rowShare } from '../../transaction/index.ts'
import type { BindContext } from '../bind/context.ts'
import { forEachChild, forEachQueryExpr, forEachSubquery } from '../bind/scope.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { systemRelation } from '../catalog/system-schema.ts'
import type { Execution, Operator } from '../execute/execution.ts'
import { referencesTo } from '../execute/foreign-keys.ts'
import type { Tables } from '../execute/tables.ts'
import { planQuery } from '../plan/plan-query.ts'
import { PlanBuilder } from '../plan/scope.ts'
import type { Entry, Expr, Query } from '../query.ts'
import type { Field } from '../session-api.ts'
import type { Session } from './session.ts'

export interface Plan {
  readonly operator: Operator
  readonly outputs: readonly number[]
  readonly registers: number
  readonly resets: readonly ((x: Execution) => void)[]
  readonly fields: readonly Field[] | undefined
  readonly locks: readonly { readonly key: string; readonly mode: number }[]
  readonly command: Query['command']
  readonly writes: boolean
  readonly builder: PlanBuilder
  /** As it was when the plan was made. */
  readonly catalog: Catalog
  readonly query: Query
  /** Another portal is running it. */
  busy: boolean
}

export function makePlan(
  context: BindContext,
  query: Query,
  tables: Tables,
  rows: (oid: number) => number | undefined,
  instrument = false,
): Plan {
  const builder = new PlanBuilder(context, tables, rows, instrument)
  const planned = planQuery(builder, query, undefined)
  planned.operator.require(new Set(planned.outputs))
  const locks = lockList(query, context.names.catalog)
  return {
    operator: planned.operator,
    outputs: planned.outputs,
    registers: builder.registers,
    resets: builder.resets,
    fields: fieldsOf(context, query, planned.outputs),
    locks,
    command: query.command,
    writes: locks.some((l) => l.mode === rowExclusive),
    builder,
    catalog: context.names.catalog,
    query,
    busy: false,
  }
}

/**
 * A plan whose tables are locked, for work that is no portal's. It is made again when a lock was waited for: what was
 * waited for may have changed the tables.
 */
export function* lockedPlan(session: Session, make: () => Plan): Generator<Step, Plan, void> {
  for (;;) {
    const plan = make()
    const tx = session.transaction()
    let waited = false
    for (const { key, mode } of plan.locks) {
      while (tx.lockTable(key, mode) === WAIT) {
        waited = true
        session.blocker = tx.blocker
        yield WAIT
      }
    }
    if (waited) continue
    relyOnWritten(session, plan)
    return plan
  }
}

/** The transaction's work relies on the definitions of the tables that the plan writes to, as they are known now. */
export function relyOnWritten(session: Session, plan: Plan): void {
  for (const { key, mode } of plan.locks) if (mode >= rowExclusive) session.relyOn(Number(key))
}

export function fieldsOf(context: BindContext, query: Query, outputs: readonly number[]): Field[] | undefined {
  const targets = query.modify === undefined ? query.targets.filter((t) => !t.junk) : query.modify.returning
  return targets?.map((t, i) => ({
    name: t.name,
    slot: outputs[i] ?? i,
    type: context.types.types.type(t.expr.type),
    typmod: t.expr.typmod,
    tableOid: t.table ?? 0,
    columnNumber: t.column ?? 0,
  }))
}

/** Table locks that running the query takes, strongest per table. */
function lockList(query: Query, catalog: Catalog): { key: string; mode: number }[] {
  const modes = new Map<number, number>()
  const add = (oid: number, mode: number): void => {
    if (oid >= 16384) modes.set(oid, Math.max(mode, modes.get(oid) ?? 0))
  }
  const seen = new Set<string>()
  /** Foreign keys are looked up in other tables, and cascades write there. */
  const addForeign = (table: number, command: Query['command']): void => {
    const name = `${command} ${table}`
    if (seen.has(name)) return
    seen.add(name)
    if (command !== 'delete') {
      for (const { foreign } of catalog.relation(table)?.constraints ?? [])
        if (foreign !== undefined) add(foreign.table, rowShare)
    }
    if (command === 'insert') return
    for (const { child, constraint } of referencesTo(catalog, table)) {
      const { onDelete, onUpdate } = constraint.foreign!
      const action = command === 'delete' ? onDelete : onUpdate
      const cascades = action !== 'a' && action !== 'r'
      add(child.oid, cascades ? rowExclusive : rowShare)
      if (cascades) addForeign(child.oid, command === 'delete' && action === 'c' ? 'delete' : 'update')
    }
  }
  const visitQuery = (q: Query): void => {
    q.entries.forEach((e: Entry, i) => {
      if (e.kind !== 'relation' || systemRelation(e.relation) !== undefined) return
      const locked = q.marks.some((m) => m.entries.includes(i))
      add(e.relation, q.modify?.target === i ? rowExclusive : locked ? rowShare : accessShare)
      const view = catalog.relation(e.relation)?.view
      if (view !== undefined) visitQuery(view)
    })
    if (q.modify !== undefined) {
      addForeign(q.modify.relation, q.command)
      if (q.modify.conflict?.action === 'update') addForeign(q.modify.relation, 'update')
    }
    forEachQueryExpr(q, visitExpr)
    forEachSubquery(q, visitQuery)
  }
  const visitExpr = (e: Expr): void => {
    if (e.kind === 'sublink') visitQuery(e.query)
    forEachChild(e, visitExpr)
  }
  visitQuery(query)
  return [...modes].map(([oid, mode]) => ({ key: String(oid), mode }))
}
