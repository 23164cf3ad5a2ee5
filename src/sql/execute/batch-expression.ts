/**
 * Expressions that can be computed for a batch of rows by code made for them: a small tree of what the columns, constants
 * and operations are, without names or scopes.
 *
 * The code knows doubles, booleans, and values that it only hands on. A row for which that is not enough (an int8 beyond
 * 2^53, a NaN, a result out of its type's range, a division by zero) is left to the row tier: it alone raises errors.
 *
 * Not here: which bound expressions they are made from (plan/batch-plan.ts), the code (batch-code.ts).
 */
import type { FunctionCode } from '../functions/function.ts'
import type { SqlArray } from '../types/array.ts'
import type { Value } from '../types/type.ts'
import type { Eval, Execution } from './execution.ts'

/**
 *   number    int2, int4, int8, oid, float4, float8, date, time, timestamp, timestamptz: a double, never NaN
 *   boolean
 *   text      text and varchar: where it lies in the row, or a string
 *   value     anything else, as the row tier has it; null is null
 */
export type Form = 'number' | 'boolean' | 'text' | 'value'

export type BatchExpr = { readonly form: Form } & (
  | { readonly kind: 'column'; readonly column: number }
  | { readonly kind: 'input'; readonly input: number }
  | { readonly kind: 'inline'; readonly name: string; readonly args: readonly BatchExpr[] }
  | { readonly kind: 'call'; readonly call: number; readonly args: readonly BatchExpr[] }
  | { readonly kind: 'sametext'; readonly left: BatchExpr; readonly right: BatchExpr; readonly negated: boolean }
  | { readonly kind: 'and' | 'or'; readonly args: readonly BatchExpr[] }
  | { readonly kind: 'coalesce'; readonly args: readonly BatchExpr[] }
  | { readonly kind: 'not'; readonly arg: BatchExpr }
  | { readonly kind: 'isnull'; readonly arg: BatchExpr; readonly negated: boolean }
  | { readonly kind: 'truth'; readonly arg: BatchExpr; readonly wanted: boolean | null; readonly negated: boolean }
  | { readonly kind: 'case'; readonly whens: readonly When[]; readonly otherwise: BatchExpr | undefined }
  | { readonly kind: 'among'; readonly arg: BatchExpr; readonly set: number }
)

export interface When {
  readonly when: BatchExpr
  readonly then: BatchExpr
}

export interface Input {
  readonly value: Eval
  readonly form: Form
  /** Known while planning not to be NULL. */
  readonly present: boolean
}

/** The members of IN (…), as PostgreSQL tests them. */
export interface Members {
  readonly has: (value: Value) => boolean
  readonly hasNull: boolean
  readonly empty: boolean
}

/** What the expressions of one query refer to: constants, parameters, functions. */
export class BatchInputs {
  readonly inputs: Input[] = []
  readonly sets: Eval[] = []
  readonly calls: FunctionCode[] = []
  /** As of the last `open`. A text's bytes stand beside it. */
  values: Value[] = []
  bytes: (Uint8Array | undefined)[] = []
  members: Members[] = []

  /** Computes constants and parameters; false when one of them is none that the code can work with. */
  open(x: Execution): boolean {
    this.values = this.inputs.map((input) => input.value(x))
    for (let i = 0; i < this.values.length; i++) {
      const value = this.values[i]
      if (value !== null && this.inputs[i].form === 'number' && !isExact(value)) return false
    }
    this.bytes = this.values.map((v, i) => (v !== null && this.inputs[i].form === 'text' ? Buffer.from(v) : undefined))
    this.members = this.sets.map((set) => membersOf(set(x)))
    return true
  }
}

function isExact(value: Value): boolean {
  return typeof value === 'number' && !Number.isNaN(value)
}

function membersOf(array: SqlArray): Members {
  const present = new Set(array.items.filter((v: Value) => v !== null))
  return {
    has: (value) => present.has(value),
    hasNull: array.items.includes(null),
    empty: array.items.length === 0,
  }
}

/** The columns that an expression reads, each added once. */
export function columnsOf(expr: BatchExpr, out: Set<number> = new Set()): Set<number> {
  switch (expr.kind) {
    case 'column':
      out.add(expr.column)
      break
    case 'inline':
    case 'call':
    case 'and':
    case 'or':
    case 'coalesce':
      for (const a of expr.args) columnsOf(a, out)
      break
    case 'sametext':
      columnsOf(expr.left, out)
      columnsOf(expr.right, out)
      break
    case 'case':
      for (const { when, then } of expr.whens) {
        columnsOf(when, out)
        columnsOf(then, out)
      }
      if (expr.otherwise !== undefined) columnsOf(expr.otherwise, out)
      break
    case 'not':
    case 'isnull':
    case 'truth':
    case 'among':
      columnsOf(expr.arg, out)
      break
    case 'input':
      break
  }
  return out
}
