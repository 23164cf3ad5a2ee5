/** Common tables: planned where they are used when one place uses them, else computed once and shared. */

import { forEachChild, forEachQueryExpr, forEachSubquery } from '../bind/scope.ts'
import { LateRegisters, Rename } from '../execute/rename.ts'
import { RunFirst } from '../execute/run-first.ts'
import { CteScan, SharedRows } from '../execute/sources.ts'
import type { CommonTable, Entry, Expr, Query } from '../query.ts'
import { type Planned, planQuery } from './plan-query.ts'
import type { PlanScope } from './scope.ts'
import { planRecursive } from './set-operation-plan.ts'

/** Makes the query's common tables known to its scope; the result wraps the finished plan so that writing ones run. */
export function planCommonTables(scope: PlanScope): (planned: Planned) => Planned {
  const writing: SharedRows[] = []
  for (const table of scope.query.ctes) {
    const shared = addTable(scope, table)
    if (shared !== undefined && table.query.modify !== undefined) writing.push(shared)
  }
  if (writing.length === 0) return (planned) => planned
  return (planned) => ({ ...planned, operator: new RunFirst(planned.operator, writing) })
}

function addTable(scope: PlanScope, table: CommonTable): SharedRows | undefined {
  const references = countReferences(scope.query, table.name)
  const plain = !table.recursive && table.query.modify === undefined && table.query.command === 'select'
  if (
    plain &&
    table.materialized !== 'always' &&
    (references <= 1 || table.materialized === 'never') &&
    !hasVolatile(scope, table.query)
  ) {
    scope.commonTables.push({
      name: table.name,
      inline: table.query,
      scan: (reader, byColumn) => {
        const planned = planQuery(reader.builder, table.query, scope)
        return new Rename(planned.operator, byColumn, planned.outputs)
      },
    })
    return undefined
  }
  let shared: SharedRows | undefined
  const plan = (): SharedRows => {
    if (shared === undefined) {
      const planned = table.recursive ? planRecursive(scope, table) : planQuery(scope.builder, table.query, scope)
      planned.operator.require(new Set(planned.outputs))
      shared = new SharedRows(planned.operator, planned.outputs)
      scope.builder.subplans.push({ name: `CTE ${table.name}`, plan: planned.operator })
    }
    return shared
  }
  scope.commonTables.push({
    name: table.name,
    inline: undefined,
    scan: (_reader, byColumn) => {
      const rows = plan()
      return new LateRegisters(
        (registers) =>
          new CteScan(
            rows,
            rows.outputs.map((_, i) => registers.get(i + 1) ?? -1),
            table.name,
          ),
        byColumn,
      )
    },
  })
  return table.query.modify === undefined ? undefined : plan()
}

function countReferences(query: Query, name: string): number {
  let n = 0
  const inQuery = (q: Query, level: number): void => {
    for (const e of q.entries as readonly Entry[])
      if (e.kind === 'cte' && e.name === name && e.up === level && !e.self) n++
    forEachQueryExpr(q, (e) => inExpr(e, level))
    forEachSubquery(q, (s) => inQuery(s, level + 1))
  }
  const inExpr = (e: Expr, level: number): void => {
    if (e.kind === 'sublink') inQuery(e.query, level + 1)
    forEachChild(e, (x) => inExpr(x, level))
  }
  inQuery(query, 0)
  return n
}

function hasVolatile(scope: PlanScope, query: Query): boolean {
  let found = false
  forEachQueryExpr(query, (e) => {
    if (scope.isVolatile(e)) found = true
  })
  forEachSubquery(query, (q) => {
    if (hasVolatile(scope, q)) found = true
  })
  return found
}
