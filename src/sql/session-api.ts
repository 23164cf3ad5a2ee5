/**
 * What drives SQL: the PostgreSQL wire, HTTP and the embedded client all speak to a `Session` through these interfaces.
 *
 * Everything is synchronous until it must wait: `run` answers a step, and on WAIT the driver awaits `ready()` and calls
 * `run` again; on YIELD it lets the loop turn (or the socket drain) and calls again. Errors are thrown as `DbError`.
 *
 *   both             while (session.parse(text) !== END) await session.ready()      long texts wait, others do not
 *   simple query     script = session.script(text); while ((portal = script.next())) run it to END
 *   extended query   prepared = session.prepare(text, types); portal = session.bind(prepared, values); run; session.sync()
 */
import type { DbError, Step } from '../base/index.ts'
import type { Type, TypeContext, Value } from './types/type.ts'

/** The SQL side of a node: what a connection is opened on. */
export interface SqlDatabase {
  /** Raises invalid_catalog_name, invalid_authorization_specification, too_many_connections. */
  connect(options: ConnectOptions): SqlSession
  /** The stored SCRAM verifier of a role ("SCRAM-SHA-256$…" as in pg_authid.rolpassword), undefined without password or role. */
  verifier(user: string): string | undefined
  /** Cancels what the session with this process id is running, when the secret key matches. */
  cancel(processId: number, secretKey: number): void
  type(oid: number): Type
}

export interface ConnectOptions {
  readonly user: string
  readonly database: string
  /** Other startup parameters: application_name, client_encoding, options' -c settings, … */
  readonly parameters: ReadonlyMap<string, string>
  /** Peer address for pg_stat_activity, empty when embedded. */
  readonly client: string
}

export interface Notice {
  /** 'NOTICE' | 'WARNING' | 'INFO' | 'LOG' | 'DEBUG' with the fields of an error. */
  readonly severity: string
  readonly error: DbError
}

export interface SessionEvents {
  notice(notice: Notice): void
  /** A reported setting changed (ParameterStatus). */
  parameter(name: string, value: string): void
  /** A LISTENed channel got a message. Called between statements only. */
  notification(processId: number, channel: string, payload: string): void
  /** The session ended itself (pg_terminate_backend, a timeout while idle): the client is told, the connection closed. */
  terminate(error: DbError): void
}

export interface SqlSession {
  /** Both are signed 32-bit integers, as the protocol's messages carry them. */
  readonly processId: number
  readonly secretKey: number
  /** Settings to report at start, in order (server_version, client_encoding, DateStyle, TimeZone, …). */
  reported(): Iterable<readonly [name: string, value: string]>
  readonly types: TypeContext
  events: SessionEvents
  /** 'I' idle, 'T' in a transaction, 'E' in a failed one. */
  readonly status: 'I' | 'T' | 'E'

  /**
   * Called before `script` or `prepare` with their text. END: go on. WAIT: a worker parses it; await `ready()` and call
   * again. Raises what parsing raises, and query_canceled.
   */
  parse(text: string): Step
  /** A query string of any number of statements. Raises syntax_error; later statements are analysed when reached. */
  script(text: string): Script
  /** Exactly one statement (or none). `parameterTypes[i]` 0 or absent = to be inferred. */
  prepare(text: string, parameterTypes: readonly number[]): Prepared
  /** Values are decoded with `types` of the prepared parameters; null is NULL. */
  bind(prepared: Prepared, values: readonly Value[]): Portal
  /** The Sync message: ends the implicit transaction (commit, or rollback after `fail`). END or WAIT. */
  sync(): Step
  /** Awaits what `sync` waits for. */
  ready(): Promise<void>
  /** An error reached the driver: aborts the implicit transaction, or marks the explicit one failed. */
  fail(): void

  /** Named prepared statements and portals, shared by PREPARE/EXECUTE, cursors and the extended protocol ('' = unnamed). */
  readonly statements: Map<string, Prepared>
  readonly portals: Map<string, Portal>

  /** Makes the running or next statement fail with query_canceled. */
  cancel(): void
  /** Rolls back, drops temporary tables, releases locks. */
  close(): void
}

export interface Field {
  readonly name: string
  /** Where a row's registers hold the value. */
  readonly slot: number
  readonly type: Type
  readonly typmod: number
  readonly tableOid: number
  readonly columnNumber: number
}

export interface Prepared {
  readonly text: string
  /** One type per parameter, all resolved. */
  readonly parameterTypes: readonly Type[]
  /** Result columns, undefined for a statement without result rows. May change when replanned: portals carry their own. */
  readonly fields: readonly Field[] | undefined
}

export interface RowSink {
  /** Takes one row out of the registers. False: full, `run` answers YIELD after this row. */
  row(registers: readonly Value[]): boolean
  /** COPY … TO STDOUT: one or more whole lines or records. False as for `row`. The bytes are copied at once. */
  copyOut(bytes: Uint8Array): boolean
}

export interface Portal {
  readonly fields: readonly Field[] | undefined
  /** COPY … FROM STDIN / TO STDOUT. */
  readonly copy: { readonly direction: 'in' | 'out'; readonly binary: boolean; readonly columns: number } | undefined
  /** END: complete, `tag` is set. ROW: `maxRows` (0 = no limit) delivered, more may follow. WAIT, YIELD: call again. */
  run(sink: RowSink, maxRows: number): Step
  ready(): Promise<void>
  /** The command tag after END ("SELECT 3"); '' for an empty query. */
  readonly tag: string
  /** COPY FROM STDIN: feeds data; WAIT or YIELD: call `run`-like again with an empty chunk after waiting; END: give more. */
  copyIn(chunk: Uint8Array): Step
  /** CopyDone; then `run` to END gives the tag. */
  copyDone(): Step
  /** CopyFail: raises query_canceled with the client's message. */
  copyFail(message: string): void
  close(): void
}

export interface Script {
  /** The next statement, bound and ready to run; undefined after the last. The last one's run commits an implicit transaction. */
  next(): Portal | undefined
}
