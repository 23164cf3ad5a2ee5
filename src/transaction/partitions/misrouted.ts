/**
 * A request that came to a node which does not hold the lease: nothing was done; ask elsewhere. Never reaches a client.
 */
import { DbError } from '../../base/index.ts'
import type { Route } from '../../replication/index.ts'

export class Misrouted extends DbError {
  /** Where the node that was asked believes the key to be. */
  readonly route: Route | undefined

  constructor(route: Route | undefined) {
    super('object_not_in_prerequisite_state', 'this node does not hold the lease of the partition')
    this.route = route
  }
}

/** A request's keys lie in several partitions by now: nothing was done; divide it anew. Never reaches a client. */
export class Regroup extends DbError {
  readonly route: Route

  constructor(route: Route) {
    super('object_not_in_prerequisite_state', 'the keys of the request lie in several partitions')
    this.route = route
  }
}

/** Whether a proposal took effect cannot be told here. */
export class OutcomeUnknown extends DbError {
  constructor() {
    super('statement_completion_unknown', 'the outcome of the transaction is not known', {
      hint: 'It may have committed: look before doing it again.',
    })
  }
}

export function outcomeUnknown(): DbError {
  return new OutcomeUnknown()
}

/** Validation has failed: the transaction is given up, and may be repeated. */
export function aborted(why: string): DbError {
  return new DbError(
    'serialization_failure',
    'could not serialize access due to read/write dependencies among transactions',
    {
      detail: `The transaction was given up because ${why}.`,
      hint: 'The transaction might succeed if retried.',
    },
  )
}
