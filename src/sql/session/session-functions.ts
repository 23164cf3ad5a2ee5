/**
 * Functions that ask the session: who and where, settings, sequences, advisory locks, notifications. They register
 * their code by PostgreSQL's names; the type context of a call is the session's.
 */
import { DbError, version, WAIT } from '../../base/index.ts'
import { advisoryExclusive, advisoryShare } from '../../transaction/index.ts'
import { effectivePath, schemaName } from '../catalog/names.ts'
import { registerCode } from '../functions/registry.ts'
import { requireLocal } from '../local/waiting.ts'
import { arrayOf } from '../types/array.ts'
import type { TypeContext, Value } from '../types/type.ts'
import { queueNotification } from './notify-commands.ts'
import type { Session } from './session.ts'
import { currentSetting } from './set-commands.ts'
import { sleep } from './sleep.ts'

const sessions = new WeakMap<TypeContext, Session>()

export function bindSession(types: TypeContext, session: Session): void {
  sessions.set(types, session)
}

export function sessionOf(types: TypeContext): Session {
  const session = sessions.get(types)
  if (session === undefined) throw new DbError('internal_error', 'a session function was called outside of a session')
  return session
}

type Code = (session: Session, ...args: any[]) => Value

/** Registers code whose last argument is replaced by the session before the others. */
export function sessionFunction(source: string, code: Code): void {
  registerCode(source, () => (...args: any[]) => {
    const types = args[args.length - 1] as TypeContext
    return code(sessionOf(types), ...args.slice(0, -1))
  })
}

let registered = false

export function registerSessionFunctions(): void {
  if (registered) return
  registered = true
  identity()
  settings()
  sequences()
  advisory()
}

function identity(): void {
  sessionFunction('ulid', (s) => requireLocal({ session: s }).tables.newKey())
  sessionFunction('current_database', (s) => s.databaseName)
  sessionFunction('current_user', (s) => s.currentUser)
  sessionFunction('session_user', (s) => s.sessionUser)
  sessionFunction('current_schema', (s) => s.currentSchema() ?? null)
  sessionFunction('current_schemas', (s, implicit: boolean) => {
    const path = effectivePath(s.names)
    const named = new Set(s.names.searchPath.map((n) => s.catalog.schemaNamed(n === '$user' ? s.currentUser : n)?.oid))
    const explicit = s.names.searchPath.includes('pg_catalog')
    return arrayOf(
      19,
      path.filter((o) => implicit || named.has(o) || (o === 11 && explicit)).map((o) => schemaName(s.names, o)),
    )
  })
  sessionFunction('pg_backend_pid', (s) => s.processId)
  sessionFunction('pgsql_version', () => `PostgreSQL 15.18 (LatticeDB ${version}) on Node.js, 64-bit`)
  sessionFunction('pg_is_in_recovery', () => false)
  sessionFunction('pg_postmaster_start_time', (s) => s.database.startedMicros - 946_684_800_000_000)
  sessionFunction('pg_conf_load_time', (s) => s.database.startedMicros - 946_684_800_000_000)
  sessionFunction('current_query', (s) => s.currentText)
  sessionFunction('inet_client_addr', () => null)
  sessionFunction('inet_client_port', () => null)
  sessionFunction('inet_server_addr', () => null)
  sessionFunction('inet_server_port', () => null)
  sessionFunction('pg_my_temp_schema', (s) => s.temporarySchema)
  registerCode('pg_sleep', () => {
    const site = {}
    return (seconds: number, types: TypeContext) => {
      sleep(sessionOf(types), site, seconds)
      return ''
    }
  })
  sessionFunction('pg_notify', (s, channel: string | null, payload: string | null) => {
    queueNotification(s, channel ?? '', payload ?? '')
    return ''
  })
  sessionFunction('pg_listening_channels', (s) => [...s.channels])
  sessionFunction('pg_cancel_backend', (s, pid: number) => {
    const other = s.database.sessions.get(pid)
    other?.cancel()
    return other !== undefined
  })
}

function settings(): void {
  sessionFunction('show_config_by_name', (s, name: string) => currentSetting(s, name))
  sessionFunction('show_config_by_name_missing_ok', (s, name: string, missing: boolean) => {
    if (missing && s.settings.find(name) === undefined) return null
    return currentSetting(s, name)
  })
  sessionFunction('set_config_by_name', (s, name: string | null, value: string | null, local: boolean | null) => {
    if (name === null) throw new DbError('null_value_not_allowed', 'SET requires parameter name')
    s.settings.set(name, value ?? undefined, local === true)
    return currentSetting(s, name)
  })
}

function sequences(): void {
  sessionFunction('nextval_oid', (s, sequence: number) => s.sequences.next({ session: s } as never, sequence))
  sessionFunction('currval_oid', (s, sequence: number) => {
    const value = s.currentValues.get(sequence)
    if (value === undefined) {
      throw new DbError(
        'object_not_in_prerequisite_state',
        `currval of sequence "${s.catalog.relationOf(sequence).name}" is not yet defined in this session`,
      )
    }
    return value
  })
  sessionFunction('lastval', (s) => {
    if (s.lastSequence === undefined)
      throw new DbError('object_not_in_prerequisite_state', 'lastval is not yet defined in this session')
    return s.currentValues.get(s.lastSequence)!
  })
  const set = (s: Session, sequence: number, value: number | bigint, called: boolean): Value => {
    s.sequences.set({ session: s } as never, sequence, BigInt(value), called)
    if (called) s.noteSequence(sequence, value)
    return value
  }
  sessionFunction('setval_oid', (s, sequence: number, value: number | bigint) => set(s, sequence, value, true))
  sessionFunction('setval3_oid', (s, sequence: number, value: number | bigint, called: boolean) =>
    set(s, sequence, value, called),
  )
}

function advisory(): void {
  const key1 = (k: number | bigint): string => `64:${k}`
  const key2 = (a: number, b: number): string => `32:${a}:${b}`
  const take = (s: Session, key: string, mode: number, wait: boolean, transaction: boolean): boolean => {
    if (s.database.cluster !== undefined) {
      if (!s.waitForAdvisory(key, mode, wait)) return false
      ;(transaction ? s.transactionAdvisory : s.advisoryHeld).push({ key, mode })
      return true
    }
    const table = s.database.store.advisory
    if (!wait) {
      if (!table.tryAcquire(s.owner, key, mode)) return false
    } else if (!table.acquire(s.owner, key, mode)) {
      const { running } = s
      const { promise } = s.owner.waiting!
      running!.blocker = { ready: () => promise }
      running!.suspend(WAIT)
    }
    ;(transaction ? s.transactionAdvisory : s.advisoryHeld).push({ key, mode })
    return true
  }
  for (const [suffix, mode] of [
    ['', advisoryExclusive],
    ['_shared', advisoryShare],
  ] as const) {
    for (const [kind, transaction] of [
      ['', false],
      ['_xact', true],
    ] as const) {
      const lock = `pg_advisory${kind}_lock${suffix}`
      const tryLock = `pg_try_advisory${kind}_lock${suffix}`
      sessionFunction(`${lock}_int8`, (s, k: number) => {
        take(s, key1(k), mode, true, transaction)
        return ''
      })
      sessionFunction(`${lock}_int4`, (s, a: number, b: number) => {
        take(s, key2(a, b), mode, true, transaction)
        return ''
      })
      sessionFunction(`${tryLock}_int8`, (s, k: number) => take(s, key1(k), mode, false, transaction))
      sessionFunction(`${tryLock}_int4`, (s, a: number, b: number) => take(s, key2(a, b), mode, false, transaction))
    }
    const release = (s: Session, key: string): boolean => {
      const at = s.advisoryHeld.findLastIndex((h) => h.key === key && h.mode === mode)
      if (at < 0) {
        s.notice(
          `you don't own a lock of type ${mode === advisoryExclusive ? 'ExclusiveLock' : 'ShareLock'}`,
          'WARNING',
        )
        return false
      }
      s.advisoryHeld.splice(at, 1)
      return s.releaseAdvisoryLock(key, mode)
    }
    sessionFunction(`pg_advisory_unlock${suffix}_int8`, (s, k: number) => release(s, key1(k)))
    sessionFunction(`pg_advisory_unlock${suffix}_int4`, (s, a: number, b: number) => release(s, key2(a, b)))
  }
  sessionFunction('pg_advisory_unlock_all', (s) => {
    s.releaseAdvisory()
    return ''
  })
}
