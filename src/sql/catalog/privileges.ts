/**
 * What a role may do, by the access control lists of the catalog ("grantee=letters/grantor", a star after what may be granted on).
 *
 * A superuser and an object's owner may do all; others what the list grants them, their groups or everybody (PUBLIC).
 *
 * Not here: has_table_privilege and its kin (session/privilege-functions.ts), enforcing privileges when statements run.
 */
import { DbError } from '../../base/index.ts'
import type { Session } from '../session/session.ts'
import type { RoleDescriptor } from './descriptors.ts'

export interface Subject {
  readonly owner: number
  /** Undefined: the default of the kind. */
  readonly acl: readonly string[] | undefined
  /** Letters that PUBLIC has when there is no list. */
  readonly everybody: string
}

const letters: Record<string, string> = {
  SELECT: 'r',
  INSERT: 'a',
  UPDATE: 'w',
  DELETE: 'd',
  TRUNCATE: 'D',
  REFERENCES: 'x',
  TRIGGER: 't',
  USAGE: 'U',
  CREATE: 'C',
  CONNECT: 'c',
  TEMPORARY: 'T',
  TEMP: 'T',
  EXECUTE: 'X',
  SET: 's',
  'ALTER SYSTEM': 'A',
  RULE: '',
}

const allowed: Record<string, string> = {
  table: 'rawdDxt',
  any_column: 'rawx',
  column: 'rawx',
  schema: 'CU',
  database: 'CTc',
  sequence: 'rwU',
  function: 'X',
  type: 'U',
  language: 'U',
  tablespace: 'C',
  server: 'U',
  foreign_data_wrapper: 'U',
  parameter: 'sA',
}

export function roleNamed(s: Session, name: string): RoleDescriptor {
  const role = s.catalog.roleNamed(name)
  if (role === undefined) throw new DbError('undefined_object', `role "${name}" does not exist`)
  return role
}

/** A role and all roles it is a member of. */
export function rolesOf(s: Session, role: RoleDescriptor): Set<number> {
  const out = new Set<number>([role.oid])
  for (const oid of out) for (const group of s.catalog.role(oid)?.memberOf ?? []) out.add(group)
  return out
}

function mayDo(s: Session, role: RoleDescriptor, subject: Subject, letter: string, grantable: boolean): boolean {
  if (role.superuser) return true
  const roles = rolesOf(s, role)
  if (roles.has(subject.owner)) return true
  if (subject.acl === undefined) return !grantable && subject.everybody.includes(letter)
  return subject.acl.some((entry) => {
    const [, grantee, rights] = /^(.*)=([a-zA-Z*]*)\//.exec(entry) ?? ['', '', '']
    const holds = grantee === '' || [...roles].some((r) => s.catalog.role(r)?.name === grantee)
    const at = holds ? rights.indexOf(letter) : -1
    return at >= 0 && (!grantable || rights[at + 1] === '*')
  })
}

/** Whether the role has one of the privileges listed. Raises invalid_parameter_value for a name that is none. */
export function holdsPrivilege(
  s: Session,
  kind: string,
  role: RoleDescriptor,
  subject: Subject | undefined,
  text: string,
): boolean | null {
  const wanted = text.split(',').map((part) => {
    const name = part.trim().toUpperCase()
    const grantable = name.endsWith(' WITH GRANT OPTION')
    const letter = letters[name.replace(/ WITH GRANT OPTION$/, '')]
    if (letter === undefined || (letter !== '' && !allowed[kind].includes(letter)))
      throw new DbError('invalid_parameter_value', `unrecognized privilege type: "${part.trim()}"`)
    return { letter, grantable }
  })
  if (subject === undefined) return null
  return wanted.some((w) => w.letter !== '' && mayDo(s, role, subject, w.letter, w.grantable))
}

/** Whether the current role may do anything with a relation: information_schema shows nobody what they may not touch. */
export function mayTouch(
  s: Session,
  relation: { readonly owner: number; readonly acl?: readonly string[] },
  privileges = 'rawdDxtU',
): boolean {
  const role = s.roleOf(s.role)
  const subject = { owner: relation.owner, acl: relation.acl, everybody: '' }
  return role.superuser || [...privileges].some((letter) => mayDo(s, role, subject, letter, false))
}
