/**
 * Finds deadlocks that no node sees by itself: a transaction waits at one leaseholder for another that waits at the next.
 *
 *   node 1   T1 waits for T2        detector, at the leader of the first partition: asks every node who waits for whom,
 *   node 2   T2 waits for T1        twice, and gives up the youngest of a cycle that was there both times
 *
 * Cycles within one node are found at once where they close (lock-table.ts).
 *
 * Source: edge gathering as in Obermarck, "Distributed deadlock detection algorithm" (TODS 1982), at one place.
 *
 * Not here: advisory locks (their one leader sees all of them), waits for prepared transactions (those never wait).
 */
import { DbError } from '../../base/index.ts'
import { serviceWaits } from '../../cluster/index.ts'
import type { Host } from '../../replication/index.ts'
import type { LockOwner, LockTable } from '../lock-table.ts'

const periodMs = 500
const answerMs = 1_000

/** "node:transaction" waits for "node:transaction". */
type Edge = readonly [waiter: string, holder: string]

export interface WaitSource {
  readonly tables: readonly LockTable[]
  /** The transaction that an owner stands for. */
  nameOf(owner: LockOwner): string | undefined
  ownersOf(name: string): readonly LockOwner[]
}

export class DeadlockDetector {
  readonly #host: Host
  readonly #source: WaitSource
  #suspected = new Set<string>()
  #timer: { cancel(): void } | undefined
  #stopped = false

  constructor(host: Host, source: WaitSource) {
    this.#host = host
    this.#source = source
    host.transport.onRequest(serviceWaits, (_from, body) => this.#answer(Buffer.from(body).toString()))
    this.#later()
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  #later(): void {
    const { io } = this.#host
    this.#timer = io.tasks.after(periodMs, () => {
      if (this.#stopped || io.dead) return
      this.#look().then(
        () => this.#later(),
        (error) => io.fatal('looking for deadlocks failed', error),
      )
    })
  }

  /** An empty question asks for edges, a name gives up what that transaction waits for here. */
  #answer(victim: string): Uint8Array {
    if (victim === '') return Buffer.from(JSON.stringify(this.#edges()))
    for (const owner of this.#source.ownersOf(victim)) {
      owner.waiting?.abort(
        new DbError('deadlock_detected', 'deadlock detected', {
          detail: 'Transactions at several nodes wait for each other.',
          hint: 'The transaction might succeed if retried.',
        }),
      )
    }
    return new Uint8Array(0)
  }

  #edges(): Edge[] {
    const out: Edge[] = []
    for (const table of this.#source.tables) {
      for (const [waiter, holder] of table.waits()) {
        const from = this.#source.nameOf(waiter)
        const to = this.#source.nameOf(holder)
        if (from !== undefined && to !== undefined && from !== to) out.push([from, to])
      }
    }
    return out
  }

  async #look(): Promise<void> {
    const { router, replicas, nodeId } = this.#host
    const first = router.routes[0]
    if (first === undefined || replicas.get(first.partition.id)?.serving !== true) {
      this.#suspected.clear()
      return
    }
    const nodes = [nodeId, ...this.#host.peers()]
    const edges = (await Promise.all(nodes.map((node) => this.#ask(node, '')))).flat()
    const victims = new Set<string>()
    for (const cycle of cyclesOf(edges))
      victims.add(cycle.reduce((a, b) => (transactionOf(a) > transactionOf(b) ? a : b)))
    for (const victim of victims)
      if (this.#suspected.has(victim)) await Promise.all(nodes.map((node) => this.#ask(node, victim)))
    this.#suspected = victims
  }

  async #ask(node: number, question: string): Promise<Edge[]> {
    try {
      const { transport } = this.#host
      const body = Buffer.from(question)
      const answer =
        node === this.#host.nodeId
          ? this.#answer(question)
          : await transport.request(node, serviceWaits, body, answerMs)
      return answer.length === 0 ? [] : JSON.parse(Buffer.from(answer).toString())
    } catch (error) {
      if (!(error instanceof DbError)) throw error
      return []
    }
  }
}

function transactionOf(name: string): number {
  return Number(name.slice(name.indexOf(':') + 1))
}

/** One cycle through each set of transactions that wait for each other. Depth-first. */
export function cyclesOf(edges: readonly Edge[]): string[][] {
  const next = new Map<string, string[]>()
  for (const [from, to] of edges) {
    const list = next.get(from)
    if (list === undefined) next.set(from, [to])
    else list.push(to)
  }
  const out: string[][] = []
  const done = new Set<string>()
  for (const start of next.keys()) {
    const path: string[] = []
    const at: number[] = []
    const onPath = new Set<string>()
    const enter = (name: string) => {
      path.push(name)
      at.push(0)
      onPath.add(name)
    }
    if (!done.has(start)) enter(start)
    while (path.length > 0) {
      const name = path[path.length - 1]
      const to = next.get(name)?.[at[at.length - 1]++]
      if (to === undefined) {
        done.add(name)
        onPath.delete(name)
        path.pop()
        at.pop()
      } else if (onPath.has(to)) out.push(path.slice(path.indexOf(to)))
      else if (!done.has(to)) enter(to)
    }
  }
  return out
}
