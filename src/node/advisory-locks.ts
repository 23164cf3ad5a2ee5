/**
 * Advisory locks of a whole cluster: held in the memory of the node that leads their place in the keyspace.
 *
 *   session at gateway G ── lock ──► leader L of the place        L sweeps: what does G still want?  G sweeps: do I still
 *                        ◄─ granted                               hold what I was granted, now that M leads?
 *
 * When the lead moves, gateways take their locks again at the new leader, which grants nothing new until they have had
 * time to. Answers that are lost are found by the sweeps on either side.
 *
 * Not here: locks of rows and tables (transaction/).
 */
import { DbError } from '../base/index.ts'
import { serviceAdvisory } from '../cluster/index.ts'
import { ByteWriter } from '../encoding/index.ts'
import { LockOwner } from '../transaction/index.ts'
import type { OpenedCluster } from './cluster.ts'

const requestMs = 10_000
const sweepMs = 500
const pauseMs = 20
/** Time for gateways to take their locks again after the lead has moved. */
const graceMicros = 1_500_000
/** Place of advisory locks in the keyspace: a storage that no table has. */
const advisoryStorage = 4

interface Request {
  readonly act: 'lock' | 'try' | 'again' | 'unlock' | 'wanted'
  readonly session: number
  readonly key: string
  readonly mode: number
  /** For 'wanted': the names to check. */
  readonly names?: readonly string[]
}

interface Held {
  readonly session: number
  readonly key: string
  readonly mode: number
  /** How often the session has taken it. */
  count: number
  /** Requests under way. */
  pending: number
  leader: number
}

export class AdvisoryLocks {
  readonly #opened: OpenedCluster
  readonly #nodeId: number
  /** As leader: the sessions that hold or wait, by "node:session". */
  readonly #owners = new Map<string, LockOwner>()
  /** As gateway: what our sessions hold or ask for, by "session mode key". */
  readonly #wanted = new Map<string, Held>()
  #othersLed = false
  #ledSince = 0
  #led = false
  #timer: { cancel(): void } | undefined
  #stopped = false

  constructor(opened: OpenedCluster) {
    this.#opened = opened
    this.#nodeId = opened.host.nodeId
    opened.transport.onRequest(serviceAdvisory, async (from, body) =>
      Buffer.from(JSON.stringify(await this.#serve(from, JSON.parse(Buffer.from(body).toString())))),
    )
    opened.membership.onChange((member, previous) => {
      const restarted = previous !== undefined && member.incarnation > previous.incarnation
      if (restarted || member.state === 'dead' || member.state === 'left') this.#forgetNode(member.nodeId)
    })
    this.#later()
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  // ---- as gateway

  /** True when granted; false when `wait` is false and it is not. */
  async lock(session: number, key: string, mode: number, wait: boolean): Promise<boolean> {
    const name = nameOf(session, key, mode)
    let held = this.#wanted.get(name)
    if (held === undefined) this.#wanted.set(name, (held = { session, key, mode, count: 0, pending: 0, leader: 0 }))
    held.pending++
    try {
      const granted = await this.#askLeader({ act: wait ? 'lock' : 'try', session, key, mode }, held, wait)
      if (granted) held.count++
      return granted
    } finally {
      held.pending--
      this.#tidy(name, held)
    }
  }

  unlock(session: number, key: string, mode: number): void {
    const name = nameOf(session, key, mode)
    const held = this.#wanted.get(name)
    if (held === undefined || held.count === 0) return
    held.count--
    if (held.count === 0) this.#ask(held.leader, { act: 'unlock', session, key, mode }).catch(() => {})
    this.#tidy(name, held)
  }

  #tidy(name: string, held: Held): void {
    if (held.count === 0 && held.pending === 0) this.#wanted.delete(name)
  }

  async #askLeader(request: Request, held: Held, wait: boolean): Promise<boolean> {
    const { host, store } = this.#opened
    const deadline = host.now() + requestMs * 1000
    for (;;) {
      // Taken by this session already: the lock is one at its leader, counted here.
      if (held.count > 0) return true
      try {
        const leader = this.#leaderOf(request.key) || (await store.findLeader(placeOf(request.key)))
        const granted = await this.#ask(leader, request)
        if (granted) held.leader = leader
        return granted
      } catch (error) {
        if (!(error instanceof DbError) || !passing(error)) throw error
        if (!wait && host.now() > deadline) throw error
      }
      await new Promise<void>((done) => store.io.tasks.after(pauseMs, done))
    }
  }

  #leaderOf(key: string): number {
    const { host } = this.#opened
    const place = placeOf(key)
    if (host.replicaFor(place)?.holdsLease(host.clock.last) === true) return this.#nodeId
    return host.router.find(place)?.leader ?? 0
  }

  async #ask(node: number, request: Request): Promise<boolean> {
    if (node === this.#nodeId) return (await this.#serve(node, request)) as boolean
    const body = Buffer.from(JSON.stringify(request))
    return JSON.parse(
      Buffer.from(await this.#opened.transport.request(node, serviceAdvisory, body, requestMs)).toString(),
    )
  }

  // ---- as leader

  async #serve(from: number, request: Request): Promise<boolean | string[]> {
    const { act, session, key, mode } = request
    if (act === 'wanted') return request.names!.filter((name) => !this.#wanted.has(name))
    const { advisory } = this.#opened.store
    const owner = this.#owner(`${from}:${session}`)
    if (act === 'unlock') {
      advisory.releaseOnce(owner, key, mode)
      return true
    }
    if (this.#leaderOf(key) !== this.#nodeId)
      throw new DbError('object_not_in_prerequisite_state', 'this node does not lead the place of advisory locks')
    if (advisory.modesOf(owner, key) & (1 << mode)) return true
    if (act === 'again') return advisory.tryAcquire(owner, key, mode)
    this.#noteLead()
    if (this.#othersLed && this.#opened.host.now() - this.#ledSince < graceMicros)
      throw new DbError('object_not_in_prerequisite_state', 'sessions are taking their locks again')
    if (act === 'try') return advisory.tryAcquire(owner, key, mode)
    while (!advisory.acquire(owner, key, mode)) await owner.waiting!.promise
    return true
  }

  #owner(name: string): LockOwner {
    let owner = this.#owners.get(name)
    if (owner === undefined) this.#owners.set(name, (owner = new LockOwner(Number(name.split(':')[1]))))
    return owner
  }

  #noteLead(): void {
    const leads = this.#leaderOf('') === this.#nodeId
    if (leads && !this.#led) this.#ledSince = this.#opened.host.now()
    if (!leads && this.#led) this.#forgetAll()
    this.#led = leads
    // Where there are several voters another one may have led, whether this node has seen it or not.
    const { host } = this.#opened
    this.#othersLed ||= (host.router.find(placeOf(''))?.nodes ?? []).some((node) => node !== this.#nodeId)
  }

  #forgetAll(): void {
    for (const name of [...this.#owners.keys()]) this.#forget(name, 'the lead of advisory locks has moved')
  }

  #forgetNode(node: number): void {
    for (const name of [...this.#owners.keys()])
      if (name.startsWith(`${node}:`)) this.#forget(name, 'the session’s node is gone')
  }

  #forget(name: string, why: string): void {
    const owner = this.#owners.get(name)
    if (owner === undefined) return
    this.#owners.delete(name)
    owner.waiting?.abort(new DbError('object_not_in_prerequisite_state', why))
    this.#opened.store.advisory.releaseAll(owner)
  }

  // ---- sweeps

  #later(): void {
    const { io } = this.#opened.store
    this.#timer = io.tasks.after(sweepMs, () => {
      if (this.#stopped || io.dead) return
      this.#noteLead()
      Promise.all([this.#sweepOwners(), this.#takeAgain()]).then(
        () => this.#later(),
        (error) => io.fatal('looking after advisory locks failed', error),
      )
    })
  }

  /** Asks gateways what their sessions still want, and releases the rest. */
  async #sweepOwners(): Promise<void> {
    const { advisory } = this.#opened.store
    const byNode = new Map<number, { name: string; key: string; mode: number; owner: LockOwner }[]>()
    for (const [name, owner] of this.#owners) {
      const node = Number(name.split(':')[0])
      const list = byNode.get(node) ?? []
      for (const { key, mode } of advisory.heldBy(owner))
        list.push({ name: nameOf(owner.id, key, mode), key, mode, owner })
      if (list.length > 0) byNode.set(node, list)
      else if (owner.waiting === undefined) this.#owners.delete(name)
    }
    for (const [node, list] of byNode) {
      const names = list.map((l) => l.name)
      try {
        const request: Request = { act: 'wanted', session: 0, key: '', mode: 0, names }
        const unwanted = new Set((await this.#ask(node, request)) as unknown as string[])
        for (const { name, key, mode, owner } of list) if (unwanted.has(name)) advisory.releaseOnce(owner, key, mode)
      } catch (error) {
        if (!(error instanceof DbError)) throw error
      }
    }
  }

  /** Takes what our sessions hold again where it belongs by now. */
  async #takeAgain(): Promise<void> {
    for (const held of [...this.#wanted.values()]) {
      const leader = this.#leaderOf(held.key)
      if (held.count === 0 || leader === 0 || leader === held.leader) continue
      try {
        const { session, key, mode } = held
        if (await this.#ask(leader, { act: 'again', session, key, mode })) held.leader = leader
        else this.#opened.store.io.log.warn('advisory-lock-lost', { session, key })
      } catch (error) {
        if (!(error instanceof DbError)) throw error
      }
    }
  }
}

/** Whether asking again a little later can help. */
function passing(error: DbError): boolean {
  return (
    error.code === 'connection_failure' ||
    error.code === 'object_not_in_prerequisite_state' ||
    error.code === 'query_canceled'
  )
}

function nameOf(session: number, key: string, mode: number): string {
  return `${session} ${mode} ${key}`
}

/** All of them share a place, so that one node finds their deadlocks. */
function placeOf(_key: string): Uint8Array {
  const out = new ByteWriter(4)
  out.u32(advisoryStorage)
  return out.copy()
}
