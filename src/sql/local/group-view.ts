/**
 * A continuous materialized view as a view of events: GROUP BY over one grow-only table, kept group by group.
 *
 *   state    {"keys": [texts of the group's values], "states": [saved aggregates]}     the same in whatever order events come
 *   answer   {"customer": "ada", "n": 2, "cents": 600}     by column; numbers that JavaScript writes otherwise are strings
 *   key      the text of the only value; a JSON array of all of them; of long ones the beginning and a hash
 *
 * An event that the query raises an error for is in no group: no event must stop a view for ever.
 *
 * Not here: when views are there (session/continuous-views.ts), partial aggregates (functions/aggregates.ts).
 */
import { createHash } from 'node:crypto'
import { DbError } from '../../base/index.ts'
import { type View, type ViewEvent, view } from '../../model/events/views/view.ts'
import { exprKey } from '../bind/scope.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'
import type { AggregateCall } from '../execute/aggregate.ts'
import type { Eval, Execution } from '../execute/execution.ts'
import { jsonForm } from '../functions/json-output.ts'
import { planCall } from '../plan/aggregate-plan.ts'
import { compile, typeOf } from '../plan/compile.ts'
import { isPortable, plainTypes } from '../plan/remote-program.ts'
import type { PlanScope } from '../plan/scope.ts'
import type { Aggregate, Query } from '../query.ts'
import { plainContext, type Type, type TypeContext, type Value } from '../types/type.ts'
import { isLocalTable, isMerging, keyColumn } from './local-table.ts'
import { RowJson } from './row-json.ts'

interface State {
  keys: (string | null)[]
  states: unknown[]
}

function refused(what: string, hint: string): DbError {
  return new DbError('feature_not_supported', `a continuous view ${what}`, { hint })
}

/** The table that the query reads. Raises feature_not_supported. */
export function groupedTable(query: Query, catalog: Catalog): RelationDescriptor {
  const [node] = query.from
  const entry = node?.kind === 'entry' ? query.entries[node.entry] : undefined
  const table = entry?.kind === 'relation' ? catalog.relation(entry.relation) : undefined
  if (query.from.length !== 1 || query.setOperation !== undefined || table === undefined || !isLocalTable(table)) {
    throw refused(
      'reads one table WITH (replication = local)',
      'Leave WITH (continuous) out and REFRESH it, or group one table and join the view.',
    )
  }
  if (isMerging(table))
    throw refused(
      'reads a table that only grows',
      `Rows of "${table.name}" change. Leave WITH (continuous) out and REFRESH it.`,
    )
  const plain =
    query.groupBy.length > 0 &&
    query.groupingSets === undefined &&
    query.having === undefined &&
    query.windows.length === 0 &&
    query.distinct === undefined &&
    query.orderBy.length === 0 &&
    query.limit === undefined &&
    query.offset === undefined &&
    query.ctes.length === 0 &&
    query.marks.length === 0 &&
    !query.hasSrf
  if (!plain)
    throw refused('is SELECT … FROM … WHERE … GROUP BY … and nothing else', 'Put the rest into a query over the view.')
  return table
}

/** Raises feature_not_supported for expressions that do not depend on the row alone, or on the order of rows. */
export function checkGroupQuery(scope: PlanScope): void {
  const { query } = scope
  const [node] = query.from
  const entry = node.kind === 'entry' ? node.entry : -1
  const groups = new Set(query.groupBy.map(exprKey))
  const portable = [...query.groupBy, ...(query.where === undefined ? [] : [query.where])]
  for (const t of query.targets.filter((target) => !target.junk)) {
    if (groups.has(exprKey(t.expr))) continue
    const { expr } = t
    if (expr.kind !== 'agg')
      throw refused(
        `has columns that are grouped by, or one aggregate: "${t.name}" is neither`,
        'Compute it over the view.',
      )
    const code =
      expr.distinct || expr.orderBy.length > 0 || expr.direct !== undefined ? undefined : planCall(scope, expr).code
    if (code?.partial === undefined)
      throw refused(
        `cannot keep the aggregate of "${t.name}": it may depend on the order of rows`,
        'Use count, sum, avg, min, max, bool_and or bool_or, of numeric or integers rather than of floats.',
      )
    portable.push(...expr.args, ...(expr.filter === undefined ? [] : [expr.filter]))
  }
  const odd = portable.some((e) => !isPortable(scope, entry, e)) || query.groupBy.some((e) => !plainTypes.has(e.type))
  if (odd)
    throw refused(
      'has simple expressions of its rows only: immutable functions, no parameters, no sub-queries',
      'Put the rest into a query over the view.',
    )
}

interface Plan {
  readonly x: Execution
  readonly json: RowJson
  readonly columns: readonly number[]
  readonly registers: readonly number[]
  readonly key: number
  readonly where: Eval | undefined
  readonly groups: readonly { readonly input: Eval; readonly type: Type }[]
  readonly calls: readonly AggregateCall[]
  readonly outputs: readonly {
    readonly name: string
    readonly group: number
    readonly call: number
    readonly type: number
  }[]
  readonly plain: TypeContext
}

/**
 * The view of the query. @param version another one for each query that had the name. @param run an execution for the
 * scope's expressions, once they are compiled.
 */
export function groupView(
  name: string,
  version: number,
  scope: PlanScope,
  table: RelationDescriptor,
  columns: readonly string[],
  run: () => Execution,
): View<State, unknown> {
  const plan = planned(scope, table, columns, run)
  return view<unknown>()<State, unknown>({
    name,
    version,
    commutative: true,
    initial: () => ({ keys: [], states: [] }),
    key: (event) => {
      const keys = groupOf(plan, event)
      return keys && keyText(keys)
    },
    reduce: (state, event) => stepped(plan, state, groupOf(plan, event)!),
    result: (state) => answer(plan, state),
  })
}

function planned(scope: PlanScope, table: RelationDescriptor, columns: readonly string[], run: () => Execution): Plan {
  const { query } = scope
  const [node] = query.from
  const entry = node.kind === 'entry' ? node.entry : 0
  const groups = query.groupBy.map((e) => ({ input: compile(scope, e).eval, type: typeOf(scope, e.type) }))
  const groupKeys = query.groupBy.map(exprKey)
  const calls: AggregateCall[] = []
  const outputs = query.targets
    .filter((t) => !t.junk)
    .map((t, i) => {
      const group = groupKeys.indexOf(exprKey(t.expr))
      const call = group < 0 ? calls.push(planCall(scope, t.expr as Aggregate)) - 1 : -1
      return { name: columns[i], group, call, type: t.expr.type }
    })
  const where = query.where === undefined ? undefined : compile(scope, query.where).eval
  const source = scope.source(entry)
  const byColumn = source.kind === 'registers' ? [...source.byColumn] : []
  const x = run()
  const key = keyColumn(table)
  return {
    x,
    json: new RowJson(table, x.types, key),
    columns: byColumn.map(([c]) => c),
    registers: byColumn.map(([, r]) => r),
    key: key.number,
    where,
    groups,
    calls,
    outputs,
    plain: plainContext(x.types),
  }
}

/** Loads the event's row; the texts of its group's values, undefined when it is in none. */
function groupOf(plan: Plan, event: ViewEvent<unknown>): (string | null)[] | undefined {
  const { x, json, columns, registers, key, where, groups, calls, plain } = plan
  const values: Value[] = []
  json.decode(event.bytes, columns, values)
  values[key - 1] = event.key
  for (let i = 0; i < columns.length; i++) x.r[registers[i]] = values[columns[i] - 1] ?? null
  try {
    if (where !== undefined && where(x) !== true) return undefined
    const keys = groups.map(({ input, type }) => {
      const value = input(x)
      return value === null ? null : type.format(value, plain)
    })
    for (const { filter, args } of calls) {
      filter?.(x)
      for (const a of args) a(x)
    }
    return keys
  } catch (error) {
    if (error instanceof DbError) return undefined
    throw error
  }
}

/** The state after the row that `groupOf` has loaded. */
function stepped({ x, calls, plain }: Plan, before: State, keys: (string | null)[]): State {
  const states = calls.map(({ code, site, filter, args, strict }, i) => {
    let state = code.init(site, x.types)
    if (before.states.length > 0) state = code.partial!.merge(state, before.states[i], plain)
    const own = args.map((a) => a(x))
    if ((filter === undefined || filter(x) === true) && !(strict && own.includes(null)))
      state = code.step(state, ...own)
    return code.partial!.save(state, plain)
  })
  return { keys, states }
}

function answer({ x, calls, groups, outputs, plain }: Plan, { keys, states }: State): Record<string, unknown> {
  const out: [string, unknown][] = outputs.map(({ name, group, call, type }) => {
    let value: Value
    if (group >= 0) value = keys[group] === null ? null : groups[group].type.parse(keys[group]!, -1, plain)
    else {
      const { code, site } = calls[call]
      value = code.finish(code.partial!.merge(code.init(site, x.types), states[call], plain), plain)
    }
    return [name, value === null ? null : jsonOf(jsonForm(type, plain).text(value))]
  })
  return Object.fromEntries(out)
}

/** Numbers that would not be written like this again stay text. */
function jsonOf(text: string): unknown {
  const value: unknown = JSON.parse(text)
  return typeof value === 'number' && String(value) !== text ? text : value
}

/** Characters; views take keys of 1 KiB in UTF-8. */
const longestKey = 250

function keyText(keys: readonly (string | null)[]): string {
  const text = keys.length === 1 && keys[0] !== null ? keys[0] : JSON.stringify(keys)
  if (text.length <= longestKey) return text
  return `${text.slice(0, 100)}…${createHash('sha256').update(text).digest('hex')}`
}
