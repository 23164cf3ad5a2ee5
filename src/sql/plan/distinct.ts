/**
 * DISTINCT and UNION: equal rows once, by hashing; sorted first when enable_hashagg is off.
 *
 * Not here: DISTINCT ON, whose order says which row stays (plan-query.ts).
 */
import { HashDistinct, Unique } from '../execute/aggregate.ts'
import type { Operator } from '../execute/execution.ts'
import { Sort } from '../execute/sort.ts'
import type { Type } from '../types/type.ts'
import type { PlanBuilder } from './scope.ts'

export interface DistinctColumn {
  readonly register: number
  readonly type: Type
  /** For EXPLAIN. */
  readonly text: string
}

/** @param columns all that rows are told apart by; without any, all rows are equal. */
export function distinctRows(builder: PlanBuilder, input: Operator, columns: readonly DistinctColumn[]): Operator {
  const typeOfRegister = (register: number) => builder.typeOfRegister(register)
  if (!sortsGroups(builder) || columns.length === 0) return new HashDistinct(input, columns, typeOfRegister)
  const keys = columns.map((c) => ({ ...c, descending: false, nullsFirst: false }))
  return new Unique(new Sort(input, keys, typeOfRegister), columns)
}

/** Whether groups are to be made by sorting: hashing costs less, and both are taken for equal when both are off. */
export function sortsGroups(builder: PlanBuilder): boolean {
  return builder.disabled('hashagg') && !builder.disabled('sort')
}
