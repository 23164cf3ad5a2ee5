/**
 * Translates the operating system's errors into the ones of base/error.ts.
 *
 * Not here: deciding what to do about them.
 */
import { DbError, type ErrorCode } from '../../base/index.ts'

const codes: Record<string, ErrorCode> = {
  ENOSPC: 'disk_full',
  EDQUOT: 'disk_full',
  ENOENT: 'undefined_file',
  EACCES: 'insufficient_privilege',
  EPERM: 'insufficient_privilege',
  EROFS: 'insufficient_privilege',
  EMFILE: 'insufficient_resources',
  ENFILE: 'insufficient_resources',
  ENOMEM: 'out_of_memory',
  EADDRINUSE: 'object_in_use',
  EADDRNOTAVAIL: 'invalid_parameter_value',
  ENOTFOUND: 'connection_failure',
  ECONNREFUSED: 'connection_failure',
  ECONNRESET: 'connection_failure',
  ETIMEDOUT: 'connection_failure',
  EHOSTUNREACH: 'connection_failure',
  ENETUNREACH: 'connection_failure',
  EPIPE: 'connection_failure',
}

const hints: Partial<Record<ErrorCode, string>> = {
  disk_full: 'Make room on the disk; what was acknowledged is safe.',
}

export function systemError(cause: unknown, doing: string, otherwise: ErrorCode = 'io_error'): DbError {
  if (cause instanceof DbError) return cause
  const system = cause as NodeJS.ErrnoException
  const code = codes[system?.code ?? ''] ?? otherwise
  return new DbError(code, `could not ${doing}: ${reason(system) ?? String(cause)}`, { cause, hint: hints[code] })
}

/** Node's message without the call and the path that it repeats: "ENOENT: no such file or directory". */
function reason(cause: NodeJS.ErrnoException | undefined): string | undefined {
  const { syscall, message } = cause ?? {}
  const end = syscall === undefined || cause?.path === undefined ? -1 : (message?.lastIndexOf(`, ${syscall} `) ?? -1)
  return end < 0 ? message : message?.slice(0, end)
}
