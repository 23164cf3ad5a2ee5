/** What running statements ask of the session that runs them. */
import type { DbError, Step } from '../../base/index.ts'
import type { Clock } from '../../io/index.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Constraint, FunctionDescriptor } from '../catalog/descriptors.ts'
import type { NameScope } from '../catalog/names.ts'
import type { SystemSession } from '../catalog/system-schema.ts'
import type { LocalSession } from '../local/local-session.ts'
import type { TypeContext, Value } from '../types/type.ts'
import type { Execution } from './execution.ts'
import type { Writing } from './row-writer.ts'
import type { Sequences } from './sequences.ts'
import type { TableAccess, Tables } from './tables.ts'

export interface ExecutionSession extends SystemSession {
  readonly types: TypeContext
  readonly clock: Clock
  readonly catalog: Catalog
  readonly names: NameScope
  readonly tables: Tables
  readonly sequences: Sequences
  /** Undefined where there are no event databases. */
  readonly local: LocalSession | undefined
  /** The execution whose expression is being evaluated. */
  readonly running: Execution | undefined
  readonly databaseName: string
  readonly sessionUser: string
  readonly currentUser: string
  /** The first schema of the search path that exists. */
  currentSchema(): string | undefined
  /** Set when the statement must stop: query_canceled, or another reason. */
  readonly cancelled: DbError | undefined
  /** Hard limit of a statement's memory, and what one sort or hash may keep before it spills. Bytes. */
  readonly statementMemory: number
  readonly workMemory: number
  /** The transaction commits only if the table's definition is still the one that is known now. */
  relyOn(table: number): void
  notice(message: string, severity?: string): void
  /** Registered after `currval`/`lastval` need them. */
  noteSequence(sequence: number, value: number | bigint): void
  /** Records a read-only violation check: raises read_only_sql_transaction. */
  requireWritable(command: string): void
  /** The default of a column, for SET DEFAULT. */
  defaultValue(x: Execution, table: TableAccess, column: number): Value
  /** Puts a constraint's check off to the commit; false when the constraint is not deferred now. */
  defer(constraint: Constraint, check: (x: Execution) => Writing): boolean
  /** Functions in procedural languages. */
  readonly procedures: {
    call(f: FunctionDescriptor, args: readonly Value[]): Generator<Step, Value, void>
    /** What the call's last WAIT waits for. */
    blocker(): { ready(): Promise<void> } | undefined
  }
  /** Temporary file support for spills. */
  readonly spill: import('./spill.ts').SpillSpace
}
