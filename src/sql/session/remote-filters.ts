/**
 * Filters that other nodes send along with their scans, run where the rows are.
 *
 * A program is compiled once and kept by its bytes. It is run only while this node knows the table by the same definition
 * as the sender; else all rows are answered, and the sender does the testing. A row that a test raises an error for is
 * answered too: whether the error counts is the sender's to find out.
 *
 * Not here: what can be sent (plan/remote-filter.ts).
 */
import { DbError } from '../../base/index.ts'
import type { RowFilter } from '../../transaction/index.ts'
import { ParameterTypes } from '../bind/context.ts'
import { emptyQuery } from '../bind/select.ts'
import { RowDecoder } from '../execute/decoder.ts'
import { Execution } from '../execute/execution.ts'
import { compile } from '../plan/compile.ts'
import { plainContext, type RemoteProgram } from '../plan/remote-filter.ts'
import { PlanScope } from '../plan/scope.ts'
import type { Query } from '../query.ts'
import type { Database } from './database.ts'
import { Session } from './session.ts'

const maxKept = 200

interface Kept {
  readonly program: RemoteProgram
  readonly filter: RowFilter
}

export class RemoteFilters {
  readonly #database: Database
  readonly #kept = new Map<string, Kept>()
  readonly #sessions = new Map<number, Session>()

  constructor(database: Database) {
    this.#database = database
  }

  /** Undefined when this node cannot run it. */
  compile(bytes: Uint8Array): RowFilter | undefined {
    const name = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
    const known = this.#kept.get(name)
    if (known !== undefined) return this.#current(known.program) ? known.filter : undefined
    const program = JSON.parse(Buffer.from(bytes).toString()) as RemoteProgram
    if (!this.#current(program)) return undefined
    try {
      const filter = this.#compile(program)
      if (this.#kept.size >= maxKept) this.#kept.delete(this.#kept.keys().next().value!)
      this.#kept.set(name, { program, filter })
      return filter
    } catch (error) {
      if (error instanceof DbError) return undefined
      throw error
    }
  }

  #current({ database, table, fence }: RemoteProgram): boolean {
    const { sync } = this.#database
    return this.#database.knows(database) && sync !== undefined && sync.fenceOf(table) === fence
  }

  #session(database: number): Session {
    let session = this.#sessions.get(database)
    if (session === undefined) {
      const options = { user: 'lattice', database: '', parameters: new Map<string, string>(), client: '' }
      session = new Session(this.#database, 0, database, 10, options)
      this.#sessions.set(database, session)
    }
    return session
  }

  #compile({ database, table, tests, values }: RemoteProgram): RowFilter {
    const session = this.#session(database)
    const { catalog } = session
    const descriptor = catalog.relation(table)
    if (descriptor === undefined) throw new DbError('undefined_table', `relation ${table} does not exist`)
    const access = session.tables.access(catalog, descriptor)
    const parameters = new ParameterTypes(values.map(([type]) => type))
    const builder = session.planBuilder(session.bindContext('', parameters))
    const entry = { kind: 'relation' as const, relation: table, alias: '', explicitAlias: false, columns: [] }
    const query: Query = { ...emptyQuery(), entries: [entry] }
    const scope = new PlanScope(builder, query, undefined)
    const evals = tests.map((test) => compile(scope, test).eval)
    const source = scope.source(0)
    const registers = source.kind === 'registers' ? source.byColumn : new Map<number, number>()
    const decoder = new RowDecoder(access, [...registers.keys()], [...registers.values()])
    const context = plainContext(session.types)
    const constants = values.map(([type, text]) =>
      text === null ? null : context.types.type(type).parse(text, -1, context),
    )
    // Immutable functions ask nothing of a transaction: this one is over.
    const tx = session.transaction()
    session.abort()
    const x = new Execution(builder.registers, constants, tx, session)
    builder.running = x
    return (bytes, view, start) => {
      try {
        decoder.decode(x.r, bytes, view, start)
        for (let i = 0; i < evals.length; i++) if (evals[i](x) !== true) return false
        return true
      } catch (error) {
        if (error instanceof DbError) return true
        throw error
      }
    }
  }
}
