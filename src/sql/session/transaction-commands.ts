/** BEGIN, COMMIT, ROLLBACK, savepoints, SET CONSTRAINTS, LOCK TABLE. */
import { DbError, END, WAIT } from '../../base/index.ts'
import type { Isolation } from '../../transaction/index.ts'
import { ParameterTypes } from '../bind/context.ts'
import { lookUpRelation } from '../bind/from.ts'
import type { Session } from './session.ts'
import type { CommandTable } from './utility.ts'
import type { Command } from './utility-portal.ts'

export const transactionCommands: CommandTable = {
  TransactionStmt: { transactional: 'itself', writes: false, run: runTransaction },
  ConstraintsSetStmt: { transactional: 'inside', writes: false, run: setConstraints },
  LockStmt: { transactional: 'inside', writes: false, run: lockTables },
}

function* runTransaction(session: Session, node: any): Command {
  switch (node.kind) {
    case 'TRANS_STMT_BEGIN':
    case 'TRANS_STMT_START':
      return begin(session, node)
    case 'TRANS_STMT_COMMIT':
      return yield* commit(session, node)
    case 'TRANS_STMT_ROLLBACK': {
      if (session.block === 'none') session.notice('there is no transaction in progress', 'WARNING')
      const chain = node.chain ? modes(session) : undefined
      session.abort()
      if (chain !== undefined) again(session, chain)
      return { tag: 'ROLLBACK' }
    }
    case 'TRANS_STMT_SAVEPOINT':
      requireBlock(session, 'SAVEPOINT')
      session.requireLive()
      session.savepoint(node.savepoint_name)
      return { tag: 'SAVEPOINT' }
    case 'TRANS_STMT_RELEASE':
      requireBlock(session, 'RELEASE SAVEPOINT')
      session.requireLive()
      session.releaseSavepoint(node.savepoint_name)
      return { tag: 'RELEASE' }
    case 'TRANS_STMT_ROLLBACK_TO':
      requireBlock(session, 'ROLLBACK TO SAVEPOINT')
      session.rollbackTo(node.savepoint_name)
      return { tag: 'ROLLBACK' }
    default:
      throw new DbError('feature_not_supported', 'two-phase commit commands are not supported', {
        hint: 'Transactions over several tables commit atomically without them.',
      })
  }
}

function requireBlock(session: Session, what: string): void {
  if (session.block === 'none')
    throw new DbError('no_active_sql_transaction', `${what} can only be used in transaction blocks`)
}

function begin(session: Session, node: any): { tag: string } {
  session.requireLive()
  const tag = node.kind === 'TRANS_STMT_START' ? 'START TRANSACTION' : 'BEGIN'
  if (session.block === 'explicit') {
    session.notice('there is already a transaction in progress', 'WARNING')
    return { tag }
  }
  applyModes(session, node.options)
  session.transaction()
  session.block = 'explicit'
  return { tag }
}

function* commit(session: Session, node: any): Command {
  if (session.block === 'none') {
    session.notice('there is no transaction in progress', 'WARNING')
  }
  const chain = node.chain ? modes(session) : undefined
  if (session.failed) {
    session.abort()
    if (chain !== undefined) again(session, chain)
    return { tag: 'ROLLBACK' }
  }
  for (;;) {
    let step: ReturnType<Session['commit']>
    try {
      step = session.commit()
    } catch (error) {
      // A refused commit ends the block: there is nothing left to roll back.
      session.abort()
      throw error
    }
    if (step === END) break
    yield WAIT
  }
  if (chain !== undefined) again(session, chain)
  return { tag: 'COMMIT' }
}

interface Modes {
  readonly isolation: Isolation
  readonly readOnly: boolean
}

function modes(session: Session): Modes | undefined {
  const { tx } = session
  return tx === undefined ? undefined : { isolation: tx.isolation, readOnly: tx.readOnly }
}

/** AND CHAIN: a new transaction of the same modes. */
function again(session: Session, m: Modes): void {
  session.nextIsolation = m.isolation
  session.nextReadOnly = m.readOnly
  session.transaction()
  session.block = 'explicit'
}

/** Transaction modes of BEGIN and SET TRANSACTION. */
export function applyModes(session: Session, options: any): void {
  for (const option of (options ?? []) as any[]) {
    const { defname, arg } = option.DefElem
    const value = arg?.A_Const?.sval?.sval ?? arg?.String?.sval
    if (defname === 'transaction_isolation') {
      const level = (value === 'read uncommitted' ? 'read committed' : value) as Isolation
      session.nextIsolation = level
      if (session.tx !== undefined) {
        if (session.tx.statement > 0 && session.tx.isolation !== level) {
          throw new DbError('active_sql_transaction', 'SET TRANSACTION ISOLATION LEVEL must be called before any query')
        }
        session.tx.isolation = level
      }
    } else if (defname === 'transaction_read_only') {
      const readOnly = (arg?.A_Const?.ival?.ival ?? 0) === 1 || value === 'true' || value === 'on'
      session.nextReadOnly = readOnly
      if (session.tx !== undefined) session.tx.readOnly = readOnly
    }
  }
}

function* setConstraints(session: Session, node: any): Command {
  const deferred = node.deferred === true
  if (node.constraints === undefined) session.deferred.setMode(0, deferred)
  for (const n of (node.constraints ?? []) as any[]) {
    const name = n.RangeVar.relname
    const found = [...session.catalog.relations()].flatMap((r) => r.constraints.filter((c) => c.name === name))
    if (found.length === 0) throw new DbError('undefined_object', `constraint "${name}" does not exist`)
    for (const c of found) {
      if (!c.deferrable) throw new DbError('wrong_object_type', `constraint "${name}" is not deferrable`)
      session.deferred.setMode(c.oid, deferred)
    }
  }
  if (!deferred) {
    while (session.deferred.run(session) === WAIT) yield WAIT
  }
  return { tag: 'SET CONSTRAINTS' }
}

function* lockTables(session: Session, node: any): Command {
  if (session.block === 'none')
    throw new DbError('no_active_sql_transaction', 'LOCK TABLE can only be used in transaction blocks')
  for (const n of node.relations as any[]) {
    const relation = lookUpRelation(session.bindContext('', new ParameterTypes([], false)), n.RangeVar)
    // The grammar numbers lock modes from 1.
    while (session.transaction().lockTable(String(relation.oid), node.mode - 1, !node.nowait) === WAIT) {
      session.blocker = session.tx!.blocker
      yield WAIT
    }
  }
  return { tag: 'LOCK TABLE' }
}
