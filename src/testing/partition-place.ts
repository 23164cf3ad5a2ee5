/** A partition as the cluster's replicas say it is. */
export interface PartitionPlace {
  readonly id: number
  /** Node that leads it and serves; 0: none at the moment. */
  readonly leader: number
  /** Nodes with a voting or learning replica, ascending. */
  readonly replicas: readonly number[]
}
