/** INSERT, UPDATE and DELETE: the rows to write as a plan, and the writer of the target table. */
import { DbError } from '../../base/index.ts'
import { coerce } from '../bind/coerce.ts'
import { relationEntry } from '../bind/from.ts'
import { defaultOf } from '../bind/modify.ts'
import { emptyQuery } from '../bind/select.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'
import type { Computation } from '../execute/basic.ts'
import { RowDecoder } from '../execute/decoder.ts'
import type { Eval } from '../execute/execution.ts'
import { type ChangeOptions, type ConflictAction, Delete, Insert, type Recheck, Update } from '../execute/modify.ts'
import { type CompiledIndex, RowWriter } from '../execute/row-writer.ts'
import type { TableAccess } from '../execute/tables.ts'
import { checkLocalChange } from '../local/definition.ts'
import { LocalRowWriter } from '../local/local-row-writer.ts'
import { isLocalTable, storeName } from '../local/local-table.ts'
import type { Expr, Modify, Query, Target } from '../query.ts'
import { compileAll } from './access-path.ts'
import { type Compiled, compile, rowKey } from './compile.ts'
import { type Planned, planFrom } from './plan-query.ts'
import { condition, conjuncts, Rel, setRel } from './rel.ts'
import { type PlanBuilder, PlanScope } from './scope.ts'

export function planModify(scope: PlanScope): Planned {
  const modify = scope.query.modify!
  const access = scope.builder.tableAccess(modify.relation)
  checkLocalChange(access.descriptor, scope.query.command, modify)
  return scope.query.command === 'insert' ? planInsert(scope, modify, access) : planChange(scope, modify, access)
}

/** Compiled indexes, checks and generated columns of a table whose columns stand in the scope's entry. */
export function makeWriter(scope: PlanScope, entry: number, access: TableAccess): RowWriter {
  const { descriptor } = access
  const registers = descriptor.columns.map((c) => scope.register(entry, c.number))
  const on = (e: Expr): Compiled => compile(scope, retarget(e, entry))
  const indexes = access.indexes.map((index): CompiledIndex => {
    const exprs = index.info.columns.map((c) => (c.column > 0 ? undefined : on(c.expr!).eval))
    const predicate = index.info.predicate === undefined ? undefined : on(index.info.predicate).eval
    return {
      access: index,
      exprs,
      predicate,
      needsRegisters: predicate !== undefined || exprs.some((e) => e !== undefined),
    }
  })
  const checks = descriptor.constraints
    .filter((c) => c.type === 'c')
    .map((c) => ({ name: c.name, test: on(c.check!).eval }))
  const generated = descriptor.columns
    .filter((c) => !c.dropped && c.generated !== undefined)
    .map((c) => ({ column: c.number, value: on(converted(scope, c.generated!, c.type, c.typmod)).eval }))
  const options = { access, registers, indexes, checks, generated }
  if (!isLocalTable(descriptor)) return new RowWriter(options)
  return new LocalRowWriter({ ...options, indexes: [] }, storeName(scope.builder.context.names.catalog, descriptor))
}

function converted(scope: PlanScope, e: Expr, type: number, typmod: number): Expr {
  return e.type === type ? e : coerce(scope.builder.context, e, type, typmod, 'assignment')
}

/** Stored expressions of a table read entry 0; here the table may stand elsewhere. */
export function retarget(e: Expr, entry: number): Expr {
  if (entry === 0) return e
  return JSON.parse(JSON.stringify(e), (key, value) => (key === 'entry' && typeof value === 'number' ? entry : value))
}

/** A writer of a table apart from any query: for cascading actions and COPY. */
export function standaloneWriter(
  builder: PlanBuilder,
  relation: RelationDescriptor,
): { writer: RowWriter; scope: PlanScope } {
  const query: Query = { ...emptyQuery(), entries: [relationEntry(relation, undefined)] }
  const scope = new PlanScope(builder, query, undefined)
  const access = builder.tableAccess(relation.oid)
  return { writer: makeWriter(scope, 0, access), scope }
}

function writerOf(scope: PlanScope): (table: number) => RowWriter {
  const made = new Map<number, RowWriter>()
  return (table) => {
    let writer = made.get(table)
    if (writer === undefined) {
      const { catalog } = scope.builder.context.names
      writer = standaloneWriter(scope.builder, catalog.relationOf(table)).writer
      made.set(table, writer)
    }
    return writer
  }
}

/** Writers of tables that cascading may reach must be made while planning: their registers belong to the plan. */
function prepareCascades(scope: PlanScope, of: (table: number) => RowWriter, table: number): void {
  const { catalog } = scope.builder.context.names
  const seen = new Set<number>([])
  const visit = (oid: number): void => {
    for (const child of catalog.relations()) {
      if (seen.has(child.oid)) continue
      if (child.constraints.some((c) => c.type === 'f' && c.foreign!.table === oid)) {
        seen.add(child.oid)
        of(child.oid)
        visit(child.oid)
      }
    }
  }
  visit(table)
}

function returningOf(
  scope: PlanScope,
  returning: readonly Target[] | undefined,
): { computations: Computation[] | undefined; outputs: number[] } {
  if (returning === undefined) return { computations: undefined, outputs: [] }
  const computations: Computation[] = []
  const outputs = returning.map((t) => {
    const c = compile(scope, t.expr)
    if (c.register !== undefined) return c.register
    const register = scope.builder.allocate()
    computations.push({ eval: c.eval, register, uses: c.uses, suspends: c.suspends })
    return register
  })
  return { computations, outputs }
}

/** The value of a column an INSERT does not mention. */
export function compileDefault(scope: PlanScope, access: TableAccess, column: number): Eval | undefined {
  const c = access.descriptor.columns[column - 1]
  if (c.dropped || c.generated !== undefined) return undefined
  return compile(scope, converted(scope, defaultOf(c), c.type, c.typmod)).eval
}

function planInsert(scope: PlanScope, modify: Modify, access: TableAccess): Planned {
  const from = planFrom(scope)
  setRel(scope, modify.target, new Rel(scope, modify.target, -1))
  const uses = new Set<number>()
  const byColumn = new Map<number, Eval>()
  scope.query.targets.forEach((t, i) => {
    const c = compile(scope, t.expr)
    for (const u of c.uses) uses.add(u)
    byColumn.set(modify.columns[i], c.eval)
  })
  const values = access.descriptor.columns.map((c) => byColumn.get(c.number) ?? compileDefault(scope, access, c.number))
  const writer = makeWriter(scope, modify.target, access)
  const of = writerOf(scope)
  if (modify.conflict?.action === 'update') prepareCascades(scope, of, modify.relation)
  const conflict = modify.conflict === undefined ? undefined : planConflict(scope, modify)
  const { computations, outputs } = returningOf(scope, modify.returning)
  const operator = new Insert(from.operator, {
    writer,
    writerOf: of,
    returning: computations,
    rowRegisters: writer.options.registers,
    uses,
    values,
    conflict,
  })
  return { operator, outputs, rows: from.rows }
}

function planConflict(scope: PlanScope, modify: Modify): ConflictAction {
  const c = modify.conflict!
  const entry = scope.entry(c.excluded)
  const excluded = entry.columns.map((_, i) => scope.register(c.excluded, i + 1))
  return {
    indexes: c.indexes.length === 0 ? undefined : new Set(c.indexes),
    update: c.action === 'update',
    columns: c.columns,
    values: c.values.map((e) => compile(scope, e).eval),
    where: c.where === undefined ? undefined : compile(scope, c.where).eval,
    excluded,
  }
}

function planChange(scope: PlanScope, modify: Modify, access: TableAccess): Planned {
  const { query } = scope
  const key = scope.register(modify.target, rowKey)
  const registers = access.descriptor.columns
    .filter((c) => !c.dropped)
    .map((c) => scope.register(modify.target, c.number))
  const from = planFrom(scope)
  const writer = makeWriter(scope, modify.target, access)
  const uses = new Set([key, ...registers])
  const values = query.targets.map((t) => {
    const c = compile(scope, t.expr)
    for (const u of c.uses) uses.add(u)
    return c.eval
  })
  const recheck = recheckOf(scope, modify.target, access)
  const of = writerOf(scope)
  prepareCascades(scope, of, modify.relation)
  const { computations, outputs } = returningOf(scope, modify.returning)
  for (const c of computations ?? []) for (const u of c.uses) uses.add(u)
  for (const o of outputs) uses.add(o)
  const options: ChangeOptions = {
    writer,
    writerOf: of,
    returning: computations,
    rowRegisters: writer.options.registers,
    uses,
    key,
    recheck,
    columns: modify.columns,
    values,
  }
  if (query.command === 'update') return { operator: new Update(from.operator, options), outputs, rows: from.rows }
  if (query.command === 'delete') return { operator: new Delete(from.operator, options), outputs, rows: from.rows }
  throw new DbError('internal_error', `${query.command} does not change rows`)
}

/** How a row of an entry is looked at again after its lock was waited for. */
export function recheckOf(scope: PlanScope, entry: number, access: TableAccess): Recheck {
  const { query } = scope
  const only = query.from.length === 1 && query.from[0].kind === 'entry' && scope.parent === undefined
  const parts = conjuncts(query.where)
  const conditions = parts.map((e) => condition(scope, e))
  const single = only && !conditions.some((c) => c.hasSublink)
  let decoder: RowDecoder | undefined
  return {
    single,
    condition: single && conditions.length > 0 ? compileAll(conditions).eval : undefined,
    decoder: () => {
      if (decoder === undefined) {
        const source = scope.source(entry)
        const columns = source.kind === 'registers' ? [...source.byColumn].filter(([c]) => c > 0) : []
        decoder = new RowDecoder(
          access,
          columns.map(([c]) => c),
          columns.map(([, r]) => r),
        )
      }
      return decoder
    },
  }
}
