/**
 * What SQL needs of the cluster: broadcasts between gateways, identifiers, sizes, cluster-wide advisory locks.
 *
 * Not here: rows (transaction/), what is broadcast (sql/).
 */
import { DbError } from '../base/index.ts'
import { type IdentifierAllocator, serviceBroadcast } from '../cluster/index.ts'
import type { SqlCluster } from '../sql/index.ts'
import type { Span } from '../storage/index.ts'
import { AdvisoryLocks } from './advisory-locks.ts'
import type { OpenedCluster } from './cluster.ts'

const broadcastMs = 2_000
/** Row ids numbered out of one identifier. */
const rowsPerIdentifier = 0x20_0000

export class NodeSqlCluster implements SqlCluster {
  readonly nodeId: number
  readonly #opened: OpenedCluster
  readonly #identifiers: IdentifierAllocator
  readonly #handlers = new Map<string, (message: any, from: number) => void | Promise<void>>()
  readonly #advisory: AdvisoryLocks
  #rowBlock = 0
  #rows = rowsPerIdentifier

  constructor(opened: OpenedCluster) {
    this.#opened = opened
    this.#identifiers = opened.identifiers
    this.nodeId = opened.host.nodeId
    const { transport } = opened
    transport.onRequest(serviceBroadcast, async (from, body) => {
      const { topic, message } = JSON.parse(Buffer.from(body).toString())
      await this.#handlers.get(topic)?.(message, from)
      return new Uint8Array(0)
    })
    this.#advisory = new AdvisoryLocks(opened)
  }

  stop(): void {
    this.#advisory.stop()
  }

  newObjectId(): number {
    const id = this.#identifiers.next()
    if (id === undefined) throw new DbError('program_limit_exceeded', 'no object identifiers are at hand; try again')
    return id
  }

  newRowId(): number {
    if (this.#rows === rowsPerIdentifier) {
      this.#rowBlock = this.newObjectId()
      this.#rows = 0
    }
    return this.#rowBlock * rowsPerIdentifier + this.#rows++
  }

  async broadcast(topic: string, message: unknown): Promise<void> {
    const { host, transport, store } = this.#opened
    const body = Buffer.from(JSON.stringify({ topic, message }))
    await Promise.all(
      host.peers().map((node) =>
        transport.request(node, serviceBroadcast, body, broadcastMs).catch((error) => {
          if (!(error instanceof DbError)) throw error
          store.io.log.info('broadcast-missed', { topic, node, reason: error.message })
        }),
      ),
    )
  }

  onBroadcast(topic: string, handler: (message: any, from: number) => void | Promise<void>): void {
    this.#handlers.set(topic, handler)
  }

  estimate(span: Span): { bytes: number; entries: number } {
    const { host, engine } = this.#opened
    const own = engine.estimate(span)
    // A partition without a replica here: what its leader has said of it.
    for (const part of this.#opened.store.splitSpan(span)) {
      const route = host.router.find(part.start)
      if (route === undefined || host.replicas.has(route.partition.id)) continue
      own.bytes += route.bytes
      own.entries += route.entries
    }
    return own
  }

  leads(key: Uint8Array): boolean {
    return this.#opened.host.replicaFor(key)?.serving === true
  }

  lockAdvisory(session: number, key: string, mode: number, wait: boolean): Promise<boolean> {
    return this.#advisory.lock(session, key, mode, wait)
  }

  unlockAdvisory(session: number, key: string, mode: number): void {
    this.#advisory.unlock(session, key, mode)
  }
}
