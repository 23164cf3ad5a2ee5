/**
 * When an argument needs no parentheses of its own, in the pretty form: names, literals and calls never do, arithmetic
 * follows precedence and associates to the left, AND binds tighter than OR.
 */
import { operatorByOid } from '../functions/registry.ts'
import type { Expr } from '../query.ts'

type Shape = 'word' | 'call' | 'cast' | 'operator' | 'test' | 'logic' | 'other'

function isCast(e: Expr): boolean {
  return (
    (e.kind === 'func' && (e.form === 'cast' || e.form === 'implicit')) ||
    e.kind === 'relabel' ||
    e.kind === 'viatext' ||
    e.kind === 'arraycoerce' ||
    e.kind === 'domain'
  )
}

function shapeOf(e: Expr): Shape {
  switch (e.kind) {
    case 'var':
    case 'const':
    case 'param':
    case 'casevalue':
    case 'nextval':
    case 'sqlvalue':
      return 'word'
    case 'func':
      return e.operator !== undefined ? 'operator' : 'call'
    case 'subscript':
    case 'array':
    case 'row':
    case 'coalesce':
    case 'minmax':
    case 'nullif':
    case 'agg':
    case 'grouping':
    case 'window':
    case 'case':
    case 'srf':
    case 'field':
      return 'call'
    case 'relabel':
    case 'viatext':
    case 'arraycoerce':
    case 'domain':
      return 'cast'
    case 'sublink':
    case 'isnull':
    case 'booltest':
      return 'test'
    case 'distinct':
      return e.negated ? 'logic' : 'test'
    case 'and':
    case 'or':
    case 'not':
      return 'logic'
    default:
      return 'other'
  }
}

/** @param implicit whether an implicit cast at the top of `e` is written out. */
export function isSimple(e: Expr, parent: Expr, implicit: boolean): boolean {
  // An implicit cast that is not written is transparent.
  if (
    !implicit &&
    (e.kind === 'relabel' || e.kind === 'viatext' || e.kind === 'arraycoerce' || e.kind === 'domain') &&
    e.form === 'implicit'
  )
    return true
  switch (shapeOf(e)) {
    case 'word':
    case 'call':
      return true
    case 'cast':
      return isSimple((e as Expr & { kind: 'relabel' }).arg, e, false)
    case 'operator':
      if (parent.kind === 'func' && parent.operator !== undefined)
        return arithmetic(e as Expr & { kind: 'func' }, parent)
      return bounded(parent)
    case 'test':
      return bounded(parent)
    case 'logic':
      return logic(e, parent)
    default:
      return false
  }
}

/** Whether the parent sets its arguments apart by itself. */
function bounded(parent: Expr): boolean {
  if (isCast(parent)) return false
  if (parent.kind === 'func') return parent.operator === undefined && parent.form !== 'sql'
  return [
    'and',
    'or',
    'not',
    'subscript',
    'array',
    'row',
    'coalesce',
    'minmax',
    'nullif',
    'agg',
    'grouping',
    'window',
    'case',
  ].includes(parent.kind)
}

function logic(e: Expr, parent: Expr): boolean {
  if (parent.kind === 'and' || parent.kind === 'or' || parent.kind === 'not') {
    if (e.kind === 'or') return parent.kind === 'or'
    return parent.kind !== 'not'
  }
  return bounded(parent)
}

function binary(e: Expr & { kind: 'func' }): string | undefined {
  const name = e.args.length === 2 ? operatorByOid(e.operator!)?.name : undefined
  return name?.length === 1 && '+-*/%'.includes(name) ? name : undefined
}

function arithmetic(e: Expr & { kind: 'func' }, parent: Expr & { kind: 'func' }): boolean {
  const own = binary(e)
  const outer = binary(parent)
  if (own === undefined || outer === undefined) return false
  const high = '*/%'.includes(own)
  const outerHigh = '*/%'.includes(outer)
  if (high !== outerHigh) return high
  return e === parent.args[0]
}
