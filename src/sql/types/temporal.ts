/**
 * Temporal: the runtime's own, or before Node 26 the polyfill's, loaded when a named time zone is first needed.
 *
 * Not here: what is asked of it (time-zone.ts).
 */
import { createRequire } from 'node:module'

let loaded: typeof Temporal | undefined

export function temporal(): typeof Temporal {
  loaded ??= (globalThis as { Temporal?: typeof Temporal }).Temporal ?? polyfill()
  return loaded
}

function polyfill(): typeof Temporal {
  return createRequire(import.meta.url)('temporal-polyfill').Temporal
}
