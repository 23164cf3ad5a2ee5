/**
 * Programs that other nodes send along with their scans, run where the rows are: tests, and partial aggregates.
 *
 * A program is compiled once and kept by its bytes. It is run only while this node knows the table by the same definition
 * as the sender; else all rows are answered, and the sender does the testing. A row that a test raises an error for is
 * answered too: whether the error counts is the sender's to find out.
 *
 * Not here: what can be sent (plan/remote-program.ts).
 */
import { DbError } from '../../base/index.ts'
import type { RowGatherer, RowProgram } from '../../transaction/index.ts'
import { ParameterTypes } from '../bind/context.ts'
import { relationEntry } from '../bind/from.ts'
import { emptyQuery } from '../bind/select.ts'
import { type AggregateCall, keyPart } from '../execute/aggregate.ts'
import { RowDecoder } from '../execute/decoder.ts'
import { type Eval, Execution } from '../execute/execution.ts'
import { planCall } from '../plan/aggregate-plan.ts'
import { compile, typeOf } from '../plan/compile.ts'
import type { Gathering, RemoteProgram } from '../plan/remote-program.ts'
import { PlanScope } from '../plan/scope.ts'
import type { Query } from '../query.ts'
import { plainContext, type Type, type TypeContext, type Value } from '../types/type.ts'
import type { Database } from './database.ts'
import { Session } from './session.ts'

const maxKept = 200

interface Kept {
  readonly program: RemoteProgram
  readonly run: RowProgram
}

export class RemotePrograms {
  readonly #database: Database
  readonly #kept = new Map<string, Kept>()
  readonly #sessions = new Map<number, Session>()

  constructor(database: Database) {
    this.#database = database
  }

  /** Undefined when this node cannot run it. */
  compile(bytes: Uint8Array): RowProgram | undefined {
    const name = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
    const known = this.#kept.get(name)
    if (known !== undefined) return this.#current(known.program) ? known.run : undefined
    const program = JSON.parse(Buffer.from(bytes).toString()) as RemoteProgram
    if (!this.#current(program)) return undefined
    try {
      const run = this.#compile(program)
      if (this.#kept.size >= maxKept) this.#kept.delete(this.#kept.keys().next().value!)
      this.#kept.set(name, { program, run })
      return run
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

  #compile({ database, table, tests, values, gather }: RemoteProgram): RowProgram {
    const session = this.#session(database)
    const { catalog } = session
    const descriptor = catalog.relation(table)
    if (descriptor === undefined) throw new DbError('undefined_table', `relation ${table} does not exist`)
    const access = session.tables.access(catalog, descriptor)
    const parameters = new ParameterTypes(values.map(([type]) => type))
    const builder = session.planBuilder(session.bindContext('', parameters))
    const query: Query = { ...emptyQuery(), entries: [relationEntry(descriptor, undefined)] }
    const scope = new PlanScope(builder, query, undefined)
    const evals = tests.map((test) => compile(scope, test).eval)
    const groups = gather === undefined ? undefined : planGroups(scope, gather)
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
    let failed = false
    const test = (bytes: Uint8Array, view: DataView, start: number) => {
      failed = false
      try {
        decoder.decode(x.r, bytes, view, start)
        for (let i = 0; i < evals.length; i++) if (evals[i](x) !== true) return false
        return true
      } catch (error) {
        if (!(error instanceof DbError)) throw error
        failed = true
        return true
      }
    }
    return { test, gatherer: groups && (() => new Groups(x, groups, context, () => failed)) }
  }
}

interface GroupPlan {
  readonly keys: readonly { readonly input: Eval; readonly type: Type }[]
  readonly calls: readonly AggregateCall[]
}

function planGroups(scope: PlanScope, { keys, calls }: Gathering): GroupPlan {
  const planned = calls.map((call) => planCall(scope, call))
  return { keys: keys.map((e) => ({ input: compile(scope, e).eval, type: typeOf(scope, e.type) })), calls: planned }
}

/** The groups of one answer. */
class Groups implements RowGatherer {
  readonly #x: Execution
  readonly #plan: GroupPlan
  readonly #plain: TypeContext
  readonly #failed: () => boolean
  readonly #groups = new Map<string, { readonly keys: readonly Value[]; readonly states: any[] }>()

  /** @param failed whether testing the current row has raised an error */
  constructor(x: Execution, plan: GroupPlan, plain: TypeContext, failed: () => boolean) {
    this.#x = x
    this.#plan = plan
    this.#plain = plain
    this.#failed = failed
  }

  get size(): number {
    return this.#groups.size
  }

  add(): boolean {
    if (this.#failed()) return false
    const x = this.#x
    const { keys, calls } = this.#plan
    let values: Value[]
    let taken: (Value[] | undefined)[]
    try {
      values = keys.map(({ input }) => input(x))
      taken = calls.map(({ filter, args, strict }) => {
        if (filter !== undefined && filter(x) !== true) return undefined
        const own = args.map((a) => a(x))
        return strict && own.includes(null) ? undefined : own
      })
    } catch (error) {
      if (error instanceof DbError) return false
      throw error
    }
    const name = values.map((v, i) => keyPart(v, keys[i].type)).join('')
    let group = this.#groups.get(name)
    if (group === undefined) {
      group = { keys: values, states: calls.map(({ code, site }) => code.init(site, x.types)) }
      this.#groups.set(name, group)
    }
    const { states } = group
    for (let i = 0; i < calls.length; i++) {
      const args = taken[i]
      if (args !== undefined) states[i] = calls[i].code.step(states[i], ...args)
    }
    return true
  }

  finish(): Uint8Array[] {
    const { keys, calls } = this.#plan
    return [...this.#groups.values()].map((group) => {
      const texts = group.keys.map((v, i) => (v === null ? null : keys[i].type.format(v, this.#plain)))
      const saved = group.states.map((state, i) => calls[i].code.partial!.save(state, this.#plain))
      return Buffer.from(JSON.stringify([texts, saved]))
    })
  }
}
