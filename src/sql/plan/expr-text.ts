/** Expressions as EXPLAIN shows them: columns under their table's alias where several tables are read. */

import { quoteIdentifier } from '../bind/type-name.ts'
import { deparse } from '../deparse/expression.ts'
import type { Expr } from '../query.ts'
import type { PlanScope } from './scope.ts'

export function exprText(scope: PlanScope, e: Expr): string {
  return deparse(
    {
      context: scope.builder.context,
      windows: scope.query.windows,
      groups: scope.query.groupBy,
      pretty: false,
      query: () => 'SubPlan',
      column: (v) => {
        const owner = scope.outer(v.up)
        const source = owner.sources[v.entry]
        if (source?.kind === 'inlined' && v.column > 0) return exprText(source.scope, source.exprs[v.column - 1])
        const entry = owner.entry(v.entry)
        const name = v.column > 0 ? quoteIdentifier(entry.columns[v.column - 1].name) : '*'
        const alone = owner.query.entries.length === 1 && owner.parent === undefined && v.up === 0
        return alone ? name : `${quoteIdentifier(entry.alias)}.${name}`
      },
    },
    e,
  )
}
