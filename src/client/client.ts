/**
 * The client: one interface, whether the database lives in this process or behind the PostgreSQL protocol.
 *
 *   await using db = await open('./data')                     // or ':memory:', or 'postgres://host/database'
 *   const { rows } = await db.query<{ id: number }>('select id from t where name = $1', ['Ada'])
 *   const people = await db.sql<Person>`select * from person where age > ${30}`
 *   await db.transaction(async (tx) => { … }, { isolation: 'serializable', retries: 5 })
 *
 * Values come back as: bool boolean · int2 int4 oid float4 float8 number · int8 number when it is a safe integer, else
 * bigint · numeric, date, time, timestamp, interval, uuid, text and the rest string, as PostgreSQL writes them ·
 * timestamptz Date (±Infinity for 'infinity') · json jsonb parsed · bytea Uint8Array · arrays of these as arrays · NULL null.
 * Parameters may be any of these, and objects for json; undefined is NULL.
 *
 * Every error is a `DbError` with PostgreSQL's fields: sqlstate, detail, hint, constraint, position, …
 *
 * Not here: how a statement gets to the database (remote-channel.ts, embedded-channel.ts).
 */
export type { ErrorCode } from '../base/index.ts'
export { DbError } from '../base/index.ts'

/** A result column, named as node-postgres names its parts. */
export interface FieldInfo {
  readonly name: string
  /** Oid of the table the column comes from, 0 for an expression. */
  readonly tableID: number
  /** Number of the column in that table, 0 for an expression. */
  readonly columnID: number
  readonly dataTypeID: number
  /** Bytes, or negative for a type of variable size. */
  readonly dataTypeSize: number
  /** Type modifier, -1 for none. */
  readonly dataTypeModifier: number
}

export interface QueryResult<Row> {
  readonly rows: Row[]
  /** Rows returned or changed; 0 for commands that count none. */
  readonly rowCount: number
  /** The first words of the command tag: 'SELECT', 'INSERT', 'CREATE TABLE'. */
  readonly command: string
  readonly fields: FieldInfo[]
}

export type AnyRow = Record<string, any>

export interface QueryOptions {
  /** Rows as arrays in the order of `fields` instead of objects. */
  readonly arrays?: boolean
  /** Cancels the statement: it fails with query_canceled. */
  readonly signal?: AbortSignal
}

export interface CursorOptions extends QueryOptions {
  /** Rows fetched at once. Default 1,000. */
  readonly batchRows?: number
}

export interface Progress {
  readonly rows: number
  /** Bytes sent, in COPY's text format. */
  readonly bytes: number
}

export interface BulkInsertOptions {
  /** Columns to fill. Default: the keys of the first row. */
  readonly columns?: readonly string[]
  /** Called about every 64 KiB, and once at the end. */
  readonly progress?: (progress: Progress) => void
  readonly signal?: AbortSignal
}

/** Objects by column name, or arrays in the order of `columns`. */
export type BulkRow = Readonly<Record<string, unknown>> | readonly unknown[]

/** What runs statements: the database itself, or one transaction on it. */
export interface Queryable {
  /** Runs one statement with parameters $1, $2, …. Raises what the statement raises. */
  query<Row = AnyRow>(text: string, values?: readonly unknown[], options?: QueryOptions): Promise<QueryResult<Row>>

  /**
   * Runs a tagged template, every `${}` of which is a parameter, and answers the rows. A `${}` that holds a `Fragment`
   * (made by `fragment` or `identifier`) becomes part of the text.
   */
  sql<Row = AnyRow>(strings: TemplateStringsArray, ...values: readonly unknown[]): Promise<Row[]>

  /** Runs any number of statements separated by semicolons, without parameters; one result a statement. */
  script(text: string): Promise<QueryResult<AnyRow>[]>

  /**
   * Runs a query whose rows are fetched in batches while they are read. Leaving the loop early ends the query.
   *
   *   for await (const row of db.cursor('select * from big')) …
   */
  cursor<Row = AnyRow>(text: string, values?: readonly unknown[], options?: CursorOptions): AsyncIterableIterator<Row>

  /**
   * Inserts many rows by COPY: all of them or, when one fails, none. `table` is a name as it stands in the catalog,
   * with a schema in front of a dot if need be. Answers the number of rows.
   */
  bulkInsert(
    table: string,
    rows: Iterable<BulkRow> | AsyncIterable<BulkRow>,
    options?: BulkInsertOptions,
  ): Promise<number>

  /** COPY … FROM STDIN with the bytes of `source`. Answers the number of rows. */
  copyIn(text: string, source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<number>

  /** COPY … TO STDOUT: the bytes, in pieces that may end anywhere. */
  copyOut(text: string): AsyncIterableIterator<Uint8Array>
}

export type Isolation = 'read committed' | 'repeatable read' | 'serializable'

export interface TransactionOptions {
  /** Default: the session's default_transaction_isolation, which is 'read committed'. */
  readonly isolation?: Isolation
  readonly readOnly?: boolean
  /** For serializable read-only transactions: wait for a snapshot that needs no checks. */
  readonly deferrable?: boolean
}

export interface RetryOptions extends TransactionOptions {
  /** How often the body runs again after serialization_failure or deadlock_detected. Default 5. */
  readonly retries?: number
  readonly signal?: AbortSignal
}

export interface Transaction extends Queryable, AsyncDisposable {
  /** True until commit or rollback. */
  readonly open: boolean
  /** Raises serialization_failure and the like; in_failed_sql_transaction when a statement had failed before. */
  commit(): Promise<void>
  /** Does nothing when the transaction is over. */
  rollback(): Promise<void>
  /** Runs the body inside a savepoint: when it throws, what it did is undone and the transaction goes on. */
  savepoint<T>(body: (tx: Transaction) => Promise<T>): Promise<T>
}

export interface Message {
  readonly channel: string
  readonly payload: string
  /** Of the session that said NOTIFY. */
  readonly processId: number
}

/** A subscription to a channel. Its iterator ends when it is closed, and throws when its connection is lost. */
export interface Subscription extends AsyncIterable<Message>, AsyncDisposable {
  close(): Promise<void>
}

export interface Client extends Queryable, AsyncDisposable {
  /**
   * Runs the body in a transaction and commits. When it fails with serialization_failure or deadlock_detected, here or
   * at commit, the whole body runs again after a pause that grows and is jittered. Any other error rolls back and is
   * thrown. The body must have no effects outside the database that repeating would harm.
   */
  transaction<T>(body: (tx: Transaction) => Promise<T>, options?: RetryOptions): Promise<T>

  /** A transaction in the caller's hands. Disposing of it without commit rolls back. */
  begin(options?: TransactionOptions): Promise<Transaction>

  /** LISTENs; what comes after the promise is fulfilled is not missed. */
  listen(channel: string): Promise<Subscription>

  /** Ends what runs, closes all sessions, and an embedded database with them. */
  close(): Promise<void>
}
