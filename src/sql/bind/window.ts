/** Window definitions: OVER (…), OVER name, the WINDOW clause, frames. */
import type { Node, WindowDef } from '@pgsql/types'
import { DbError } from '../../base/index.ts'
import { inRangeFunction } from '../functions/registry.ts'
import type { Frame, FrameBound, SortItem, Window } from '../query.ts'
import * as oid from '../types/oids.ts'
import { coerce, tryCoerce } from './coerce.ts'
import { errorAt } from './context.ts'
import { bindExpr, settleUnknown } from './expression.ts'
import { exprKey, type QueryScope } from './scope.ts'
import { bindSortExpr, sortItem } from './select.ts'
import { formatType } from './type-name.ts'

// FRAMEOPTION_ bits of PostgreSQL's parse nodes.
const range = 0x2
const rows = 0x4
const nonDefault = 0x1
const startUnbounded = 0x20
const endUnboundedPreceding = 0x40
const endUnbounded = 0x100
const startCurrent = 0x200
const endCurrent = 0x400
const startPreceding = 0x800
const endPreceding = 0x1000
const startFollowing = 0x2000
const endFollowing = 0x4000
const excludeCurrent = 0x8000
const excludeGroup = 0x10000
const excludeTies = 0x20000

/** The index in the query's windows of what OVER names or defines; equal definitions share one. */
export function windowIndex(scope: QueryScope, def: WindowDef): number {
  if (def.name) {
    const at = scope.windowNames.findIndex((w) => w.name === def.name)
    if (at < 0)
      throw errorAt(scope.context, def.location, new DbError('undefined_object', `window "${def.name}" does not exist`))
    return at
  }
  const window = bindWindow(scope, def, undefined)
  const key = windowKey(window)
  const same = scope.windowNames.findIndex((w) => w.name === undefined && windowKey(w.window) === key)
  if (same >= 0) return same
  scope.windowNames.push({ name: undefined, window, refname: def.refname })
  return scope.windowNames.length - 1
}

function windowKey(w: Window): string {
  return exprKey(w as any)
}

export function bindWindow(scope: QueryScope, def: WindowDef, name: string | undefined): Window {
  const clause = scope.clause
  scope.clause = 'select'
  scope.inWindow = true
  const base = def.refname === undefined ? undefined : referenced(scope, def)
  const partition = (def.partitionClause ?? []).map((n) => settleUnknown(scope, bindSortExpr(scope, n)))
  const order = (def.orderClause ?? []).map((n: any) =>
    sortItem(scope, settleUnknown(scope, bindSortExpr(scope, n.SortBy.node)), n.SortBy),
  )
  if (base !== undefined) {
    if (partition.length > 0)
      throw new DbError('windowing_error', `cannot override PARTITION BY clause of window "${def.refname}"`)
    if (order.length > 0 && base.orderBy.length > 0)
      throw new DbError('windowing_error', `cannot override ORDER BY clause of window "${def.refname}"`)
    if (base.frame.explicit)
      throw new DbError('windowing_error', `cannot copy window "${def.refname}" because it has a frame clause`)
  }
  const orderBy = base !== undefined && order.length === 0 ? base.orderBy : order
  const window: Window = {
    name,
    partitionBy: base?.partitionBy ?? partition,
    orderBy,
    frame: bindFrame(scope, def, orderBy),
  }
  scope.inWindow = false
  scope.clause = clause
  return window
}

function referenced(scope: QueryScope, def: WindowDef): Window {
  const found = scope.windowNames.find((w) => w.name === def.refname)
  if (found === undefined)
    throw errorAt(
      scope.context,
      def.location,
      new DbError('undefined_object', `window "${def.refname}" does not exist`),
    )
  return found.window
}

function bindFrame(scope: QueryScope, def: WindowDef, orderBy: readonly SortItem[]): Frame {
  const o = def.frameOptions ?? 0
  const mode = o & rows ? 'rows' : o & range || !(o & 0x8) ? 'range' : 'groups'
  const start: FrameBound['kind'] =
    o & startUnbounded
      ? 'unbounded preceding'
      : o & startCurrent
        ? 'current'
        : o & startPreceding
          ? 'preceding'
          : o & startFollowing
            ? 'following'
            : 'unbounded preceding'
  const end: FrameBound['kind'] =
    o & endUnbounded
      ? 'unbounded following'
      : o & endCurrent
        ? 'current'
        : o & endPreceding
          ? 'preceding'
          : o & endFollowing
            ? 'following'
            : o & endUnboundedPreceding
              ? 'unbounded preceding'
              : 'current'
  const exclude = o & excludeCurrent ? 'current' : o & excludeGroup ? 'group' : o & excludeTies ? 'ties' : 'none'
  if (mode === 'groups' && orderBy.length === 0)
    throw errorAt(
      scope.context,
      def.location,
      new DbError('windowing_error', 'GROUPS mode requires an ORDER BY clause'),
    )
  return {
    mode,
    exclude,
    explicit: (o & nonDefault) !== 0,
    start: bound(scope, start, def.startOffset, mode, orderBy, def.location),
    end: bound(scope, end, def.endOffset, mode, orderBy, def.location),
  }
}

function bound(
  scope: QueryScope,
  kind: FrameBound['kind'],
  node: Node | undefined,
  mode: Frame['mode'],
  orderBy: readonly SortItem[],
  at: number | undefined,
): FrameBound {
  if (node === undefined) return { kind }
  const c = scope.context
  const raw = bindExpr(scope, node)
  if (mode !== 'range') {
    return { kind, offset: coerce(c, raw, oid.int8Oid, -1, 'assignment', at) }
  }
  if (orderBy.length !== 1) {
    throw errorAt(
      c,
      at,
      new DbError('windowing_error', 'RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column'),
    )
  }
  const key = orderBy[0].expr.type
  for (const offsetType of offsetTypes(key, raw.type)) {
    const func = inRangeFunction(key, offsetType)
    const offset = func === undefined ? undefined : tryCoerce(c, raw, offsetType, -1, 'implicit')
    if (func !== undefined && offset !== undefined) return { kind, offset, inRange: func }
  }
  const numeric = offsetTypes(key, oid.unknownOid).some((t) => inRangeFunction(key, t) !== undefined)
  const shown = key === oid.varcharOid ? oid.textOid : key
  if (!numeric)
    throw errorAt(
      c,
      at,
      new DbError(
        'feature_not_supported',
        `RANGE with offset PRECEDING/FOLLOWING is not supported for column type ${formatType(c, shown, -1)}`,
      ),
    )
  throw errorAt(
    c,
    at,
    new DbError(
      'feature_not_supported',
      `RANGE with offset PRECEDING/FOLLOWING is not supported for column type ${formatType(c, key, -1)} and offset type ${formatType(c, raw.type, -1)}`,
    ),
  )
}

/** What an untyped offset may become, best first. */
function offsetTypes(key: number, given: number): number[] {
  if (given !== oid.unknownOid) return [given, key, oid.int8Oid, oid.float8Oid, oid.intervalOid]
  if (
    key === oid.dateOid ||
    key === oid.timestampOid ||
    key === oid.timestamptzOid ||
    key === oid.timeOid ||
    key === oid.timetzOid
  )
    return [oid.intervalOid]
  return [key]
}
