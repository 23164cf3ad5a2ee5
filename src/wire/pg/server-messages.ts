/**
 * Writers of the server's messages. Those without content are prebuilt; the others leave a gap for the length and fill
 * it in at the end.
 *
 * Not here: RowDescription and DataRow (rows.ts), which are the hot ones.
 */
import { AssertionError, DbError } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import type { Type } from '../../sql/types/type.ts'
import { authentication, backend } from './protocol.ts'

function bare(type: number, ...body: number[]): Uint8Array {
  return Uint8Array.from([type, 0, 0, 0, 4 + body.length, ...body])
}

export const parseComplete = bare(backend.parseComplete)
export const bindComplete = bare(backend.bindComplete)
export const closeComplete = bare(backend.closeComplete)
export const noData = bare(backend.noData)
export const portalSuspended = bare(backend.portalSuspended)
export const emptyQueryResponse = bare(backend.emptyQuery)
export const copyDoneMessage = bare(backend.copyDone)
export const authenticationOk = bare(backend.authentication, 0, 0, 0, authentication.ok)
export const readyIdle = bare(backend.readyForQuery, 0x49)
export const readyTransaction = bare(backend.readyForQuery, 0x54)
export const readyFailed = bare(backend.readyForQuery, 0x45)

/** Starts a message; `end` with what it returns fills in the length. */
export function begin(out: ByteWriter, type: number): number {
  out.u8(type)
  const at = out.length
  out.u32(0)
  return at
}

export function end(out: ByteWriter, at: number): void {
  out.u32At(at, out.length - at)
}

export function writeReady(out: ByteWriter, status: 'I' | 'T' | 'E'): void {
  out.raw(status === 'I' ? readyIdle : status === 'T' ? readyTransaction : readyFailed)
}

export function writeCommandComplete(out: ByteWriter, tag: string): void {
  const at = begin(out, backend.commandComplete)
  out.cstring(tag)
  end(out, at)
}

export function writeParameterStatus(out: ByteWriter, name: string, value: string): void {
  const at = begin(out, backend.parameterStatus)
  out.cstring(name)
  out.cstring(value)
  end(out, at)
}

export function writeBackendKey(out: ByteWriter, processId: number, secretKey: number): void {
  const at = begin(out, backend.backendKeyData)
  out.u32(processId)
  out.u32(secretKey)
  end(out, at)
}

export function writeNotification(out: ByteWriter, processId: number, channel: string, payload: string): void {
  const at = begin(out, backend.notification)
  out.u32(processId)
  out.cstring(channel)
  out.cstring(payload)
  end(out, at)
}

export function writeParameterDescription(out: ByteWriter, types: readonly Type[]): void {
  const at = begin(out, backend.parameterDescription)
  out.u16(types.length)
  for (const type of types) out.u32(type.oid)
  end(out, at)
}

/** CopyInResponse or CopyOutResponse. */
export function writeCopyResponse(out: ByteWriter, direction: 'in' | 'out', binary: boolean, columns: number): void {
  const at = begin(out, direction === 'in' ? backend.copyIn : backend.copyOut)
  const format = binary ? 1 : 0
  out.u8(format)
  out.u16(columns)
  for (let i = 0; i < columns; i++) out.u16(format)
  end(out, at)
}

/** NegotiateProtocolVersion: the newest version spoken here, and the options of the client that are not known. */
export function writeNegotiation(out: ByteWriter, version: number, options: readonly string[]): void {
  const at = begin(out, backend.negotiateVersion)
  out.u32(version)
  out.u32(options.length)
  for (const option of options) out.cstring(option)
  end(out, at)
}

/** Turns whatever was thrown into what the client is told. A bug shows as internal_error with its message only. */
export function asDbError(error: unknown): DbError {
  if (error instanceof DbError) return error
  if (error instanceof RangeError && /call stack/i.test(error.message)) {
    return new DbError('statement_too_complex', 'stack depth limit exceeded', { cause: error })
  }
  const message = error instanceof Error ? error.message : String(error)
  const kind = error instanceof AssertionError ? 'failed assertion: ' : ''
  return new DbError('internal_error', kind + message, { cause: error })
}

/** ErrorResponse. `severity` is 'ERROR' | 'FATAL' | 'PANIC'. */
export function writeError(out: ByteWriter, severity: string, error: DbError): void {
  writeReport(out, backend.error, severity, error)
}

/** NoticeResponse. */
export function writeNotice(out: ByteWriter, severity: string, error: DbError): void {
  writeReport(out, backend.notice, severity, error)
}

function writeReport(out: ByteWriter, type: number, severity: string, error: DbError): void {
  const at = begin(out, type)
  field(out, 'S', severity)
  field(out, 'V', severity)
  field(out, 'C', error.sqlstate)
  field(out, 'M', error.message)
  field(out, 'D', error.detail)
  field(out, 'H', error.hint)
  field(out, 'P', error.position)
  field(out, 'W', error.where)
  field(out, 's', error.schema)
  field(out, 't', error.table)
  field(out, 'c', error.column)
  field(out, 'd', error.dataType)
  field(out, 'n', error.constraint)
  out.u8(0)
  end(out, at)
}

function field(out: ByteWriter, code: string, value: string | number | undefined): void {
  if (value === undefined) return
  out.u8(code.charCodeAt(0))
  const text = String(value)
  out.cstring(text.includes('\0') ? text.replaceAll('\0', '') : text)
}

/** What a log says of a bug. */
export function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
