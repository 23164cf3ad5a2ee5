/**
 * Structured log: JSON lines on standard error, written by pino.
 *
 * Not here: metrics, audit.
 */
import { createRequire } from 'node:module'
import type { Logger, pino as Pino } from 'pino'
import type { Log, LogFields } from '../ports.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Loads pino on first use: modules that only need a timer of this folder do not pay for it. */
export function nodeLog(level: LogLevel, fd = 2): Log {
  const { pino } = createRequire(import.meta.url)('pino') as { pino: typeof Pino }
  const options = { level, base: undefined, messageKey: 'event', timestamp: pino.stdTimeFunctions.isoTime }
  return new PinoLog(pino(options, pino.destination({ fd, sync: true })))
}

class PinoLog implements Log {
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger
  }

  debug(event: string, fields?: LogFields): void {
    this.#logger.debug(fields ?? {}, event)
  }

  info(event: string, fields?: LogFields): void {
    this.#logger.info(fields ?? {}, event)
  }

  warn(event: string, fields?: LogFields): void {
    this.#logger.warn(fields ?? {}, event)
  }

  error(event: string, fields?: LogFields): void {
    this.#logger.error(fields ?? {}, event)
  }

  child(fields: LogFields): Log {
    return new PinoLog(this.#logger.child(fields))
  }
}
