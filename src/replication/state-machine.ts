/** Where committed entries come up to: the composition root wires it in, so that replication never learns what a row is. */
export interface StateMachine {
  /** Applies the committed entry `index` of `stream`. Deterministic; called in index order; never fails but by a bug. */
  apply(payload: Uint8Array, stream: number, index: number): void
}
