/**
 * The parameter part of a Bind message:
 *
 *   formats u16 │ format u16 … │ values u16 │ { length i32 (-1 = NULL) bytes } … │ result formats u16 │ format u16 …
 *
 * Decimal digits for an integer parameter, which is what most drivers send, are read straight from the bytes.
 *
 * Not here: the names in front of it (conversation.ts), conversion of values (the types).
 */
import { DbError } from '../../base/index.ts'
import type { Prepared } from '../../sql/session-api.ts'
import type { Type, TypeContext, Value } from '../../sql/types/type.ts'
import type { BodyReader } from './body.ts'
import { binaryFormat } from './protocol.ts'
import { decodeText } from './text.ts'

const noFormats: readonly number[] = []
const allBinary: readonly number[] = [1]
const allText: readonly number[] = [0]
const noValues: readonly Value[] = []

/** Reads a list of format codes. Constant lists are shared. */
export function readFormats(body: BodyReader): readonly number[] {
  const count = body.u16()
  if (count === 0) return noFormats
  if (count === 1) return checkedFormat(body.u16()) === 0 ? allText : allBinary
  const formats = new Array<number>(count)
  for (let i = 0; i < count; i++) formats[i] = checkedFormat(body.u16())
  return formats
}

function checkedFormat(format: number): number {
  if (format > 1) throw new DbError('invalid_parameter_value', `unsupported format code: ${format}`)
  return format
}

/** Reads formats and values for a prepared statement. Raises what the types' input raises. */
export function readParameters(
  body: BodyReader,
  statement: string,
  prepared: Prepared,
  context: TypeContext,
): readonly Value[] {
  const formats = readFormats(body)
  const count = body.u16()
  const types = prepared.parameterTypes
  if (formats.length > 1 && formats.length !== count) {
    throw new DbError(
      'protocol_violation',
      `bind message has ${formats.length} parameter formats but ${count} parameters`,
    )
  }
  if (count !== types.length) {
    throw new DbError(
      'protocol_violation',
      `bind message supplies ${count} parameters, but prepared statement "${statement}" requires ${types.length}`,
    )
  }
  if (count === 0) return noValues
  const values = new Array<Value>(count)
  for (let i = 0; i < count; i++) {
    const length = body.i32()
    if (length < 0) {
      values[i] = null
      continue
    }
    const start = body.skip(length)
    const format = formats.length === 0 ? 0 : formats.length === 1 ? formats[0] : formats[i]
    values[i] =
      format === binaryFormat
        ? readBinary(body, types[i], start, start + length, i)
        : readText(body.buffer, types[i], start, start + length, context)
  }
  return values
}

/** pg_type says 64 bytes of it, but it is sent as text. */
const nameOid = 19

function readBinary(body: BodyReader, type: Type, start: number, end: number, index: number): Value {
  if (type.length > 0 && type.length !== end - start && type.oid !== nameOid) {
    throw new DbError('invalid_binary_representation', `incorrect binary data format in bind parameter ${index + 1}`)
  }
  try {
    return type.decode(body.buffer, start, end)
  } catch (error) {
    // A decoder that runs off the end of a too short value.
    if (!(error instanceof RangeError)) throw error
    throw new DbError('invalid_binary_representation', `incorrect binary data format in bind parameter ${index + 1}`)
  }
}

const maxInteger = new Map([
  [21, 32767],
  [23, 2147483647],
  [20, Number.MAX_SAFE_INTEGER],
])

function readText(bytes: Buffer, type: Type, start: number, end: number, context: TypeContext): Value {
  const limit = end - start <= 15 ? maxInteger.get(type.oid) : undefined
  if (limit !== undefined) {
    let value = 0
    let at = bytes[start] === 0x2d ? start + 1 : start
    const first = at
    for (; at < end; at++) {
      const digit = bytes[at] - 0x30
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
    }
    if (at === end && at > first && value <= limit) return first > start && value > 0 ? -value : value
  }
  return type.parse(decodeText(bytes, start, end), -1, context)
}
