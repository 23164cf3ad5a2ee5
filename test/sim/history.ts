/**
 * What clients of a simulation saw, as the checkers read it: one record per operation, with when it was invoked, when it
 * was answered, and how.
 *
 *   client 1   ├─ write x 1 ─┤ ok            ├─ read x ───┤ ok → 2
 *   client 2        ├─ write x 2 ──────────── …               unknown: it may take effect any time after its invocation, or never
 *
 * Not here: who records it (the workloads), what must hold (checkers/).
 */
export type Status =
  /** It happened, at some moment between invocation and completion. */
  | 'ok'
  /** It certainly did not happen and never will. */
  | 'failed'
  | 'unknown'

export interface Operation {
  /** A client has one operation under way at a time. */
  readonly client: number
  /** Counts over the whole history; a client's operations ascend. */
  readonly index: number
  readonly invokedMicros: number
  /** undefined when no answer came. */
  readonly completedMicros: number | undefined
  readonly status: Status
}

/** What a checker found. */
export interface Violation {
  /** A short name of the class, such as `G1a`. */
  readonly kind: string
  /** What happened, for people. */
  readonly message: string
  /** Indexes of the operations that show it. */
  readonly operations: readonly number[]
}

export function describe(violations: readonly Violation[], most = 10): string {
  const shown = violations.slice(0, most).map(({ kind, message }) => `${kind}: ${message}`)
  if (violations.length > most) shown.push(`… and ${violations.length - most} more`)
  return shown.join('\n')
}
