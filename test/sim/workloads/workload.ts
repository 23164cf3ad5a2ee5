/**
 * What every workload is given: the cluster, the seed's shape of things, and a way to run operations that records when
 * they were asked, when they were answered, and how.
 *
 *   worker ─► gateway drawn anew for each operation ─► answer, SQLSTATE, or the gateway died: outcome unknown
 *
 * Not here: what is asked (the modules beside), what must hold of it (checkers/), faults (swarm/nemesis.ts).
 */
import { DbError } from '../../../src/base/index.ts'
import type { SimRandom } from '../../../src/testing/sim-random.ts'
import type { Operation, Status, Violation } from '../history.ts'
import { NodeDied, type SimNode, type SimNodes } from '../swarm/sim-nodes.ts'

export interface Shape {
  readonly isolation: 'read committed' | 'repeatable read' | 'serializable'
  readonly keys: number
  readonly accounts: number
  /** Of a row of `large`: its transactions have up to 120. */
  readonly bulkBytes: number
}

/** One turn of a worker. */
export interface Turn {
  readonly client: number
  readonly node: SimNode
  readonly random: SimRandom
}

export interface Workload {
  readonly name: string
  /** How often it is chosen beside the others. */
  readonly weight: number
  /** SQL that makes its tables. */
  readonly setup: string
  step(turn: Turn): Promise<void>
  /** Once the cluster is whole and nothing goes wrong any more, while nobody else works. */
  calm?(): Promise<Violation[]>
  /** At the end: everything that must hold of what is there and of the history. */
  judge(): Promise<Violation[]>
}

export interface Outcome<T> {
  readonly times: Omit<Operation, 'client'>
  readonly result: T | undefined
  readonly error: unknown
}

export class Bench {
  readonly nodes: SimNodes
  readonly shape: Shape
  readonly random: SimRandom
  /** By SQLSTATE: what clients were told. */
  readonly errors = new Map<string, number>()
  /** What has been asked and not been answered. */
  readonly pending = new Map<number, string>()
  committed = 0
  /** Committed operations by workload. */
  readonly done = new Map<string, number>()
  #index = 0
  #value = 0

  constructor(nodes: SimNodes, shape: Shape, random: SimRandom) {
    this.nodes = nodes
    this.shape = shape
    this.random = random
  }

  /** A number that nobody else gets. */
  value(): number {
    return ++this.#value
  }

  /** A gateway; waits for one when all are down. */
  async gateway(random: SimRandom = this.random): Promise<SimNode> {
    for (;;) {
      const alive = this.nodes.alive()
      if (alive.length > 0) return alive[random.below(alive.length)]
      await this.nodes.sleep(20)
    }
  }

  /** Runs an operation; its status and times. Raises what no client may ever be told. */
  async operate<T>(name: string, node: SimNode, work: () => Promise<T>): Promise<Outcome<T>> {
    const { world } = this.nodes
    const invokedMicros = world.nowMicros
    const index = this.#index++
    this.pending.set(index, `${name} ${index} at node ${node.id} since ${invokedMicros / 1000} ms`)
    let status: Status = 'ok'
    let result: T | undefined
    let failure: unknown
    try {
      result = await Promise.race([work(), node.died])
      this.committed++
      this.done.set(name, (this.done.get(name) ?? 0) + 1)
    } catch (error) {
      failure = error
      status = this.#statusOf(error)
    }
    this.pending.delete(index)
    const completedMicros = status === 'unknown' ? undefined : world.nowMicros
    return { times: { index, invokedMicros, completedMicros, status }, result, error: failure }
  }

  /** An operation of the judge's own, after everything else. */
  final(): Operation {
    const now = this.nodes.world.nowMicros
    return { client: 999, index: this.#index++, invokedMicros: now, completedMicros: now, status: 'ok' }
  }

  /** Rows for the judge, who does not give up on what a retry mends. */
  async read<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    for (let attempt = 0; ; attempt++) {
      const node = await this.gateway()
      try {
        return (await Promise.race([node.client!.query<Row>(text, values), node.died])).rows
      } catch (error) {
        if (!(error instanceof DbError) || !error.retryable || attempt > 20) throw error
        await this.nodes.sleep(100)
      }
    }
  }

  #statusOf(error: unknown): Status {
    if (error instanceof NodeDied) return 'unknown'
    if (!(error instanceof DbError)) throw error
    this.errors.set(error.sqlstate, (this.errors.get(error.sqlstate) ?? 0) + 1)
    if (error.code === 'internal_error' || error.code === 'data_corrupted') throw error
    return error.code === 'statement_completion_unknown' ? 'unknown' : 'failed'
  }
}
