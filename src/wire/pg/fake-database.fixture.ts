/**
 * A database of canned statements: enough for real clients to exercise the protocol without SQL behind it.
 *
 *   select <item>, …        items: 1, -2, 'text', null, true, $1, $1::int4, with "as name"; functions below
 *   rows(n)                 a statement: n rows (id int4, label text)
 *   slow(n)                 n rows, each after a WAIT;   forever   yields until cancelled
 *   fail('SQLSTATE name')   an error with every field;   bug       a TypeError
 *   notice, notify c p, set n v, begin, commit, rollback, copyin, copyout n, nothing
 */
import { DbError, END, type ErrorCode, isErrorCode, ROW, type Step, WAIT, YIELD } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import type {
  ConnectOptions,
  Field,
  Portal,
  Prepared,
  RowSink,
  Script,
  SessionEvents,
  SqlDatabase,
  SqlSession,
} from '../../sql/session-api.ts'
import type { Type, TypeContext, Value } from '../../sql/types/type.ts'

function fakeType(oid: number, name: string, length: number, rest: Partial<Type>): Type {
  return {
    oid,
    name,
    length,
    kind: 'b',
    category: 'X',
    preferred: false,
    delimiter: ',',
    element: 0,
    array: 0,
    relation: 0,
    base: 0,
    storage: 'bytes',
    ordered: true,
    hashable: true,
    parse: (text: string) => text,
    format: (value: Value) => String(value),
    writeText: (value: Value, out: ByteWriter) => void out.utf8(String(value)),
    encode: (value: Value, out: ByteWriter) => void out.utf8(String(value)),
    decode: (bytes: Uint8Array, start: number, end: number) => Buffer.from(bytes.subarray(start, end)).toString(),
    coerce: (value: Value) => value,
    compare: () => 0,
    key: (value: Value) => value,
    encodeKey: () => {},
    skipKey: (_: Uint8Array, start: number) => start,
    ...rest,
  } // prettier-ignore
}

function parseInteger(text: string): number {
  if (!/^-?\d+$/.test(text)) {
    throw new DbError('invalid_text_representation', `invalid input syntax for type integer: "${text}"`)
  }
  return Number(text)
}

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset)
const int4 = fakeType(23, 'int4', 4, {
  parse: parseInteger,
  encode: (value, out) => out.u32(value),
  decode: (bytes, start) => view(bytes).getInt32(start),
})
const int8 = fakeType(20, 'int8', 8, {
  parse: (text) => (Number.isSafeInteger(Number(text)) ? parseInteger(text) : BigInt(text)),
  encode: (value, out) => out.bigint64(BigInt(value)),
  decode: (bytes, start) => Number(view(bytes).getBigInt64(start)),
})
const text = fakeType(25, 'text', -1, {})
const bool = fakeType(16, 'bool', 1, {
  parse: (input) => input === 't' || input === 'true',
  writeText: (value, out) => out.u8(value ? 0x74 : 0x66),
  encode: (value, out) => out.u8(value ? 1 : 0),
  decode: (bytes, start) => bytes[start] === 1,
})
const types = new Map([int4, int8, text, bool].map((type) => [type.oid, type]))
const names: Record<string, Type> = { int4, integer: int4, int: int4, int8, bigint: int8, text, bool }

const noRegisters: Value[] = []

class FakePortal implements Portal {
  readonly fields: readonly Field[] | undefined
  copy: Portal['copy']
  tag = ''
  closed = false
  received: Uint8Array[] = []
  readonly #steps: (sink: RowSink) => Step
  #waitsFor: Promise<void> = Promise.resolve()

  constructor(fields: readonly Field[] | undefined, steps: (portal: FakePortal, sink: RowSink) => Step) {
    this.fields = fields
    this.#steps = (sink) => steps(this, sink)
  }

  run(sink: RowSink, maxRows: number): Step {
    if (maxRows === 0) return this.#steps(sink)
    // The canned statements know no limit: rows are counted in between.
    let left = maxRows
    let blocked = true
    const counting: RowSink = {
      row: (registers) => {
        blocked = sink.row(registers)
        return --left > 0 && blocked
      },
      copyOut: (bytes) => sink.copyOut(bytes),
    }
    const step = this.#steps(counting)
    return left <= 0 ? ROW : step
  }

  ready(): Promise<void> {
    return this.#waitsFor
  }

  wait(promise: Promise<void>): Step {
    this.#waitsFor = promise
    return WAIT
  }

  copyIn(chunk: Uint8Array): Step {
    if (chunk.length > 0) {
      this.received.push(Uint8Array.from(chunk))
      return YIELD
    }
    return END
  }

  copyDone(): Step {
    this.tag = `COPY ${Buffer.concat(this.received).toString().split('\n').length - 1}`
    return END
  }

  copyFail(message: string): void {
    throw new DbError('query_canceled', `COPY from stdin failed: ${message}`)
  }

  close(): void {
    this.closed = true
  }
}

interface FakePrepared extends Prepared {
  readonly build: (values: readonly Value[]) => FakePortal
}

class FakeSession implements SqlSession {
  readonly processId: number
  readonly secretKey = -294_967_296
  readonly database: FakeDatabase
  readonly options: ConnectOptions
  readonly types = { types: { type: (oid: number) => types.get(oid)! } } as unknown as TypeContext
  events!: SessionEvents
  status: 'I' | 'T' | 'E' = 'I'
  readonly statements = new Map<string, Prepared>()
  readonly portals = new Map<string, Portal>()
  readonly channels = new Set<string>()
  readonly plans = new Map<string, FakePrepared>()
  canceled = false
  closed = false
  slowSync = false
  #syncWaits = false

  constructor(database: FakeDatabase, options: ConnectOptions, processId: number) {
    this.database = database
    this.options = options
    this.processId = processId
  }

  reported(): Iterable<readonly [string, string]> {
    return [
      ['server_version', '15.0'],
      ['server_encoding', 'UTF8'],
      ['client_encoding', 'UTF8'],
      ['DateStyle', 'ISO, MDY'],
      ['integer_datetimes', 'on'],
      ['standard_conforming_strings', 'on'],
    ]
  }

  parse(): Step {
    return END
  }

  script(source: string): Script {
    const parts = source
      .split(';')
      .map((part) => part.trim())
      .filter((part) => part !== '' && !part.startsWith('--'))
    return {
      next: () => {
        const part = parts.shift()
        if (part === undefined) return undefined
        return (this.prepare(part, []) as FakePrepared).build([])
      },
    }
  }

  prepare(source: string, parameterTypes: readonly number[]): Prepared {
    const known = this.plans.get(source)
    if (known !== undefined && parameterTypes.length === 0) return known
    const made = this.#analyse(source.replace(/;\s*$/, '').trim(), parameterTypes)
    if (parameterTypes.length === 0) this.plans.set(source, made)
    return made
  }

  bind(prepared: Prepared, values: readonly Value[]): Portal {
    return (prepared as FakePrepared).build(values)
  }

  sync(): Step {
    if (this.slowSync && !this.#syncWaits) {
      this.#syncWaits = true
      return WAIT
    }
    this.#syncWaits = false
    return END
  }

  ready(): Promise<void> {
    return Promise.resolve()
  }

  fail(): void {
    if (this.status === 'T') this.status = 'E'
  }

  cancel(): void {
    this.canceled = true
  }

  close(): void {
    this.closed = true
    this.database.sessions.delete(this.processId)
  }

  #command(source: string, tag: string | (() => string), effect: () => void = () => {}): FakePrepared {
    return {
      text: source,
      parameterTypes: [],
      fields: undefined,
      build: () =>
        new FakePortal(undefined, (portal) => {
          portal.tag = typeof tag === 'string' ? tag : tag()
          effect()
          return END
        }),
    } // prettier-ignore
  }

  #analyse(source: string, given: readonly number[]): FakePrepared {
    const [word, ...rest] = source.split(/[\s(]+/)
    switch (word.toLowerCase()) {
      case '':
        return this.#command(source, '')
      case 'begin':
        return this.#command(source, 'BEGIN', () => (this.status = 'T'))
      case 'commit':
      case 'rollback':
      case 'end': {
        const tag = () => (word.toLowerCase() === 'rollback' || this.status === 'E' ? 'ROLLBACK' : 'COMMIT')
        return this.#command(source, tag, () => (this.status = 'I'))
      }
      case 'nothing':
      case 'deallocate':
      case 'listen':
        if (word.toLowerCase() === 'listen') this.channels.add(rest[0].replaceAll('"', ''))
        return this.#command(source, word.toUpperCase())
      case 'notify':
        return this.#command(source, 'NOTIFY', () => this.database.notify(this.processId, rest[0] ?? '', rest[1] ?? ''))
      case 'notice':
        return this.#command(source, 'NOTICE', () =>
          this.events.notice({ severity: 'NOTICE', error: new DbError('warning', 'hear, hear', { hint: 'listen' }) }),
        )
      case 'set':
        return this.#command(source, 'SET', () => this.events.parameter(rest[0] ?? '', rest[1] ?? ''))
      case 'fail':
        if (!isErrorCode(rest[0]?.replace(/\W/g, '') ?? '')) throw new DbError('undefined_object', 'no such failure')
        return this.#command(source, '', () => {
          throw new DbError(rest[0].replace(/\W/g, '') as ErrorCode, 'made to fail', {
            detail: 'a detail',
            hint: 'a hint',
            position: 3,
            where: 'here',
            schema: 's',
            table: 't',
            column: 'c',
            dataType: 'd',
            constraint: 'k',
          }) // prettier-ignore
        })
      case 'bug':
        return this.#command(source, '', () => (undefined as any).nothing)
      case 'rows':
      case 'slow':
        return this.#rows(source, Number.parseInt(rest[0], 10), word === 'slow')
      case 'forever':
        return this.#forever(source)
      case 'copyin':
      case 'copy':
        return this.#copyIn(source)
      case 'copyout':
        return this.#copyOut(source, Number.parseInt(rest[0], 10))
      case 'select':
        return this.#select(source, given)
      default:
        throw new DbError('syntax_error', `syntax error at or near "${word}"`, { position: 1 })
    }
  }

  #rows(source: string, count: number, slow: boolean): FakePrepared {
    const fields = [field('id', 0, int4), field('label', 1, text)]
    const build = () => {
      let at = 0
      let waited = false
      const registers: Value[] = [0, '']
      return new FakePortal(fields, (portal, sink) => {
        while (at < count) {
          if (this.canceled) {
            this.canceled = false
            throw new DbError('query_canceled', 'canceling statement due to user request')
          }
          if (slow && !waited) {
            waited = true
            return portal.wait(Promise.resolve())
          }
          waited = false
          registers[0] = at++
          registers[1] = `row ${at}`
          if (!sink.row(registers)) return YIELD
        }
        portal.tag = `SELECT ${count}`
        return END
      })
    }
    return { text: source, parameterTypes: [], fields, build }
  }

  #forever(source: string): FakePrepared {
    const build = () =>
      new FakePortal(undefined, () => {
        if (!this.canceled) return YIELD
        this.canceled = false
        throw new DbError('query_canceled', 'canceling statement due to user request')
      })
    return { text: source, parameterTypes: [], fields: undefined, build }
  }

  #copyIn(source: string): FakePrepared {
    const build = () => {
      const portal = new FakePortal(undefined, () => END)
      portal.copy = { direction: 'in', binary: false, columns: 2 }
      this.database.lastCopy = portal.received
      return portal
    }
    return { text: source, parameterTypes: [], fields: undefined, build }
  }

  #copyOut(source: string, count: number): FakePrepared {
    const build = () => {
      let at = 0
      const portal = new FakePortal(undefined, (self, sink) => {
        while (at < count) if (!sink.copyOut(Buffer.from(`${++at}\tline\n`))) return YIELD
        self.tag = `COPY ${count}`
        return END
      })
      portal.copy = { direction: 'out', binary: false, columns: 2 }
      return portal
    }
    return { text: source, parameterTypes: [], fields: undefined, build }
  }

  #select(source: string, given: readonly number[]): FakePrepared {
    const parameterTypes: Type[] = []
    const fields: Field[] = []
    const registers: ((values: readonly Value[]) => Value)[] = []
    const list = source.slice(6).trim()
    for (const item of list === '' ? [] : list.match(/(?:'[^']*'|[^,])+/g)!) {
      const match = /^\s*(.+?)(?:\s+as\s+"?(\w+)"?)?\s*$/is.exec(item)!
      const [expression, castName] = match[1].split('::')
      let type = castName ? names[castName] : undefined
      const parameter = /^\$(\d+)$/.exec(expression)
      if (parameter) {
        const index = Number(parameter[1]) - 1
        type ??= types.get(given[index] ?? 0) ?? parameterTypes[index] ?? text
        parameterTypes[index] = type
        registers.push((values) => values[index])
      } else if (/^-?\d+$/.test(expression)) {
        type ??= int4
        registers.push(() => Number(expression))
      } else if (/^'.*'$/s.test(expression)) registers.push(() => expression.slice(1, -1))
      else if (expression === 'null') registers.push(() => null)
      else if (expression === 'true') {
        type = bool
        registers.push(() => true)
      } else if (expression === 'user') registers.push(() => this.options.user)
      else throw new DbError('undefined_column', `column "${expression}" does not exist`, { position: 8 })
      fields.push(field(match[2] ?? '?column?', fields.length, type ?? text))
    }
    const build = (values: readonly Value[]) => {
      let done = false
      return new FakePortal(fields, (portal, sink) => {
        portal.tag = done ? 'SELECT 0' : 'SELECT 1'
        if (!done) {
          done = true
          sink.row(registers.length === 0 ? noRegisters : registers.map((register) => register(values)))
        }
        return END
      })
    }
    return { text: source, parameterTypes, fields, build }
  }
}

function field(name: string, slot: number, type: Type): Field {
  return { name, slot, type, typmod: -1, tableOid: 0, columnNumber: 0 }
}

export class FakeDatabase implements SqlDatabase {
  readonly sessions = new Map<number, FakeSession>()
  readonly verifiers = new Map<string, string>()
  lastCopy: Uint8Array[] = []
  connected = 0

  connect(options: ConnectOptions): SqlSession {
    if (options.database === 'missing') throw new DbError('invalid_catalog_name', 'database "missing" does not exist')
    const session = new FakeSession(this, options, ++this.connected)
    this.sessions.set(session.processId, session)
    return session
  }

  verifier(user: string): string | undefined {
    return this.verifiers.get(user)
  }

  cancel(processId: number, secretKey: number): void {
    const session = this.sessions.get(processId)
    if (session?.secretKey === secretKey) session.cancel()
  }

  notify(from: number, channel: string, payload: string): void {
    for (const session of this.sessions.values()) {
      if (session.channels.has(channel)) session.events.notification(from, channel, payload)
    }
  }

  type(oid: number): Type {
    return types.get(oid)!
  }
}
