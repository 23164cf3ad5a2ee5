/** SET, RESET, SHOW, SET ROLE and SESSION AUTHORIZATION. */
import { DbError } from '../../base/index.ts'
import type { Field } from '../session-api.ts'
import type { Session } from './session.ts'
import { settingFacts } from './settings.ts'
import { applyModes } from './transaction-commands.ts'
import { type CommandTable, textField } from './utility.ts'
import type { Command } from './utility-portal.ts'

export const setCommands: CommandTable = {
  VariableSetStmt: { transactional: 'itself', writes: false, run: runSet },
  VariableShowStmt: { transactional: 'itself', writes: false, run: runShow, fields: showFields },
}

function* runSet(session: Session, node: any): Command {
  session.requireLive()
  const name: string = node.name ?? ''
  if (node.kind === 'VAR_SET_MULTI') return setMulti(session, node, name)
  if (node.kind === 'VAR_RESET_ALL') {
    session.settings.resetAll()
    return { tag: 'RESET' }
  }
  const local = node.is_local === true
  if (local && session.block === 'none') session.notice('SET LOCAL can only be used in transaction blocks', 'WARNING')
  const value = node.kind === 'VAR_SET_VALUE' ? settingText(node.args) : undefined
  const tag = node.kind === 'VAR_RESET' ? 'RESET' : 'SET'
  if (name === 'role' || name === 'session_authorization') setRole(session, name, value)
  else if (name === 'transaction_isolation' && value !== undefined)
    applyModes(session, [{ DefElem: { defname: name, arg: { String: { sval: value.toLowerCase() } } } }])
  else if (name === 'transaction_read_only' && value !== undefined)
    applyModes(session, [
      { DefElem: { defname: name, arg: { String: { sval: /^(on|true|1|yes)$/i.test(value) ? 'true' : 'false' } } } },
    ])
  else {
    // Outside of a transaction the change takes effect at once.
    session.settings.set(name, value, local && session.block === 'explicit')
    if (session.block === 'none' && session.tx === undefined) session.settings.commit()
  }
  return { tag }
}

function setMulti(session: Session, node: any, name: string): { tag: string } {
  if (name === 'TRANSACTION') {
    if (session.block === 'none') session.notice('SET TRANSACTION can only be used in transaction blocks', 'WARNING')
    else applyModes(session, node.args)
    return { tag: 'SET' }
  }
  if (name === 'SESSION CHARACTERISTICS') {
    for (const option of node.args as any[]) {
      const { defname, arg } = option.DefElem
      const value = arg?.A_Const?.sval?.sval ?? (arg?.A_Const?.ival?.ival ? 'on' : 'off')
      session.settings.set(`default_${defname}`, value, false)
    }
    if (session.block === 'none') session.settings.commit()
    return { tag: 'SET' }
  }
  throw new DbError('feature_not_supported', `SET ${name} is not supported`)
}

function setRole(session: Session, name: string, value: string | undefined): void {
  if (value === undefined || value === 'none' || value === 'default') {
    session.role = session.sessionRole
    return
  }
  const role = session.catalog.roleNamed(value)
  if (role === undefined) throw new DbError('undefined_object', `role "${value}" does not exist`)
  const own = session.roleOf(session.sessionRole)
  if (!own.superuser && role.oid !== own.oid && !own.memberOf.includes(role.oid)) {
    throw new DbError('insufficient_privilege', `permission denied to set role "${value}"`)
  }
  session.role = role.oid
  if (name === 'session_authorization') session.sessionRole = role.oid
  session.settings.rollbackTo(session.settings.mark)
}

/** The value written after SET name =. */
function settingText(args: any): string {
  return (args as any[])
    .map((a) => {
      const c = a.A_Const ?? a.TypeCast?.arg?.A_Const
      if (c === undefined) return ''
      // SET TIME ZONE INTERVAL '…'
      if (
        a.TypeCast !== undefined &&
        c.sval !== undefined &&
        a.TypeCast.typeName?.names?.at(-1)?.String?.sval === 'interval'
      )
        return `INTERVAL ${c.sval.sval ?? ''}`
      if (c.sval !== undefined)
        return args.length > 1 && /[^a-z0-9_$]/.test(c.sval.sval ?? '') ? `"${c.sval.sval}"` : (c.sval.sval ?? '')
      if (c.ival !== undefined) return String(c.ival.ival ?? 0)
      if (c.boolval !== undefined) return c.boolval.boolval ? 'on' : 'off'
      return c.fval?.fval ?? ''
    })
    .join(', ')
}

const aliases: Record<string, string> = { timezone: 'TimeZone', transaction_isolation: 'transaction_isolation' }

export function showFields(_session: Session, node: any): readonly Field[] {
  if (node.name === 'all') return ['name', 'setting', 'description'].map((n, i) => textField(n, i))
  const key = String(node.name).toLowerCase()
  return [textField(settingFacts.get(key)?.name ?? aliases[key] ?? node.name)]
}

function* runShow(session: Session, node: any): Command {
  session.requireLive()
  if (node.name === 'all') {
    const rows = [...session.settings.all()].map(({ facts, value }) => [facts.name, value, facts.description])
    return { tag: 'SHOW', rows: rows.sort((a, b) => (a[0].toLowerCase() < b[0].toLowerCase() ? -1 : 1)) }
  }
  return { tag: 'SHOW', rows: [[currentSetting(session, node.name)]] }
}

/** SHOW's value, with those that live in the transaction. */
export function currentSetting(session: Session, name: string): string {
  switch (name.toLowerCase()) {
    case 'transaction_isolation':
      return session.tx?.isolation ?? session.settings.get('default_transaction_isolation')
    case 'transaction_read_only':
      return (session.tx?.readOnly ?? session.settings.on('default_transaction_read_only')) ? 'on' : 'off'
    case 'role':
      return session.role === session.sessionRole ? 'none' : session.currentUser
    case 'session_authorization':
      return session.sessionUser
    case 'is_superuser':
      return session.roleOf(session.role).superuser ? 'on' : 'off'
    default:
      return session.settings.show(name)
  }
}
