/** Ways to read a local table: all of it, or the rows of some keys. */
import type { Execution } from '../execute/execution.ts'
import { LateRegisters } from '../execute/rename.ts'
import { operatorByOid } from '../functions/registry.ts'
import { LocalScan } from '../local/local-scan.ts'
import { isLocalTable, keyColumn, storeName } from '../local/local-table.ts'
import type { Expr } from '../query.ts'
import type { SqlArray } from '../types/array.ts'
import type { Value } from '../types/type.ts'
import { compileAll, isColumn, type Path, rowCost } from './access-path.ts'
import { compile, typeOf } from './compile.ts'
import { relationRows, selectivity } from './estimate.ts'
import { exprText } from './expr-text.ts'
import { type Condition, type Rel, relsOf, subset } from './rel.ts'

/** Of one key that is looked up in the store. */
const keyCost = 0.2

interface Lookup {
  readonly condition: Condition
  readonly value: Expr
  readonly list: boolean
}

export function localPaths(rel: Rel, conditions: readonly Condition[], available: ReadonlySet<Rel>): Path[] {
  const { scope } = rel
  const entry = scope.entry(rel.entry)
  if (entry.kind !== 'relation') throw new Error('not a relation')
  const { catalog } = scope.builder.context.names
  const table = catalog.relationOf(entry.relation)
  const total = relationRows(scope, entry.relation)
  const usable = conditions.filter((c) => subset(c.rels, new Set([...available, rel])))
  const column = isLocalTable(table) ? keyColumn(table) : undefined
  const lookup = column && lookupOf(rel, column.number, usable)
  const filtered = usable.reduce((n, c) => n * selectivity(c), total)
  const found = lookup?.list ? 10 : 1
  return [
    {
      rows: Math.max(1e-6, lookup === undefined ? filtered : Math.min(filtered, found)),
      cost: lookup === undefined ? total * rowCost * (1 + 0.25 * usable.length) : found * keyCost,
      startup: 0,
      ordered: false,
      build: () => {
        const source = scope.source(rel.entry)
        const byColumn = source.kind === 'registers' ? source.byColumn : new Map<number, number>()
        const filter = usable.length === 0 ? undefined : compileAll(usable)
        const keys = lookup && {
          values: valuesOf(lookup),
          text: exprText(lookup.condition.scope, lookup.condition.expr),
        }
        const key = column && { column, type: typeOf(scope, column.type) }
        const store = storeName(catalog, table)
        return new LateRegisters(
          (registers) => new LocalScan({ table, store, alias: entry.alias, registers, filter, keys, key }),
          byColumn,
        )
      },
    },
  ]
}

function valuesOf({ condition, value, list }: Lookup): (x: Execution) => readonly Value[] {
  const { eval: evaluate } = compile(condition.scope, value)
  if (!list) return (x) => [evaluate(x)]
  return (x) => (evaluate(x) as SqlArray | null)?.items ?? []
}

/** key = value, or key IN (…), of the key's own type. */
function lookupOf(rel: Rel, key: number, conditions: readonly Condition[]): Lookup | undefined {
  const { type } = rel.scope.entry(rel.entry).columns[key - 1]
  for (const condition of conditions) {
    const e = condition.expr
    const { scope } = condition
    if (condition.hasSublink || condition.volatile || (e.kind !== 'func' && e.kind !== 'anyall')) continue
    if (e.operator === undefined || operatorByOid(e.operator)?.name !== '=') continue
    if (e.kind === 'anyall') {
      if (!e.any || e.left.type !== type || !isColumn(rel, scope, e.left, key)) continue
      if (typeOf(scope, e.right.type).element === type && !relsOf(scope, e.right).has(rel))
        return { condition, value: e.right, list: true }
      continue
    }
    if (e.args.length !== 2) continue
    for (const side of [0, 1]) {
      const value = e.args[1 - side]
      if (value.type === type && isColumn(rel, scope, e.args[side], key) && !relsOf(scope, value).has(rel))
        return { condition, value, list: false }
    }
  }
  return undefined
}
