/**
 * Statements of a session: parsing, binding, planning, and the caches that spare them.
 *
 * A cached statement is good as long as the names it looked up still mean the same objects and those objects are
 * unchanged. The simple protocol shares plans between statements that differ only in literals: the literals of the first
 * one become parameters of the plan, those of the next are found by a small lexer (literals.ts).
 */
import { DbError } from '../../base/index.ts'
import { type BindContext, ParameterTypes, planWays } from '../bind/context.ts'
import { bindModifyNode } from '../bind/modify.ts'
import { bindSelectNode } from '../bind/select.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { findRelation } from '../catalog/names.ts'
import type { Node } from '../parse/parser.ts'
import { parse, type RawStatement } from '../parse/parser.ts'
import type { Query } from '../query.ts'
import type { Field, Portal, Prepared, Script } from '../session-api.ts'
import { textOid, unknownOid } from '../types/oids.ts'
import type { Type, Value } from '../types/type.ts'
import { type Lifted, type Literals, liftLiterals, literalKey } from './literals.ts'
import { fieldsOf, makePlan, type Plan } from './plan.ts'
import { QueryPortal } from './query-portal.ts'
import type { Session } from './session.ts'
import { utilityFields, utilityPortal } from './utility.ts'
import { EmptyPortal } from './utility-portal.ts'

export class PreparedStatement implements Prepared {
  readonly text: string
  readonly node: Node | undefined
  readonly parameterTypes: readonly Type[]
  fields: readonly Field[] | undefined
  query: Query | undefined
  plan: Plan | undefined
  catalog: Catalog
  dependencies: BindContext['dependencies']
  /** Settings that plans depend on had this version. */
  settings: number
  /** Shared by statements that differ in literals. */
  lifted: Lifted | undefined
  readonly preparedMicros: number
  /** The PREPARE statement that made it, when one did. */
  source: string | undefined

  constructor(
    text: string,
    node: Node | undefined,
    parameterTypes: readonly Type[],
    query: Query | undefined,
    fields: readonly Field[] | undefined,
    catalog: Catalog,
    dependencies: BindContext['dependencies'],
    settings: number,
    now: number,
  ) {
    this.text = text
    this.node = node
    this.parameterTypes = parameterTypes
    this.query = query
    this.fields = fields
    this.catalog = catalog
    this.dependencies = dependencies
    this.settings = settings
    this.preparedMicros = now
  }
}

const maxCached = 500
const planSettings = new Set([
  'search_path',
  'TimeZone',
  'DateStyle',
  'IntervalStyle',
  'extra_float_digits',
  'bytea_output',
  'role',
  'lattice.plan_cache',
  'lattice.batch_rows',
  ...planWays.map((way) => `enable_${way}`),
])

export class StatementCache {
  readonly #session: Session
  /** By text of a script: its parse. */
  readonly #parsed = new Map<string, RawStatement[]>()
  /** By statement text. */
  readonly #statements = new Map<string, PreparedStatement>()
  /** By text with literals cut out. */
  readonly #normalized = new Map<string, PreparedStatement>()
  settingsVersion = 0

  constructor(session: Session) {
    this.#session = session
  }

  settingChanged(name: string): void {
    if (planSettings.has(name)) this.settingsVersion++
  }

  forget(): void {
    this.#statements.clear()
    this.#normalized.clear()
  }

  // ---- simple protocol

  script(text: string): Script {
    const session = this.#session
    const quick = this.#quick(text)
    if (quick !== undefined) {
      let done = false
      return {
        next: () => {
          if (done) return undefined
          done = true
          session.requireLive()
          return quick(true)
        },
      }
    }
    let raw = this.#parsed.get(text)
    if (raw === undefined) {
      raw = session.reading.take(text) ?? parse(text)
      if (text.length < 10_000) remember(this.#parsed, text, raw)
    }
    if (raw.length === 0) {
      let done = false
      return {
        next: () => {
          if (done) return undefined
          done = true
          return new EmptyPortal()
        },
      }
    }
    const statements = raw
    let at = 0
    return {
      next: () => {
        if (at >= statements.length) return undefined
        const s = statements[at++]
        const own = statements.length === 1 ? text : text.slice(s.start, s.start + s.length)
        return this.#simple(own, s, text, at === statements.length)
      },
    }
  }

  /** A statement whose plan is known but for its literals. */
  #quick(text: string): ((last: boolean) => Portal) | undefined {
    if (text.length > 2000 || !this.#session.planCache) return undefined
    const literals = literalKey(text)
    if (literals === undefined) return undefined
    const statement = this.#normalized.get(literals.key)
    if (statement === undefined || !this.#valid(statement)) return undefined
    const values = this.#literalValues(statement.lifted!, literals, text)
    return values === undefined ? undefined : (last) => this.#portal(statement, values, last, text)
  }

  #literalValues(lifted: Lifted, literals: Literals, text: string): Value[] | undefined {
    const values: Value[] = []
    for (const p of lifted.parameters) {
      const literal = literals.items[p.literal]
      try {
        values.push(p.type.parse(literal.text, p.typmod, this.#session.types))
      } catch (error) {
        // The ordinary way raises the error with its position.
        if (error instanceof DbError) return undefined
        throw error
      }
    }
    for (const f of lifted.fixed) if (literals.items[f.literal].raw(text) !== f.text) return undefined
    return values
  }

  #simple(own: string, raw: RawStatement, whole: string, last: boolean): Portal {
    const session = this.#session
    const kind = Object.keys(raw.node)[0]
    if (session.failed && kind !== 'TransactionStmt') session.requireLive()
    if (!isQuery(kind))
      return utilityPortal(session, raw.node, own, last, raw.start === 0 && own === whole ? whole : own)
    const cached = this.#statements.get(own)
    if (cached !== undefined && this.#valid(cached)) return this.#portal(cached, [], last)
    const statement = this.#bindStatement(own, raw.node, whole, [], false)
    if (session.planCache) {
      if (own === whole && this.#normalize(statement, own)) {
        const literals = literalKey(own)!
        const values = this.#literalValues(statement.lifted!, literals, own)
        if (values !== undefined) return this.#portal(statement, values, last, own)
        // A literal that its type refuses: bound as it stands, it raises where it is computed.
        return this.#portal(this.#bindStatement(own, raw.node, whole, [], false), [], last)
      }
      if (own.length < 10_000) remember(this.#statements, own, statement)
    }
    return this.#portal(statement, [], last)
  }

  /** Turns the statement's literals into parameters where its plan would be the same with any. */
  #normalize(statement: PreparedStatement, text: string): boolean {
    if (statement.query === undefined || text.length > 2000) return false
    const literals = literalKey(text)
    if (literals === undefined) return false
    const lifted = liftLiterals(statement.query, literals, text, this.#session.types.types)
    if (lifted === undefined) return false
    statement.query = lifted.query
    statement.lifted = lifted
    statement.plan = undefined
    remember(this.#normalized, literals.key, statement)
    return true
  }

  // ---- extended protocol

  prepare(text: string, raw: RawStatement | undefined, given: readonly number[]): PreparedStatement {
    const session = this.#session
    if (raw === undefined) return this.#utility(text, undefined, [])
    const kind = Object.keys(raw.node)[0]
    if (session.failed && kind !== 'TransactionStmt') session.requireLive()
    if (!isQuery(kind)) return this.#utility(text, raw.node, given)
    return this.#bindStatement(text, raw.node, text, given, true)
  }

  #utility(text: string, node: Node | undefined, given: readonly number[]): PreparedStatement {
    const session = this.#session
    const fields = node === undefined ? undefined : utilityFields(session, node)
    const types = given.map((g) => session.types.types.type(g === 0 ? textOid : g))
    return new PreparedStatement(
      text,
      node,
      types,
      undefined,
      fields,
      session.catalog,
      [],
      this.settingsVersion,
      session.clock.wallMicros(),
    )
  }

  bind(statement: PreparedStatement, values: readonly Value[], last: boolean): Portal {
    const session = this.#session
    if (statement.node === undefined) return new EmptyPortal()
    const kind = Object.keys(statement.node)[0]
    if (session.failed && kind !== 'TransactionStmt') session.requireLive()
    if (statement.query === undefined)
      return utilityPortal(session, statement.node, statement.text, last, statement.text)
    if (!this.#valid(statement)) this.#rebind(statement)
    return this.#portal(statement, values, last)
  }

  /**
   * What is to be run for the statement now: itself, bound again if what it names has changed. One that is shared by texts
   * with other literals is not: then it is the statement of this `text`, which needs no values.
   */
  renewed(statement: PreparedStatement, text: string): PreparedStatement {
    if (this.#valid(statement)) return statement
    if (statement.lifted === undefined) {
      this.#rebind(statement)
      return statement
    }
    const fresh = this.#bindStatement(text, parse(text)[0].node, text, [], false)
    requireFields(statement, fresh)
    return fresh
  }

  /** Whether a plan is what would be made of the statement, which is valid, now. */
  current(plan: Plan, statement: PreparedStatement): boolean {
    const { catalog } = this.#session
    if (plan.query !== statement.query) return false
    if (plan.catalog === catalog) return true
    return plan.builder.reuse !== 'same-catalog' && sameTables(plan, plan.catalog, catalog)
  }

  #rebind(statement: PreparedStatement): void {
    // Values have come, or will come, as the types that parameters had: those stay.
    const types = statement.parameterTypes.map((t) => t.oid)
    const fresh = this.#bindStatement(statement.text, statement.node!, statement.text, types, true)
    requireFields(statement, fresh)
    statement.query = fresh.query
    statement.fields = fresh.fields
    statement.plan = undefined
    statement.catalog = fresh.catalog
    statement.dependencies = fresh.dependencies
    statement.settings = fresh.settings
  }

  // ---- common

  #bindStatement(
    own: string,
    node: Node,
    whole: string,
    given: readonly number[],
    parameters: boolean,
  ): PreparedStatement {
    const session = this.#session
    const types = new ParameterTypes(given, parameters)
    const context = session.bindContext(whole, types)
    const query = bindQueryNode(context, node)
    const resolved = types.oids.map((oid, i) => {
      if (oid === unknownOid) {
        if (given[i] === undefined || given[i] === 0)
          throw new DbError('indeterminate_datatype', `could not determine data type of parameter $${i + 1}`)
      }
      return session.types.types.type(oid)
    })
    const fields = fieldsOf(context, query, [])
    return new PreparedStatement(
      own,
      node,
      resolved,
      query,
      fields,
      session.catalog,
      context.dependencies,
      this.settingsVersion,
      session.clock.wallMicros(),
    )
  }

  /** Whether all names still mean what they did. */
  #valid(statement: PreparedStatement): boolean {
    const session = this.#session
    if (statement.settings !== this.settingsVersion) return false
    const { catalog } = session
    if (statement.catalog === catalog) return true
    for (const d of statement.dependencies) {
      const now = findRelation(session.names, d.schema, d.name)
      if (now?.oid !== d.oid || statement.catalog.relation(d.oid) !== catalog.relation(d.oid)) return false
      if (catalog.statistics(d.oid) !== statement.catalog.statistics(d.oid)) return false
      if (!sameParts(statement.catalog, catalog, d.oid)) return false
    }
    // Cascades go to tables that the statement does not name.
    if (statement.plan !== undefined && !sameTables(statement.plan, statement.catalog, catalog)) return false
    // Types and functions are few: any change to them ends all cached statements.
    if (!statement.catalog.sameRoutines(catalog)) return false
    statement.catalog = catalog
    return true
  }

  /** @param text the client's, where the statement stands for others, too. */
  #portal(statement: PreparedStatement, values: readonly Value[], last: boolean, text = statement.text): Portal {
    return new QueryPortal(this.#session, statement, values, last, text)
  }

  /** The statement's plan, made when there is none or it is in use. */
  planOf(statement: PreparedStatement, instrument: boolean): Plan {
    const session = this.#session
    let known = statement.plan
    if (known?.builder.reuse === 'same-catalog' && known.catalog !== session.catalog) known = undefined
    if (known !== undefined && !known.busy && !instrument) return known
    const parameters = new ParameterTypes(statement.parameterTypes.map((t) => t.oid))
    const plan = makePlan(
      session.bindContext(statement.text, parameters),
      statement.query!,
      session.tables,
      session.tableRows,
      instrument,
    )
    if (known === undefined && !instrument && plan.builder.reuse !== 'never') statement.plan = plan
    return plan
  }
}

/** Whether the tables that a plan locks, those of its foreign keys too, are defined as they were. */
function sameTables(plan: Plan, before: Catalog, now: Catalog): boolean {
  return plan.locks.every(({ key }) => {
    const oid = Number(key)
    return before.relation(oid) === now.relation(oid) && sameParts(before, now, oid)
  })
}

/** The client may have been told of the columns already. */
function requireFields(statement: PreparedStatement, fresh: PreparedStatement): void {
  if (!sameFields(statement.fields, fresh.fields))
    throw new DbError('feature_not_supported', 'cached plan must not change result type')
}

function sameParts(before: Catalog, now: Catalog, oid: number): boolean {
  const relation = now.relation(oid)
  if (relation === undefined) return true
  if (relation.view !== undefined) return false
  return relation.indexes.every((i) => before.relation(i) === now.relation(i))
}

export function bindQueryNode(context: BindContext, node: Node): Query {
  return (node as any).SelectStmt
    ? bindSelectNode(context, undefined, node, true)
    : bindModifyNode(context, undefined, node)
}

export function isQuery(kind: string): boolean {
  return kind === 'SelectStmt' || kind === 'InsertStmt' || kind === 'UpdateStmt' || kind === 'DeleteStmt'
}

function sameFields(a: readonly Field[] | undefined, b: readonly Field[] | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a.length === b.length && a.every((f, i) => f.name === b[i].name && f.type.oid === b[i].type.oid)
}

/** Keeps the newest entries: a Map remembers insertion order. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  if (map.size >= maxCached) {
    const oldest = map.keys().next().value
    if (oldest !== undefined) map.delete(oldest)
  }
  map.set(key, value)
}
