/**
 * COPY: rows between a table (or query) and the client's stream.
 *
 * In: data is cut into records, each converted and written like an INSERT's row. Out: rows of a plan are formatted.
 */
import { DbError, END, ROW, type Step, WAIT, YIELD } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import { rowExclusive } from '../../transaction/index.ts'
import { ParameterTypes } from '../bind/context.ts'
import { lookUpRelation } from '../bind/from.ts'
import { insertColumns } from '../bind/modify.ts'
import type { Column, RelationDescriptor } from '../catalog/descriptors.ts'
import { bindCondition, contextOf } from '../ddl/context.ts'
import { type Eval, Execution } from '../execute/execution.ts'
import { checkParent } from '../execute/foreign-keys.ts'
import type { RowWriter } from '../execute/row-writer.ts'
import type { Node } from '../parse/parser.ts'
import { compile } from '../plan/compile.ts'
import { compileDefault, standaloneWriter } from '../plan/plan-modify.ts'
import type { Session } from '../session/session.ts'
import type { Portal, RowSink } from '../session-api.ts'
import type { Type, Value } from '../types/type.ts'
import {
  binarySignature,
  type CopyOptions,
  CsvReader,
  copyOptions,
  type RecordReader,
  RowWriterText,
  TextReader,
} from './format.ts'

export function copyPortal(session: Session, node: any, text: string, last: boolean): Portal {
  session.requireLive()
  if (node.filename || node.is_program) {
    throw new DbError('feature_not_supported', 'COPY with a file or program on the server is not supported', {
      hint: 'Use COPY … FROM STDIN or TO STDOUT, or \\copy in psql.',
    })
  }
  const options = copyOptions(node.options ?? [], node.is_from ? 'from' : 'to')
  // Before the client is asked for data.
  if (node.is_from) session.requireWritable('COPY FROM')
  if (node.is_from) return new CopyIn(session, node, options, last)
  return new CopyOut(session, node, options, text, last)
}

// ---- out

class CopyOut implements Portal {
  readonly fields = undefined
  readonly copy: Portal['copy']
  tag = ''
  readonly #session: Session
  readonly #inner: Portal
  readonly #last: boolean
  readonly #writer: RowWriterText
  readonly #options: CopyOptions
  readonly #names: readonly string[]
  readonly #slots: readonly number[]
  readonly #out = new ByteWriter(16 * 1024)
  #rows = 0
  #started = false
  #done = false

  constructor(session: Session, node: any, options: CopyOptions, text: string, last: boolean) {
    this.#session = session
    this.#last = last
    this.#options = options
    const query: Node = node.query ?? selectOf(session, node)
    const statement = session.statementCache.prepare(text, { node: query, start: 0, length: text.length }, [])
    this.#inner = session.statementCache.bind(statement, [], false)
    const fields = this.#inner.fields ?? []
    this.#names = fields.map((f) => f.name)
    this.#slots = fields.map((f) => f.slot)
    this.#writer = new RowWriterText(
      options,
      fields.map((f) => f.type),
      this.#names,
      session.types,
    )
    this.copy = { direction: 'out', binary: options.format === 'binary', columns: fields.length }
  }

  run(sink: RowSink): Step {
    const out = this.#out
    if (!this.#started) {
      this.#started = true
      out.reset()
      if (this.#options.format === 'binary') {
        out.raw(binarySignature)
        out.u32(0)
        out.u32(0)
      } else if (this.#options.header !== false) this.#writer.header(this.#names, out)
      if (out.length > 0) sink.copyOut(out.bytes)
    }
    if (!this.#done) {
      const step = this.#inner.run(
        {
          row: (r) => {
            out.reset()
            this.#rows++
            this.#writer.write(
              this.#slots.map((s) => r[s]),
              out,
            )
            return sink.copyOut(out.bytes)
          },
          copyOut: () => true,
        },
        0,
      )
      if (step !== END) return step
      if (this.#options.format === 'binary') {
        out.reset()
        out.u16(0xffff)
        sink.copyOut(out.bytes)
      }
      this.tag = `COPY ${this.#rows}`
      this.#done = true
    }
    if (this.#last && this.#session.finishImplicit() === WAIT) return WAIT
    return END
  }
  ready(): Promise<void> {
    return this.#session.ready()
  }
  copyIn(): Step {
    throw new DbError('protocol_violation', 'unexpected copy data')
  }
  copyDone(): Step {
    throw new DbError('protocol_violation', 'unexpected end of copy')
  }
  copyFail(): void {}
  close(): void {
    this.#inner.close()
  }
}

/** COPY table (columns) TO as a query. */
function selectOf(session: Session, node: any): Node {
  const relation = lookUpRelation(contextOf(session), node.relation)
  if (relation.relkind === 'v')
    throw new DbError('wrong_object_type', `cannot copy from view "${relation.name}"`, {
      hint: 'Try the COPY (SELECT ...) TO variant.',
    })
  if (relation.relkind === 'S') throw new DbError('wrong_object_type', `cannot copy from sequence "${relation.name}"`)
  const columns = insertColumns(contextOf(session), relation, node.attlist)
  const visible = node.attlist === undefined ? columns.filter((c) => c.generated === undefined) : columns
  return {
    SelectStmt: {
      targetList: visible.map((c) => ({
        ResTarget: { val: { ColumnRef: { fields: [{ String: { sval: c.name } }] } } },
      })),
      fromClause: [{ RangeVar: node.relation }],
      limitOption: 'LIMIT_OPTION_DEFAULT',
      op: 'SETOP_NONE',
    },
  } as never
}

// ---- in

interface Cells {
  readonly values: (string | null)[] | undefined
  readonly binary: (Value | null)[] | undefined
}

class CopyIn implements Portal {
  readonly fields = undefined
  readonly copy: Portal['copy']
  tag = ''
  readonly #session: Session
  readonly #node: any
  readonly #options: CopyOptions
  readonly #last: boolean
  #columns: readonly Column[]
  #relation: RelationDescriptor
  #reader: RecordReader | undefined
  /** The reader, when records may be taken without unescaping. */
  #plain: TextReader | undefined
  #integers: readonly boolean[] = []
  #binary: BinaryReader | undefined
  #state: 'new' | 'reading' | 'ending' | 'checking' | 'committing' = 'new'
  #writer!: RowWriter
  #x!: Execution
  #types: readonly Type[] = []
  #defaults: readonly (Eval | undefined)[] = []
  #where: Eval | undefined
  #running: Generator<Step, boolean, void> | undefined
  #check: Generator<Step, void, void> | undefined
  #rows = 0
  #headerDone = false
  #values: Value[] = []

  constructor(session: Session, node: any, options: CopyOptions, last: boolean) {
    this.#session = session
    this.#node = node
    this.#options = options
    this.#last = last
    const context = contextOf(session)
    this.#relation = lookUpRelation(context, node.relation)
    if (this.#relation.relkind !== 'r')
      throw new DbError(
        'wrong_object_type',
        `cannot copy to ${this.#relation.relkind === 'v' ? 'view' : 'relation'} "${this.#relation.name}"`,
      )
    if (this.#relation.oid < 16384)
      throw new DbError('insufficient_privilege', `permission denied for table ${this.#relation.name}`)
    this.#columns = columnsOf(session, this.#relation, node)
    this.copy = { direction: 'in', binary: options.format === 'binary', columns: this.#columns.length }
  }

  #begin(): Step {
    const session = this.#session
    const tx = session.transaction()
    if (tx.readOnly)
      throw new DbError('read_only_sql_transaction', 'cannot execute COPY FROM in a read-only transaction')
    if (tx.lockTable(String(this.#relation.oid), rowExclusive) === WAIT) {
      session.blocker = tx.blocker
      return WAIT
    }
    session.startStatement()
    session.relyOn(this.#relation.oid)
    this.#relation = lookUpRelation(contextOf(session), this.#node.relation)
    this.#columns = columnsOf(session, this.#relation, this.#node)
    const builder = session.planBuilder(session.bindContext('', new ParameterTypes([], false)))
    const { writer, scope } = standaloneWriter(builder, this.#relation)
    const { access } = writer.options
    const given = new Set(this.#columns.map((c) => c.number))
    this.#defaults = this.#relation.columns.map((c) =>
      given.has(c.number) ? undefined : compileDefault(scope, access, c.number),
    )
    if (this.#node.whereClause)
      this.#where = compile(
        scope,
        bindCondition(contextOf(session), this.#relation, this.#node.whereClause, 'copy', 'WHERE'),
      ).eval
    this.#types = this.#columns.map((c) => session.types.types.type(c.type))
    this.#writer = writer
    this.#integers = this.#columns.map((c) => c.type === 23 || c.type === 20)
    this.#x = new Execution(builder.registers, [], tx, session)
    builder.running = this.#x
    const names = this.#columns.map((c) => c.name)
    if (this.#options.format === 'binary') this.#binary = new BinaryReader(this.#types)
    else if (this.#options.format === 'csv') this.#reader = new CsvReader(this.#options, names)
    else {
      const reader = new TextReader(this.#options)
      this.#reader = reader
      if (this.#options.header === false && this.#options.null !== '') this.#plain = reader
    }
    this.#state = 'reading'
    return END
  }

  copyIn(chunk: Uint8Array): Step {
    if (this.#state === 'new') {
      const step = this.#begin()
      if (step !== END) {
        this.#early.push(Buffer.from(chunk))
        return step
      }
    }
    for (const early of this.#early.splice(0)) this.#push(early)
    if (chunk.length > 0) this.#push(chunk)
    return this.#drain()
  }

  readonly #early: Uint8Array[] = []

  #push(chunk: Uint8Array): void {
    if (this.#binary !== undefined) this.#binary.push(chunk)
    else this.#reader!.push(chunk)
  }

  /** Writes the complete records: END when more data is needed. */
  #drain(): Step {
    const x = this.#x
    x.startSlice()
    for (;;) {
      if (this.#running === undefined) {
        if (this.#plain?.scan()) {
          if (!this.#finishRow(this.#readPlain(this.#plain))) continue
        } else {
          const cells = this.#nextCells()
          if (cells === undefined) return END
          if (!this.#convert(cells)) continue
        }
        if (this.#appending !== 'no') {
          const step = this.#append()
          if (step === WAIT) {
            this.#session.blocker = x.tx.blocker
            this.#running = this.#write()
            return WAIT
          }
          if (step === ROW) {
            this.#rows++
            if ((this.#rows & 255) === 0 && x.spent) return YIELD
            continue
          }
        }
        this.#running = this.#write()
      }
      const result = this.#running.next()
      if (!result.done) {
        this.#session.blocker = x.blocker
        return result.value
      }
      this.#running = undefined
      this.#rows++
      if ((this.#rows & 255) === 0 && x.spent) return YIELD
    }
  }

  #nextCells(): Cells | undefined {
    if (this.#binary !== undefined) {
      const binary = this.#binary.next()
      return binary === undefined ? undefined : { values: undefined, binary }
    }
    const values = this.#reader!.next()
    if (values === undefined) return undefined
    if (this.#options.header !== false && !this.#headerDone) {
      this.#headerDone = true
      if (this.#options.header === 'match') this.#matchHeader(values)
      return this.#nextCells()
    }
    return { values, binary: undefined }
  }

  /** The quick way: rows above all others of the table go without locks or look-ups. END: not this row. */
  #append(): Step {
    const x = this.#x
    const writer = this.#writer
    const key = writer.keyView(x, this.#values)
    if (this.#appending === 'unknown') {
      if (!writer.appendable || this.#relation.constraints.some((c) => c.type === 'f')) this.#appending = 'no'
      else if (writer.options.access.keyColumns.length === 0) this.#appending = 'yes'
      else {
        const step = x.tx.claimTail(key)
        if (step === WAIT) return WAIT
        this.#appending = step === ROW ? 'yes' : 'no'
      }
      if (this.#appending === 'no') return END
    }
    if (writer.append(x, this.#values, key)) return ROW
    this.#appending = 'no'
    return END
  }
  #appending: 'unknown' | 'yes' | 'no' = 'unknown'

  #matchHeader(names: readonly (string | null)[]): void {
    this.#columns.forEach((c, i) => {
      if (names[i] !== c.name)
        throw new DbError(
          'bad_copy_file_format',
          `column name mismatch in header line field ${i + 1}: got "${names[i]}", expected "${c.name}"`,
        )
    })
  }

  /** The values of a record whose cells stand in the input as they are; small integers need no string. */
  #readPlain(reader: TextReader): Value[] {
    const columns = this.#columns
    const values: Value[] = new Array(this.#relation.columns.length)
    for (let i = 0; i < values.length; i++) values[i] = null
    if (reader.cells !== columns.length) {
      throw this.#locate(
        new DbError(
          'bad_copy_file_format',
          reader.cells > columns.length
            ? 'extra data after last expected column'
            : `missing data for column "${columns[reader.cells].name}"`,
        ),
      )
    }
    const { bytes, starts, ends } = reader
    for (let i = 0; i < columns.length; i++) {
      const c = columns[i]
      const start = starts[i]
      const end = ends[i]
      if (this.#integers[i]) {
        const n = digits(bytes, start, end)
        if (n >= 0) {
          values[c.number - 1] = n
          continue
        }
      }
      const cell = bytes.toString('latin1', start, end)
      if (cell === this.#options.null) continue
      values[c.number - 1] = this.#parseCell(i, c, cell)
    }
    return values
  }

  #parseCell(i: number, c: Column, cell: string): Value {
    try {
      return this.#types[i].parse(cell, c.typmod, this.#session.types)
    } catch (error) {
      throw error instanceof DbError ? this.#locate(error, c.name, cell) : error
    }
  }

  /** Fills the row's values; false when WHERE leaves it out. */
  #convert(cells: Cells): boolean {
    const columns = this.#columns
    const values: Value[] = new Array(this.#relation.columns.length).fill(null)
    if (cells.binary !== undefined)
      for (let i = 0; i < columns.length; i++) values[columns[i].number - 1] = cells.binary[i]
    else this.#parse(cells.values!, values)
    return this.#finishRow(values)
  }

  /** Defaults, WHERE, generated columns and constraints. */
  #finishRow(values: Value[]): boolean {
    const x = this.#x
    for (let i = 0; i < this.#defaults.length; i++) {
      const d = this.#defaults[i]
      if (d !== undefined) values[i] = d(x)
    }
    this.#values = values
    if (this.#where !== undefined) {
      this.#writer.load(x, values)
      if (this.#where(x) !== true) return false
    }
    try {
      this.#writer.complete(x, values)
    } catch (error) {
      throw error instanceof DbError ? this.#locate(error) : error
    }
    return true
  }

  #parse(cells: readonly (string | null)[], values: Value[]): void {
    const columns = this.#columns
    if (cells.length > columns.length)
      throw this.#locate(new DbError('bad_copy_file_format', 'extra data after last expected column'))
    if (cells.length < columns.length)
      throw this.#locate(new DbError('bad_copy_file_format', `missing data for column "${columns[cells.length].name}"`))
    for (let i = 0; i < columns.length; i++) {
      const cell = cells[i]
      if (cell === null) continue
      const c = columns[i]
      values[c.number - 1] = this.#parseCell(i, c, cell)
    }
  }

  #locate(error: DbError, column?: string, cell?: string): DbError {
    const line = this.#reader?.line ?? this.#binary!.line
    error.where = `COPY ${this.#relation.name}, line ${line}${column === undefined ? '' : `, column ${column}`}${cell === undefined ? '' : `: "${cell.slice(0, 100)}"`}`
    return error
  }

  *#write(): Generator<Step, boolean, void> {
    const x = this.#x
    const values = this.#values
    const key = this.#writer.keyOf(x, values)
    try {
      yield* this.#writer.insert(x, values, key)
    } catch (error) {
      throw error instanceof DbError ? this.#locate(error) : error
    }
    for (const c of this.#relation.constraints) {
      if (c.type !== 'f') continue
      const held = values
      if (c.deferrable && this.#session.defer(c, (y) => checkParent(y, this.#relation, c, held))) continue
      x.afterStatement.push((y) => checkParent(y, this.#relation, c, held))
    }
    return true
  }

  copyDone(): Step {
    if (this.#state === 'new') {
      const step = this.copyIn(new Uint8Array(0))
      if (step !== END) return step
    }
    if (this.#state === 'reading') {
      this.#reader?.end()
      this.#state = 'ending'
    }
    return this.#drain()
  }

  copyFail(message: string): void {
    throw new DbError('query_canceled', `COPY from stdin failed: ${message}`, {
      where: `COPY ${this.#relation.name}, line ${(this.#reader?.line ?? 0) + 1}`,
    })
  }

  run(_sink: RowSink): Step {
    if (this.#state === 'new') {
      const step = this.#begin()
      if (step !== END) return step
    }
    if (this.#state === 'reading' || this.#state === 'ending') {
      this.#binary?.finish()
      this.#state = 'checking'
    }
    if (this.#state === 'checking') {
      for (;;) {
        if (this.#check === undefined) {
          const next = this.#x.afterStatement.shift()
          if (next === undefined) break
          this.#check = next(this.#x)
        }
        const result = this.#check.next()
        if (!result.done) {
          this.#session.blocker = this.#x.blocker
          return result.value
        }
        this.#check = undefined
      }
      this.tag = `COPY ${this.#rows}`
      this.#state = 'committing'
    }
    if (this.#last && this.#session.finishImplicit() === WAIT) return WAIT
    return END
  }

  ready(): Promise<void> {
    return this.#session.ready()
  }
  close(): void {
    this.#running?.return(false)
  }
}

/** A short run of digits as a number, -1 for anything else (signs, spaces, what may not fit). */
function digits(bytes: Uint8Array, start: number, end: number): number {
  if (end === start || end - start > 9) return -1
  let n = 0
  for (let i = start; i < end; i++) {
    const c = bytes[i] - 48
    if (c < 0 || c > 9) return -1
    n = n * 10 + c
  }
  return n
}

function columnsOf(session: Session, relation: RelationDescriptor, node: any): Column[] {
  const columns = insertColumns(contextOf(session), relation, node.attlist)
  if (node.attlist === undefined) return columns.filter((c) => c.generated === undefined)
  const generated = columns.find((c) => c.generated !== undefined)
  if (generated !== undefined)
    throw new DbError('invalid_column_reference', `column "${generated.name}" is a generated column`, {
      detail: 'Generated columns cannot be used in COPY.',
    })
  return columns
}

/** The binary format: signature, flags, extension, then records of (length, bytes). */
class BinaryReader {
  readonly #types: readonly Type[]
  #buffer: Buffer = Buffer.alloc(0)
  #at = 0
  #started = false
  #finished = false
  line = 0

  constructor(types: readonly Type[]) {
    this.#types = types
  }
  push(bytes: Uint8Array): void {
    this.#buffer =
      this.#at >= this.#buffer.length ? Buffer.from(bytes) : Buffer.concat([this.#buffer.subarray(this.#at), bytes])
    this.#at = 0
  }
  next(): (Value | null)[] | undefined {
    const b = this.#buffer
    if (this.#finished) return undefined
    if (!this.#started) {
      if (b.length < 19) return undefined
      if (!b.subarray(0, 11).equals(binarySignature))
        throw new DbError('bad_copy_file_format', 'COPY file signature not recognized')
      const extension = b.readUInt32BE(15)
      if (b.length < 19 + extension) return undefined
      this.#at = 19 + extension
      this.#started = true
    }
    let at = this.#at
    if (b.length < at + 2) return undefined
    const count = b.readInt16BE(at)
    at += 2
    if (count === -1) {
      this.#finished = true
      return undefined
    }
    this.line++
    if (count !== this.#types.length)
      throw new DbError('bad_copy_file_format', `row field count is ${count}, expected ${this.#types.length}`)
    const out: (Value | null)[] = []
    for (let i = 0; i < count; i++) {
      if (b.length < at + 4) return this.#again()
      const length = b.readInt32BE(at)
      at += 4
      if (length < 0) {
        out.push(null)
        continue
      }
      if (b.length < at + length) return this.#again()
      out.push(this.#types[i].decode(b, at, at + length))
      at += length
    }
    this.#at = at
    return out
  }
  #again(): undefined {
    this.line--
    return undefined
  }
  finish(): void {
    if (this.#started && !this.#finished) throw new DbError('bad_copy_file_format', 'unexpected EOF in COPY data')
  }
}
