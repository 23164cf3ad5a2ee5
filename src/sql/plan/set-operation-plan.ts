/** UNION, INTERSECT, EXCEPT and recursion. */
import { Append, type Computation, Project } from '../execute/basic.ts'
import type { Operator } from '../execute/execution.ts'
import { LateRegisters } from '../execute/rename.ts'
import { RecursiveUnion, SetOperationScan, WorkTable, WorkTableScan } from '../execute/sources.ts'
import type { CommonTable, SetOperation } from '../query.ts'
import { typeOf } from './compile.ts'
import { distinctRows } from './distinct.ts'
import { type Planned, planQuery } from './plan-query.ts'
import { PlanScope } from './scope.ts'

type Leaf = SetOperation | { readonly kind: 'query'; readonly entry: number }

/** The combined rows, in the registers of the query's 'result' entry. */
export function planSetOperation(scope: PlanScope): { operator: Operator; rows: number } {
  const top = scope.query.setOperation!
  const planned = planNode(scope, top)
  const result = scope.query.entries.findIndex((e) => e.kind === 'result')
  planned.outputs.forEach((register, i) => {
    const source = scope.source(result)
    if (source.kind === 'registers') source.byColumn.set(i + 1, register)
  })
  return planned
}

function planNode(scope: PlanScope, node: Leaf): Planned {
  if (node.kind === 'query') {
    const entry = scope.entry(node.entry)
    if (entry.kind !== 'subquery') throw new Error('an operand is a query')
    return planQuery(scope.builder, entry.query, scope)
  }
  const types = node.columns.map((c) => typeOf(scope, c.type))
  if (node.op === 'union') {
    // A chain of the same kind is one append.
    const parts = flatten(node, node.all).map((n) => planNode(scope, n))
    const outputs = types.map((t) => scope.builder.allocate(t))
    const appended = new Append(
      parts.map((p) => copied(p, outputs)),
      outputs,
    )
    const rows = parts.reduce((n, p) => n + p.rows, 0)
    if (node.all) return { operator: appended, outputs, rows }
    return {
      operator: distinctRows(
        scope.builder,
        appended,
        outputs.map((register, i) => ({ register, type: types[i], text: node.columns[i].name })),
      ),
      outputs,
      rows,
    }
  }
  const left = planNode(scope, node.left)
  const right = planNode(scope, node.right)
  const outputs = types.map((t) => scope.builder.allocate(t))
  const operator = new SetOperationScan(
    node.op,
    node.all,
    left.operator,
    right.operator,
    left.outputs,
    right.outputs,
    outputs,
    types,
  )
  return { operator, outputs, rows: left.rows }
}

function flatten(node: Leaf, all: boolean): Leaf[] {
  if (node.kind === 'setop' && node.op === 'union' && (node.all === all || !all))
    return [...flatten(node.left, all), ...flatten(node.right, all)]
  return [node]
}

function copied(planned: Planned, outputs: readonly number[]): Operator {
  const computations = planned.outputs.map(
    (from, i): Computation => ({
      eval: (x) => x.r[from],
      register: outputs[i],
      uses: new Set([from]),
      suspends: false,
    }),
  )
  return new Project(planned.operator, computations)
}

/** The plan of a recursive common table; references to itself inside read the work table. */
export function planRecursive(outer: PlanScope, table: CommonTable): Planned {
  const { query } = table
  const scope = new PlanScope(outer.builder, query, outer)
  const top = query.setOperation!
  const work = new WorkTable()
  const left = planNode(scope, top.left)
  // Within the recursive term the name means the last round's rows.
  const shadow = outer.commonTables.push({
    name: table.name,
    inline: undefined,
    scan: (_reader, byColumn) =>
      new LateRegisters(
        (registers) =>
          new WorkTableScan(
            work,
            top.columns.map((_, i) => registers.get(i + 1) ?? -1),
          ),
        byColumn,
      ),
  })
  // The self reference is looked up by name, newest first.
  outer.commonTables.unshift(outer.commonTables.splice(shadow - 1, 1)[0])
  const right = planNode(scope, top.right)
  outer.commonTables.shift()
  const outputs = top.columns.map((c) => outer.builder.allocate(typeOf(scope, c.type)))
  const operator = new RecursiveUnion(
    left.operator,
    right.operator,
    left.outputs,
    right.outputs,
    outputs,
    top.columns.map((c) => typeOf(scope, c.type)),
    top.all,
    work,
  )
  return { operator, outputs, rows: left.rows * 10 }
}
