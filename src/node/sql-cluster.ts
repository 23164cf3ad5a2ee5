/**
 * What SQL needs of the cluster: broadcasts between gateways, identifiers, cluster-wide advisory locks.
 *
 * Advisory locks live in the memory of the node that leads their place in the keyspace, so all nodes agree which one
 * that is.
 *
 * Not here: rows (transaction/), what is broadcast (sql/).
 */
import { DbError } from '../base/index.ts'
import { type IdentifierAllocator, serviceAdvisory, serviceBroadcast } from '../cluster/index.ts'
import { ByteWriter } from '../encoding/index.ts'
import type { SqlCluster } from '../sql/index.ts'
import type { Span } from '../storage/index.ts'
import { LockOwner } from '../transaction/index.ts'
import type { OpenedCluster } from './cluster.ts'

const broadcastMs = 2_000
const advisoryMs = 30_000
const pauseMs = 20
/** Place of advisory locks in the keyspace: a storage that no table has. */
const advisoryStorage = 4
/** Row ids numbered out of one identifier. */
const rowsPerIdentifier = 0x20_0000

interface AdvisoryRequest {
  readonly session: number
  readonly key: string
  readonly mode: number
  readonly act: 'lock' | 'try' | 'unlock'
}

export class NodeSqlCluster implements SqlCluster {
  readonly nodeId: number
  readonly #opened: OpenedCluster
  readonly #identifiers: IdentifierAllocator
  readonly #handlers = new Map<string, (message: any, from: number) => void | Promise<void>>()
  readonly #owners = new Map<string, { owner: LockOwner; held: number }>()
  /** Where this node's sessions hold locks. */
  readonly #heldAt = new Map<string, number>()
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
    transport.onRequest(serviceAdvisory, async (from, body) => {
      const granted = await this.#serve(from, JSON.parse(Buffer.from(body).toString()))
      return Uint8Array.of(granted ? 1 : 0)
    })
    opened.membership.onChange((member, previous) => {
      const restarted = previous !== undefined && member.incarnation > previous.incarnation
      if (restarted || member.state === 'dead' || member.state === 'left') this.#forget(member.nodeId)
    })
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

  // ---- advisory locks

  async lockAdvisory(session: number, key: string, mode: number, wait: boolean): Promise<boolean> {
    const request: AdvisoryRequest = { session, key, mode, act: wait ? 'lock' : 'try' }
    const { store } = this.#opened
    const deadline = this.#opened.host.now() + advisoryMs * 1000
    for (;;) {
      const place = advisoryKey(key)
      const leader = this.leads(place) ? this.nodeId : (this.#opened.host.router.find(place)?.leader ?? 0)
      try {
        if (leader === 0) throw new DbError('connection_failure', 'nobody leads the place of advisory locks')
        const granted = await this.#ask(leader, request)
        if (granted) this.#heldAt.set(`${session} ${key} ${mode}`, leader)
        return granted
      } catch (error) {
        const again =
          error instanceof DbError &&
          (error.code === 'connection_failure' ||
            error.code === 'object_not_in_prerequisite_state' ||
            (wait && error.code === 'query_canceled'))
        if (!again || (!wait && this.#opened.host.now() > deadline)) throw error
      }
      await new Promise<void>((done) => store.io.tasks.after(pauseMs, done))
    }
  }

  unlockAdvisory(session: number, key: string, mode: number): void {
    const name = `${session} ${key} ${mode}`
    const leader = this.#heldAt.get(name)
    if (leader === undefined) return
    this.#ask(leader, { session, key, mode, act: 'unlock' }).catch(() => {})
  }

  async #ask(node: number, request: AdvisoryRequest): Promise<boolean> {
    if (node === this.nodeId) return await this.#serve(node, request)
    const body = Buffer.from(JSON.stringify(request))
    return (await this.#opened.transport.request(node, serviceAdvisory, body, advisoryMs))[0] === 1
  }

  async #serve(from: number, { session, key, mode, act }: AdvisoryRequest): Promise<boolean> {
    const { advisory } = this.#opened.store
    const name = `${from}:${session}`
    let one = this.#owners.get(name)
    if (act === 'unlock') {
      if (one !== undefined && advisory.releaseOnce(one.owner, key, mode) && --one.held === 0) this.#owners.delete(name)
      return true
    }
    if (!this.leads(advisoryKey(key)))
      throw new DbError('object_not_in_prerequisite_state', 'this node does not lead the place of advisory locks')
    if (one === undefined) this.#owners.set(name, (one = { owner: new LockOwner(session), held: 0 }))
    if (act === 'try') {
      if (!advisory.tryAcquire(one.owner, key, mode)) return false
    } else while (!advisory.acquire(one.owner, key, mode)) await one.owner.waiting!.promise
    one.held++
    return true
  }

  /** A node is gone, and with it the sessions that held locks here. */
  #forget(node: number): void {
    for (const [name, { owner }] of [...this.#owners]) {
      if (!name.startsWith(`${node}:`)) continue
      owner.waiting?.abort(new DbError('connection_failure', 'the session’s node is gone'))
      this.#opened.store.advisory.releaseAll(owner)
      this.#owners.delete(name)
    }
  }
}

function advisoryKey(key: string): Uint8Array {
  const out = new ByteWriter(32)
  out.u32(advisoryStorage)
  out.utf8(key)
  return out.copy()
}
