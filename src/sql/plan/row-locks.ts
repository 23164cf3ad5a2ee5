/** FOR UPDATE and the weaker forms: which rows of which entries are locked as they pass. */

import { systemRelation } from '../catalog/system-schema.ts'
import type { Operator } from '../execute/execution.ts'
import { LockRows, type RowLock } from '../execute/modify.ts'
import { refuseLocal } from '../local/definition.ts'
import { recheckOf } from './plan-modify.ts'
import type { PlanScope } from './scope.ts'

/** Must run after the joins are planned but before they are opened: it asks the scans for row keys. */
export function planRowLocks(scope: PlanScope, input: Operator): Operator {
  const locks: RowLock[] = []
  for (const mark of scope.query.marks) {
    for (const entry of mark.entries) addLock(scope, entry, mark, locks)
  }
  return locks.length === 0 ? input : new LockRows(input, locks)
}

const rowKeyColumn = -101

function addLock(
  scope: PlanScope,
  index: number,
  mark: { readonly strength: number; readonly policy: RowLock['policy'] },
  locks: RowLock[],
): void {
  const entry = scope.entry(index)
  const source = scope.source(index)
  if (source.kind === 'inlined') {
    // A sub-query or view that was opened up: its own tables are locked.
    source.scope.query.entries.forEach((e, i) => {
      if (e.kind === 'relation' || e.kind === 'subquery') addLock(source.scope, i, mark, locks)
    })
    return
  }
  if (entry.kind !== 'relation' || systemRelation(entry.relation) !== undefined) return
  const access = scope.builder.tableAccess(entry.relation)
  refuseLocal(access.descriptor, 'SELECT … FOR UPDATE', 'Its rows are not locked: changes merge.')
  // After its lock was waited for, every column the plan reads must be fresh.
  locks.push({
    key: scope.register(index, rowKeyColumn),
    mode: mark.strength,
    policy: mark.policy,
    recheck: recheckOf(scope, index, access),
  })
}
