/**
 * Run-time settings, PostgreSQL's by name, type and range (their facts are data), and ours under "lattice.".
 *
 * SET is transactional: what a transaction sets is undone with it, SET LOCAL with its end. A setting with a dot in its
 * name is free text, as PostgreSQL's placeholders.
 *
 * Not here: what settings do (session.ts reads them).
 */
import { DbError } from '../../base/index.ts'
import { type PlanSettings, planWays } from '../bind/context.ts'
import pgSettings from '../catalog/data/pg_settings.json' with { type: 'json' }
import { catalogCells, columnPositions } from '../types/catalog-table.ts'
import { findZone } from '../types/time-zone.ts'

export interface SettingFacts {
  readonly name: string
  readonly unit: string | null
  readonly category: string
  readonly context: string
  readonly type: 'bool' | 'integer' | 'real' | 'string' | 'enum'
  readonly min: string | null
  readonly max: string | null
  readonly values: readonly string[]
  readonly boot: string
  readonly description: string
}

const facts = new Map<string, SettingFacts>()

function load(): void {
  const at = columnPositions(pgSettings, [
    'name',
    'unit',
    'category',
    'context',
    'vartype',
    'min_val',
    'max_val',
    'enumvals',
    'boot_val',
  ])
  for (const line of pgSettings.rows) {
    const c = catalogCells(line)
    const cell = (i: number) => c[at[i]]
    const name = cell(0)!
    facts.set(name.toLowerCase(), {
      name,
      unit: cell(1),
      category: cell(2)!,
      context: cell(3)!,
      type: cell(4) as SettingFacts['type'],
      min: cell(5),
      max: cell(6),
      values: cell(7)?.split(' ') ?? [],
      boot: cell(8) ?? '',
      description: '',
    })
  }
  const own = (
    name: string,
    type: SettingFacts['type'],
    boot: string,
    description: string,
    min: string | null = null,
    max: string | null = null,
    unit: string | null = null,
  ) =>
    facts.set(name, {
      name,
      unit,
      category: 'LatticeDB',
      context: 'user',
      type,
      min,
      max,
      values: [],
      boot,
      description,
    })
  // Old dumps still set it; only off is possible, as in PostgreSQL since 12.
  facts.set('default_with_oids', {
    name: 'default_with_oids',
    unit: null,
    category: 'Version and Platform Compatibility',
    context: 'user',
    type: 'enum',
    min: null,
    max: null,
    values: ['off', 'false'],
    boot: 'off',
    description: '',
  })
  own(
    'lattice.statement_memory',
    'integer',
    '1048576',
    'Most memory one statement may hold.',
    '1024',
    '2147483647',
    'kB',
  )
  own(
    'lattice.max_staleness',
    'integer',
    '0',
    'How old what a statement reads may be, so that near replicas can answer; 0: linearizable.',
    '0',
    '30000',
    'ms',
  )
  own(
    'lattice.batch_rows',
    'integer',
    '20000',
    'Tables of at least so many rows are read in batches.',
    '0',
    '2147483647',
  )
  own(
    'lattice.plan_cache',
    'bool',
    'on',
    'Whether plans are kept and shared between statements that differ in literals only.',
  )
}
load()

/** Values that differ from PostgreSQL's own defaults. */
const overrides: Record<string, string> = {
  server_version: '15.18',
  server_version_num: '150018',
  server_encoding: 'UTF8',
  client_encoding: 'UTF8',
  timezone: 'UTC',
  datestyle: 'ISO, MDY',
  lc_collate: 'C',
  lc_ctype: 'C',
  lc_messages: 'C',
  lc_monetary: 'C',
  lc_numeric: 'C',
  lc_time: 'C',
  search_path: '"$user", public',
  max_connections: '1000',
  integer_datetimes: 'on',
  in_hot_standby: 'off',
  is_superuser: 'on',
  work_mem: '65536',
  log_timezone: 'UTC',
  default_text_search_config: 'pg_catalog.english',
  max_identifier_length: '63',
  block_size: '16384',
  application_name: '',
  wal_level: 'replica',
  fsync: 'on',
}

/** What PostgreSQL reports to clients as ParameterStatus. */
export const reportedSettings = [
  'application_name',
  'client_encoding',
  'DateStyle',
  'default_transaction_read_only',
  'in_hot_standby',
  'integer_datetimes',
  'IntervalStyle',
  'is_superuser',
  'server_encoding',
  'server_version',
  'session_authorization',
  'standard_conforming_strings',
  'TimeZone',
]

interface Undo {
  readonly key: string
  readonly before: string | undefined
  readonly local: boolean
}

export class Settings {
  readonly #values = new Map<string, string>()
  readonly #initial = new Map<string, string>()
  #undo: Undo[] = []
  readonly #changed: (name: string, value: string) => void

  constructor(changed: (name: string, value: string) => void) {
    this.#changed = changed
  }

  /** Raises undefined_object for a name that is none. */
  get(name: string): string {
    const value = this.find(name)
    if (value === undefined) throw new DbError('undefined_object', `unrecognized configuration parameter "${name}"`)
    return value
  }

  find(name: string): string | undefined {
    const key = name.toLowerCase()
    return this.#values.get(key) ?? this.#initial.get(key) ?? overrides[key] ?? facts.get(key)?.boot
  }

  /** As SHOW prints it: with a unit where there is one. */
  show(name: string): string {
    const value = this.get(name)
    const f = facts.get(name.toLowerCase())
    return f?.unit ? withUnit(value, f.unit) : value
  }

  number(name: string): number {
    return Number(this.get(name))
  }

  on(name: string): boolean {
    return this.get(name) === 'on'
  }

  /** What the planner goes by now. */
  get planning(): PlanSettings {
    this.#planning ??= {
      batchRows: this.number('lattice.batch_rows'),
      disabled: new Set(planWays.filter((way) => !this.on(`enable_${way}`))),
    }
    return this.#planning
  }
  #planning: PlanSettings | undefined

  /** A default of the session (from startup or ALTER ROLE SET): RESET goes back to it. */
  initialize(name: string, value: string): void {
    const key = name.toLowerCase()
    if (!facts.has(key) && !name.includes('.') && key !== 'session_authorization') {
      throw new DbError('undefined_object', `unrecognized configuration parameter "${name}"`)
    }
    this.#initial.set(key, validate(name, value))
    this.#planning = undefined
    this.#changed(facts.get(key)?.name ?? name, this.get(name))
  }

  set(name: string, value: string | undefined, local: boolean): void {
    const key = name.toLowerCase()
    const f = facts.get(key)
    if (f === undefined && !name.includes('.'))
      throw new DbError('undefined_object', `unrecognized configuration parameter "${name}"`)
    if (f !== undefined && (f.context === 'internal' || f.context === 'postmaster' || f.context === 'sighup')) {
      throw new DbError(
        'cant_change_runtime_param',
        f.context === 'internal'
          ? `parameter "${f.name}" cannot be changed`
          : `parameter "${f.name}" cannot be changed now`,
      )
    }
    const checked = value === undefined ? undefined : validate(name, value)
    this.#undo.push({ key, before: this.#values.get(key), local })
    this.#put(key, checked)
  }

  resetAll(): void {
    for (const key of [...this.#values.keys()]) {
      this.#undo.push({ key, before: this.#values.get(key), local: false })
      this.#put(key, undefined)
    }
  }

  get mark(): number {
    return this.#undo.length
  }

  rollbackTo(mark: number): void {
    while (this.#undo.length > mark) {
      const { key, before } = this.#undo.pop()!
      this.#put(key, before)
    }
  }

  /** Keeps what SET set and undoes what SET LOCAL did. */
  commit(): void {
    if (this.#undo.length === 0) return
    const undo = this.#undo
    this.#undo = []
    for (let i = undo.length - 1; i >= 0; i--) {
      if (!undo[i].local) continue
      const later = undo.slice(i + 1).some((u) => u.key === undo[i].key && !u.local)
      if (!later) this.#put(undo[i].key, undo[i].before)
    }
  }

  rollback(): void {
    this.rollbackTo(0)
  }

  *all(): Iterable<{ facts: SettingFacts; value: string }> {
    for (const f of facts.values()) yield { facts: f, value: this.get(f.name) }
    for (const [key, value] of this.#values) {
      if (!facts.has(key)) yield { facts: { ...customFacts, name: key }, value }
    }
  }

  #put(key: string, value: string | undefined): void {
    const before = this.find(key)
    if (value === undefined) this.#values.delete(key)
    else this.#values.set(key, value)
    const after = this.find(key)
    if (before === after) return
    this.#planning = undefined
    this.#changed(facts.get(key)?.name ?? key, after ?? '')
  }
}

const customFacts: SettingFacts = {
  name: '',
  unit: null,
  category: 'Customized Options',
  context: 'user',
  type: 'string',
  min: null,
  max: null,
  values: [],
  boot: '',
  description: '',
}

const memoryUnits: Record<string, number> = { B: 1, kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 }
const timeUnits: Record<string, number> = { us: 0.001, ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 }

function validate(name: string, value: string): string {
  const f = facts.get(name.toLowerCase())
  if (f === undefined) return value
  switch (f.type) {
    case 'bool':
      return boolean(f, value)
    case 'enum': {
      const found =
        f.values.find((v) => v.toLowerCase() === value.toLowerCase()) ??
        (/^(on|true|yes|1|off|false|no|0)$/i.test(value) ? f.values.find((v) => v === boolean(f, value)) : undefined)
      if (found === undefined) {
        throw new DbError('invalid_parameter_value', `invalid value for parameter "${f.name}": "${value}"`, {
          hint: `Available values: ${f.values.join(', ')}.`,
        })
      }
      return found
    }
    case 'integer':
    case 'real':
      return number(f, value)
    default:
      return special(f.name, value)
  }
}

function boolean(f: SettingFacts, value: string): string {
  if (/^(t|tr|tru|true|y|ye|yes|on|1)$/i.test(value)) return 'on'
  if (/^(f|fa|fal|fals|false|n|no|of|off|0)$/i.test(value)) return 'off'
  throw new DbError('invalid_parameter_value', `parameter "${f.name}" requires a Boolean value`)
}

function number(f: SettingFacts, value: string): string {
  const m = /^\s*([+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+))\s*([a-zA-Z]*)\s*$/.exec(value)
  const fail = () => new DbError('invalid_parameter_value', `invalid value for parameter "${f.name}": "${value}"`)
  if (m === null) throw fail()
  let n = Number(m[1])
  if (m[2] !== '') {
    const unit = f.unit ?? ''
    const base = /^(\d*)([a-zA-Z]+)$/.exec(unit)
    const table = base !== null && base[2] in timeUnits ? timeUnits : memoryUnits
    if (base === null || !(m[2] in table) || !(base[2] in table)) throw fail()
    n = (n * table[m[2]]) / (table[base[2]] * Number(base[1] || 1))
  }
  if (f.type === 'integer') n = Math.round(n)
  if ((f.min !== null && n < Number(f.min)) || (f.max !== null && n > Number(f.max))) {
    throw new DbError(
      'invalid_parameter_value',
      `${n}${f.unit ? ` ${f.unit}` : ''} is outside the valid range for parameter "${f.name}" (${f.min} .. ${f.max})`,
    )
  }
  return String(n)
}

function special(name: string, value: string): string {
  switch (name) {
    case 'client_encoding': {
      const plain = value.toUpperCase().replaceAll(/[-_"' ]/g, '')
      if (plain === 'UTF8' || plain === 'UNICODE') return 'UTF8'
      if (plain === 'SQLASCII') return 'SQL_ASCII'
      throw new DbError('invalid_parameter_value', `invalid value for parameter "client_encoding": "${value}"`, {
        detail: 'The server speaks UTF8 only.',
      })
    }
    case 'DateStyle':
      return dateStyle(value)
    case 'TimeZone': {
      if (/^(default|local)$/i.test(value)) return 'UTC'
      return /^INTERVAL /.test(value) ? intervalZone(value.slice(9)) : checkZone(value)
    }
    default:
      return value
  }
}

function dateStyle(value: string): string {
  let order = 'MDY'
  for (const part of value.split(',').map((p) => p.trim().toUpperCase())) {
    if (part === 'ISO' || part === 'DEFAULT' || part === '') continue
    if (part === 'MDY' || part === 'US' || part.startsWith('NONEURO')) order = 'MDY'
    else if (part === 'DMY' || part.startsWith('EURO')) order = 'DMY'
    else if (part === 'YMD') order = 'YMD'
    else if (part === 'SQL' || part === 'POSTGRES' || part === 'GERMAN') {
      throw new DbError('feature_not_supported', `date style ${part} is not supported`, { hint: 'Use ISO.' })
    } else
      throw new DbError('invalid_parameter_value', `invalid value for parameter "DateStyle": "${value}"`, {
        detail: `Unrecognized key word: "${part.toLowerCase()}".`,
      })
  }
  return `ISO, ${order}`
}

function checkZone(zone: string): string {
  // A number is hours east of Greenwich.
  if (/^[+-]?\d+(\.\d+)?$/.test(zone)) return posixZone(Number(zone) * 3600)
  try {
    new Intl.DateTimeFormat('en', { timeZone: /^[+-]/.test(zone) ? 'not a name' : zone })
    return canonicalCase(zone)
  } catch {
    if (findZone(zone) !== undefined) return zone
    throw new DbError('invalid_parameter_value', `invalid value for parameter "TimeZone": "${zone}"`)
  }
}

/** SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE. */
function intervalZone(text: string): string {
  const parts = /^([+-]?)(\d+)(?::(\d+))?(?::(\d+))?/.exec(text.trim())
  if (parts === null)
    throw new DbError('invalid_parameter_value', `invalid value for parameter "TimeZone": "INTERVAL '${text}'"`)
  const seconds = Number(parts[2]) * 3600 + Number(parts[3] ?? 0) * 60 + Number(parts[4] ?? 0)
  return posixZone(parts[1] === '-' ? -seconds : seconds)
}

/** A fixed offset in seconds east as PostgreSQL keeps it: its label, then the same with POSIX's sign. */
function posixZone(seconds: number): string {
  const size = Math.abs(Math.round(seconds))
  const two = (n: number) => String(n).padStart(2, '0')
  const minutes = size % 3600 === 0 ? '' : `:${two(Math.floor(size / 60) % 60)}`
  const text = `${two(Math.floor(size / 3600))}${minutes}${size % 60 === 0 ? '' : `:${two(size % 60)}`}`
  const [label, posix] = seconds < 0 ? ['-', '+'] : ['+', '-']
  return `<${label}${text}>${posix}${text}`
}

function canonicalCase(zone: string): string {
  if (/^(utc|gmt)$/i.test(zone)) return zone.toUpperCase()
  return Intl.supportedValuesOf('timeZone').find((z) => z.toLowerCase() === zone.toLowerCase()) ?? zone
}

function withUnit(value: string, unit: string): string {
  const n = Number(value)
  if (n <= 0 || !Number.isInteger(n)) return n === 0 || n === -1 ? value : value + unit
  const base = /^(\d*)([a-zA-Z]+)$/.exec(unit)
  if (base === null) return value
  const table = base[2] in timeUnits ? timeUnits : memoryUnits
  const size = n * Number(base[1] || 1) * table[base[2]]
  const larger = Object.entries(table).filter(([, s]) => s >= table[base[2]] && size % s === 0)
  const [name, s] = larger[larger.length - 1] ?? [base[2], table[base[2]]]
  return `${size / s}${name}`
}

export { facts as settingFacts }
