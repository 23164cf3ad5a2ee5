/**
 * What binding a statement needs to know, and what it finds out: parameter types and the objects it depends on.
 */
import type { DbError } from '../../base/index.ts'
import type { NameScope } from '../catalog/names.ts'
import { characterPosition } from '../parse/parser.ts'
import { unknownOid } from '../types/oids.ts'
import type { Type, TypeContext } from '../types/type.ts'

/** Parameter types: given ones stay, others are settled by their first use. */
export class ParameterTypes {
  readonly oids: number[] = []
  /** Parameters may be added by use ($3 makes three), unless the statement has none at all. */
  readonly allowed: boolean
  /** Names of a SQL function's arguments, resolved like columns after all else. */
  readonly names: readonly string[]

  constructor(given: readonly number[], allowed = true, names: readonly string[] = []) {
    this.oids.push(...given.map((oid) => (oid === 0 ? unknownOid : oid)))
    this.allowed = allowed
    this.names = names
  }

  use(number: number): number {
    while (this.oids.length < number) this.oids.push(unknownOid)
    return this.oids[number - 1]
  }

  settle(number: number, type: number): void {
    this.oids[number - 1] = type
  }
}

export interface BindContext {
  readonly names: NameScope
  readonly types: TypeContext
  readonly text: string
  readonly parameters: ParameterTypes
  /** Relations looked up, so that a cached plan can tell whether its names still mean the same. */
  readonly dependencies: { readonly schema: string | undefined; readonly name: string; readonly oid: number }[]
  notice(message: string, severity?: string): void
  /** In a cluster: the commit that a table's definition is known as of. */
  readonly fenceOf?: (table: number) => number
  /** Absent: no batches, no way disabled. */
  readonly planning?: PlanSettings
}

/** Ways to run a query that enable_… turns off; a way that is off is still taken when there is no other. */
export const planWays = ['seqscan', 'indexscan', 'nestloop', 'hashjoin', 'mergejoin', 'sort', 'hashagg'] as const
export type PlanWay = (typeof planWays)[number]

/** Settings that the planner reads. */
export interface PlanSettings {
  /** lattice.batch_rows. */
  readonly batchRows: number
  readonly disabled: ReadonlySet<PlanWay>
}

/** Raises what the statement's text position is known for; `at` is the parser's byte offset. */
export function errorAt(context: BindContext, at: number | undefined, error: DbError): DbError {
  if (at !== undefined && at >= 0 && error.position === undefined && context.text !== '') {
    error.position = characterPosition(context.text, at)
  }
  return error
}

export function typeOf(context: BindContext, oid: number): Type {
  return context.types.types.type(oid)
}
