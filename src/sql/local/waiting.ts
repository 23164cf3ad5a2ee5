/** How statements wait for event databases. */
import { DbError, WAIT } from '../../base/index.ts'
import type { Execution } from '../execute/execution.ts'
import type { Writing } from '../execute/row-writer.ts'
import type { LocalSession } from './local-session.ts'

/** Raises feature_not_supported where there are no event databases. */
export function requireLocal({ session }: Pick<Execution, 'session'>): LocalSession {
  if (session.local !== undefined) return session.local
  throw new DbError('feature_not_supported', 'tables WITH (replication = local) are not available here', {
    hint: 'Open the database with its event databases: latticedb.open, or a node.',
  })
}

/** The promise's result, by a statement that waits for it. */
export function* awaited<T>(x: Pick<Execution, 'blocker'>, promise: Promise<T>): Writing<T> {
  let outcome: { readonly value: T } | { readonly error: unknown } | undefined
  const settled = promise.then(
    (value) => {
      outcome = { value }
    },
    (error) => {
      outcome = { error }
    },
  )
  const result = () => outcome
  while (result() === undefined) {
    x.blocker = { ready: () => settled }
    yield WAIT
  }
  const done = result()!
  if ('error' in done) throw done.error
  return done.value
}
