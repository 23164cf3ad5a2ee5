/** PREPARE, EXECUTE, DEALLOCATE, DISCARD. */
import { DbError } from '../../base/index.ts'
import { coerce } from '../bind/coerce.ts'
import { ParameterTypes } from '../bind/context.ts'
import { bindExpr } from '../bind/expression.ts'
import { QueryScope } from '../bind/scope.ts'
import { emptyQuery } from '../bind/select.ts'
import { resolveTypeName } from '../bind/type-name.ts'
import { Execution } from '../execute/execution.ts'
import type { Node } from '../parse/parser.ts'
import { compile } from '../plan/compile.ts'
import { PlanScope } from '../plan/scope.ts'
import type { Expr } from '../query.ts'
import type { Portal } from '../session-api.ts'
import type { Value } from '../types/type.ts'
import type { Session } from './session.ts'
import type { PreparedStatement } from './statements.ts'
import type { CommandTable } from './utility.ts'
import { type Command, DelegatePortal } from './utility-portal.ts'

export const prepareCommands: CommandTable = {
  PrepareStmt: { transactional: 'inside', writes: false, run: prepare },
  DeallocateStmt: { transactional: 'itself', writes: false, run: deallocate },
  DiscardStmt: { transactional: 'itself', writes: false, run: discard },
}

function* prepare(session: Session, node: any, text: string): Command {
  if (session.statements.has(node.name))
    throw new DbError('duplicate_prepared_statement', `prepared statement "${node.name}" already exists`)
  const context = session.bindContext(text, new ParameterTypes([], false))
  const types = (node.argtypes ?? []).map((n: any) => resolveTypeName(context, n.TypeName).type)
  const body = text.replace(/^[\s\S]*?\bAS\b\s*/i, '').replace(/;\s*$/, '')
  const statement = session.statementCache.prepare(body, { node: node.query, start: 0, length: body.length }, types)
  statement.source = text
  session.statements.set(node.name, statement)
  return { tag: 'PREPARE' }
}

export function executePortal(session: Session, node: any, last: boolean): Portal {
  const statement = session.statements.get(node.name) as PreparedStatement | undefined
  if (statement === undefined)
    throw new DbError('invalid_sql_statement_name', `prepared statement "${node.name}" does not exist`)
  const params: Node[] = node.params ?? []
  if (params.length !== statement.parameterTypes.length) {
    throw new DbError('syntax_error', `wrong number of parameters for prepared statement "${node.name}"`, {
      detail: `Expected ${statement.parameterTypes.length} parameters but got ${params.length}.`,
    })
  }
  session.startStatement()
  const values = evaluateList(
    session,
    params,
    statement.parameterTypes.map((t) => t.oid),
  )
  const portal = session.statementCache.bind(statement, values, false)
  return new DelegatePortal(session, portal, 0, last, () => portal.tag)
}

/** Evaluates expressions without columns, converted to the types. */
export function evaluateList(session: Session, nodes: readonly Node[], types: readonly number[]): Value[] {
  const context = session.bindContext('', new ParameterTypes([], false))
  const scope = new QueryScope(context, undefined)
  scope.clause = 'execute'
  return nodes.map((n, i) => evaluate(session, coerce(context, bindExpr(scope, n), types[i], -1, 'assignment')))
}

/** The value of a bound expression without columns. */
export function evaluate(session: Session, expr: Expr): Value {
  const builder = session.planBuilder(session.bindContext('', new ParameterTypes([], false)))
  const compiled = compile(new PlanScope(builder, emptyQuery(), undefined), expr)
  const x = new Execution(builder.registers, [], session.transaction(), session)
  x.deadline = Number.POSITIVE_INFINITY
  builder.running = x
  return compiled.eval(x)
}

function* deallocate(session: Session, node: any): Command {
  if (node.name === undefined) {
    session.statements.clear()
    return { tag: 'DEALLOCATE ALL' }
  }
  if (!session.statements.delete(node.name))
    throw new DbError('invalid_sql_statement_name', `prepared statement "${node.name}" does not exist`)
  return { tag: 'DEALLOCATE' }
}

function* discard(session: Session, node: any): Command {
  switch (node.target) {
    case 'DISCARD_ALL':
      if (session.block === 'explicit')
        throw new DbError('active_sql_transaction', 'DISCARD ALL cannot run inside a transaction block')
      session.settings.resetAll()
      session.settings.commit()
      session.statements.clear()
      session.statementCache.forget()
      session.releaseAdvisory()
      session.currentValues.clear()
      for (const channel of [...session.channels]) session.pendingListens.push({ channel, listen: false })
      session.dropTemporary()
      session.closePortals(false)
      session.commit()
      return { tag: 'DISCARD ALL' }
    case 'DISCARD_PLANS':
      session.statementCache.forget()
      return { tag: 'DISCARD PLANS' }
    case 'DISCARD_SEQUENCES':
      session.currentValues.clear()
      return { tag: 'DISCARD SEQUENCES' }
    default:
      session.dropTemporary()
      return { tag: 'DISCARD TEMP' }
  }
}
