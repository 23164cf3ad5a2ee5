/**
 * A DbError on its way to another node, as JSON: code, message and the fields that are strings or numbers. Causes and
 * stacks stay at home.
 *
 * Not here: errors of the transport itself (cluster/transport.ts).
 */
import { DbError, type ErrorFields, isErrorCode } from '../../base/index.ts'

const fields = [
  'detail',
  'hint',
  'position',
  'where',
  'schema',
  'table',
  'column',
  'dataType',
  'constraint',
] as const satisfies readonly (keyof ErrorFields)[]

export function encodeFailure(error: DbError): Uint8Array {
  const out: Record<string, unknown> = { code: error.code, message: error.message }
  for (const field of fields) if (error[field] !== undefined) out[field] = error[field]
  return Buffer.from(JSON.stringify(out))
}

/** What the peer raised; a code that this version does not know becomes internal_error, its name in the detail. */
export function decodeFailure(bytes: Uint8Array): DbError {
  let given: Record<string, unknown>
  try {
    given = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  } catch (cause) {
    return new DbError('protocol_violation', 'a node answered with an error that cannot be read', { cause })
  }
  const code = String(given?.code)
  const message = String(given?.message)
  const out: Record<string, unknown> = {}
  for (const field of fields) {
    const value = given?.[field]
    if (typeof value === (field === 'position' ? 'number' : 'string')) out[field] = value
  }
  if (isErrorCode(code)) return new DbError(code, message, out)
  return new DbError('internal_error', message, { ...out, detail: `The other node reported "${code}".` })
}
