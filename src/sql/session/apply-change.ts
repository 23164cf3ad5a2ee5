/**
 * Changes of one bridged table, applied by the statements INSERT … ON CONFLICT DO UPDATE and DELETE: constraints, indexes
 * and foreign keys hold as for anybody.
 *
 * Not here: which events, and when (appliers.ts).
 */
import { DbError, END, maxSkewMicros, WAIT } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import type { StoredEvent } from '../../model/events/index.ts'
import { cellToleranceMicros } from '../../model/local-tables/row-event.ts'
import { forUpdate } from '../../transaction/index.ts'
import { quoteIdentifier } from '../bind/type-name.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'
import {
  originOf,
  primaryColumns,
  publishedName,
  put,
  type RowTime,
  rowTime,
  settled,
  stampKey,
} from '../local/bridge.ts'
import { type Change, changeOf } from '../local/change.ts'
import type { Prepared } from '../session-api.ts'
import type { Value } from '../types/type.ts'
import type { Session } from './session.ts'

const decoder = new TextDecoder()

export class TableChanges {
  readonly #session: Session
  readonly #table: RelationDescriptor
  readonly #name: string
  readonly #origin: string
  readonly #statements: Statements
  readonly #prepared = new Map<string, Prepared>()
  /** What this transaction has applied, by row key. */
  readonly #applied = new Map<string, RowTime>()

  /** For a session whose transaction has begun. */
  static async of(session: Session, table: RelationDescriptor): Promise<TableChanges> {
    return new TableChanges(session, table, (await originOf(session.transaction())) ?? '')
  }

  private constructor(session: Session, table: RelationDescriptor, origin: string) {
    this.#session = session
    this.#table = table
    this.#name = publishedName(session.catalog, table)
    this.#origin = origin
    this.#statements = statements(session, table)
  }

  /**
   * Applies the changes of other origins, but those of rows that have a newer one. A row that refers to another may come
   * before it: what is refused is tried again after the others. Raises what refuses the first that cannot be applied.
   */
  async apply(events: readonly StoredEvent[]): Promise<void> {
    let left = events
    while (left.length > 0) {
      const refused: StoredEvent[] = []
      let reason: unknown
      for (const event of left) {
        this.#session.savepoint('change')
        try {
          await this.#apply(event)
          this.#session.releaseSavepoint('change')
        } catch (error) {
          if (!(error instanceof DbError) || events.length === 1) throw error
          this.#session.rollbackTo('change')
          this.#session.releaseSavepoint('change')
          if (refused.push(event) === 1) reason = error
        }
      }
      if (refused.length === left.length) throw reason
      left = refused
    }
  }

  async #apply({ value, timestamp }: StoredEvent): Promise<void> {
    const change = changeOf(value)
    if (change === undefined || change.table !== this.#name || change.origin === this.#origin) return
    // Stores see to it that an event's own time is not far ahead; whoever says more is believed by nobody.
    if (change.commit > timestamp + cellToleranceMicros) return
    await this.#itsTime(change)
    // Statements take the event's text: its numbers may have more digits than JavaScript's.
    const text = decoder.decode(value)
    const key = await this.#keyOf(text)
    if (key === undefined) return
    const session = this.#session
    const tx = session.transaction()
    await settled(tx, () => tx.lockRow(key, forUpdate))
    session.startStatement()
    const id = Buffer.from(key).toString('latin1')
    const newest = this.#applied.get(id) ?? (await this.newest(key))
    if (newest !== undefined && !isNewer(change, newest)) return
    await this.#run(change.op === 'delete' ? this.#statements.remove : this.#statements.upsert, text)
    const time = { at: change.commit, origin: change.origin }
    put(tx, stampKey(this.#table, key), time)
    this.#applied.set(id, time)
  }

  /**
   * What is committed here after a change that was applied must be later than it: others would keep the older one. Raises
   * clock_skewed for one that was committed by a clock far ahead.
   */
  async #itsTime({ commit }: Change): Promise<void> {
    const { clock, tasks } = this.#session.database.io
    const ahead = commit - clock.wallMicros()
    if (ahead < 0) return
    if (ahead > maxSkewMicros)
      throw new DbError(
        'clock_skewed',
        `the change was committed ${Math.ceil(ahead / 1e6)} s ahead of the clock here`,
        {
          hint: 'It is applied when its time has come. Set the clocks right at both places.',
        },
      )
    await new Promise<void>((resolve) => tasks.after(Math.ceil(ahead / 1000) + 1, resolve))
  }

  /** When the row was changed before this transaction. */
  newest(row: Uint8Array): Promise<RowTime | undefined> {
    return rowTime(this.#session.transaction(), this.#table, row, this.#origin)
  }

  async commit(): Promise<void> {
    const session = this.#session
    while (session.commit() === WAIT) await session.ready()
  }

  /** The row's key; undefined when the event does not say it. */
  async #keyOf(text: string): Promise<Uint8Array | undefined> {
    const access = this.#session.tables.access(this.#session.catalog, this.#table)
    const [values] = await this.#run(this.#statements.key, text)
    const out = new ByteWriter(64)
    access.key.start(out)
    for (const [i, value] of values.entries()) if (access.key.write(i, value, out)) return undefined
    return out.copy()
  }

  /** Rows that the statement answers for the event. */
  async #run(statement: string, event: string): Promise<Value[][]> {
    const session = this.#session
    let prepared = this.#prepared.get(statement)
    if (prepared === undefined) {
      prepared = session.prepare(statement, [])
      this.#prepared.set(statement, prepared)
    }
    const type = prepared.parameterTypes[0]
    const portal = session.bind(prepared, [type.parse(event, -1, session.types)])
    const rows: Value[][] = []
    const row = (registers: readonly Value[]) => rows.push(portal.fields!.map((f) => registers[f.slot])) > 0
    try {
      for (;;) {
        const step = portal.run({ row, copyOut: () => true }, 0)
        if (step === END) return rows
        if (step === WAIT) await portal.ready()
        else await session.database.io.tasks.yield()
      }
    } finally {
      portal.close()
    }
  }
}

function isNewer(change: Change, { at, origin }: RowTime): boolean {
  return change.commit > at || (change.commit === at && change.origin > origin)
}

interface Statements {
  /** Of an event's JSON text each: key columns in their order, and what does the change. */
  readonly key: string
  readonly upsert: string
  readonly remove: string
}

function statements(session: Session, table: RelationDescriptor): Statements {
  const schema = session.catalog.schema(table.schema)
  if (schema === undefined) throw new DbError('undefined_table', `"${table.name}" is gone`)
  const name = `${quoteIdentifier(schema.name)}.${quoteIdentifier(table.name)}`
  const keys = primaryColumns(table)!
  const columns = table.columns.filter((c) => !c.dropped && c.generated === undefined)
  const list = (of: typeof columns, form = (c: string) => c) => of.map((c) => form(quoteIdentifier(c.name))).join(', ')
  const key = keys.map((n) => table.columns[n - 1])
  const others = columns.filter((c) => !keys.includes(c.number))
  const rows = (json: string) => `jsonb_populate_record(NULL::${name}, ${json}) r`
  const action = others.length === 0 ? 'NOTHING' : `UPDATE SET ${list(others, (c) => `${c} = excluded.${c}`)}`
  const same = key.map((c) => `t.${quoteIdentifier(c.name)} = r.${quoteIdentifier(c.name)}`).join(' AND ')
  const [row, id] = ["$1::jsonb -> 'row'", "$1::jsonb -> 'key'"]
  return {
    key: `SELECT ${list(key, (c) => `r.${c}`)} FROM ${rows(id)}`,
    upsert: `INSERT INTO ${name} (${list(columns)}) OVERRIDING SYSTEM VALUE
      SELECT ${list(columns, (c) => `r.${c}`)} FROM ${rows(`(${row}) || (${id})`)}
      ON CONFLICT (${list(key)}) DO ${action}`,
    remove: `DELETE FROM ${name} t USING ${rows(id)} WHERE ${same}`,
  }
}
