/**
 * Writers of the client's messages, and readers of what a server reports: used by our own client and by tests.
 *
 * Not here: when to send what (client/remote.ts).
 */
import { codeOfSqlstate, DbError, type ErrorFields } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import type { BodyReader } from './body.ts'
import { frontend, newestMinor, protocolVersion, requestCode } from './protocol.ts'
import { begin, end } from './server-messages.ts'

export function writeStartup(
  out: ByteWriter,
  parameters: ReadonlyMap<string, string>,
  version = protocolVersion(3, newestMinor),
): void {
  const at = out.length
  out.u32(0)
  out.u32(version)
  for (const [name, value] of parameters) {
    out.cstring(name)
    out.cstring(value)
  }
  out.u8(0)
  end(out, at)
}

export function writeTlsRequest(out: ByteWriter): void {
  out.u32(8)
  out.u32(requestCode.tls)
}

export function writeCancelRequest(out: ByteWriter, processId: number, secretKey: Uint8Array): void {
  out.u32(12 + secretKey.length)
  out.u32(requestCode.cancel)
  out.u32(processId)
  out.raw(secretKey)
}

export function writeQuery(out: ByteWriter, text: string): void {
  const at = begin(out, frontend.query)
  out.cstring(text)
  end(out, at)
}

export function writeParse(out: ByteWriter, name: string, text: string, types: readonly number[]): void {
  const at = begin(out, frontend.parse)
  out.cstring(name)
  out.cstring(text)
  out.u16(types.length)
  for (const type of types) out.u32(type)
  end(out, at)
}

/** A parameter: text, bytes in binary format, or NULL. */
export type BoundValue = string | Uint8Array | null

/** `resultFormats`: empty = all text, one = for all columns. */
export function writeBind(
  out: ByteWriter,
  portal: string,
  statement: string,
  values: readonly BoundValue[],
  resultFormats: readonly number[],
): void {
  const at = begin(out, frontend.bind)
  out.cstring(portal)
  out.cstring(statement)
  out.u16(values.length)
  for (const value of values) out.u16(value instanceof Uint8Array ? 1 : 0)
  out.u16(values.length)
  for (const value of values) {
    if (value === null) {
      out.u32(-1)
      continue
    }
    const from = out.length
    out.u32(0)
    if (typeof value === 'string') out.utf8(value)
    else out.raw(value)
    out.u32At(from, out.length - from - 4)
  }
  out.u16(resultFormats.length)
  for (const format of resultFormats) out.u16(format)
  end(out, at)
}

/** kind 'S' for a statement, 'P' for a portal. */
export function writeDescribe(out: ByteWriter, kind: 'S' | 'P', name: string): void {
  const at = begin(out, frontend.describe)
  out.u8(kind.charCodeAt(0))
  out.cstring(name)
  end(out, at)
}

export function writeExecute(out: ByteWriter, portal: string, maxRows: number): void {
  const at = begin(out, frontend.execute)
  out.cstring(portal)
  out.u32(maxRows)
  end(out, at)
}

export function writeClose(out: ByteWriter, kind: 'S' | 'P', name: string): void {
  const at = begin(out, frontend.close)
  out.u8(kind.charCodeAt(0))
  out.cstring(name)
  end(out, at)
}

/** Sync, Flush, CopyDone or Terminate. */
export function writeBare(out: ByteWriter, type: number): void {
  out.u8(type)
  out.u32(4)
}

export function writeCopyData(out: ByteWriter, bytes: Uint8Array): void {
  const at = begin(out, frontend.copyData)
  out.raw(bytes)
  end(out, at)
}

export function writeCopyFail(out: ByteWriter, reason: string): void {
  const at = begin(out, frontend.copyFail)
  out.cstring(reason)
  end(out, at)
}

/** SASLInitialResponse when a mechanism is named, else SASLResponse. */
export function writeSasl(out: ByteWriter, mechanism: string | undefined, data: string): void {
  const at = begin(out, frontend.password)
  const bytes = Buffer.from(data, 'latin1')
  if (mechanism !== undefined) {
    out.cstring(mechanism)
    out.u32(bytes.length)
  }
  out.raw(bytes)
  end(out, at)
}

/** What ErrorResponse or NoticeResponse says. An SQLSTATE that our table lacks counts as its class, or internal_error. */
export function readReport(body: BodyReader): { severity: string; sqlstate: string; error: DbError } {
  const fields = new Map<string, string>()
  for (let code = body.u8(); code !== 0; code = body.u8()) fields.set(String.fromCharCode(code), body.cstring())
  const sqlstate = fields.get('C') ?? 'XX000'
  const position = Number(fields.get('P'))
  const report: ErrorFields = {
    detail: fields.get('D'),
    hint: fields.get('H'),
    position: position > 0 ? position : undefined,
    where: fields.get('W'),
    schema: fields.get('s'),
    table: fields.get('t'),
    column: fields.get('c'),
    dataType: fields.get('d'),
    constraint: fields.get('n'),
  }
  const code = codeOfSqlstate(sqlstate) ?? codeOfSqlstate(sqlstate.slice(0, 2) + '000') ?? 'internal_error'
  const error = new DbError(code, fields.get('M') ?? '', report)
  return { severity: fields.get('V') ?? fields.get('S') ?? 'ERROR', sqlstate, error }
}
