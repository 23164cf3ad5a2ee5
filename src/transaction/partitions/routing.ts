/**
 * Asks the leaseholder of a key, wherever it is, until one answers or the time is up.
 *
 *   key ─► route ─► own lease: the leaseholder's method as it is
 *                └► other node: request; misrouted: learn what it knows, ask the next of the partition's nodes
 *
 * A request that may have been seen without being answered is asked again only when doing it twice is the same as once.
 *
 * Not here: what is asked (leaseholder.ts), bytes (codec.ts).
 */
import { DbError } from '../../base/index.ts'
import { RemoteFailure, serviceTransaction, type Transport } from '../../cluster/index.ts'
import { ByteReader, ByteWriter } from '../../encoding/index.ts'
import { decodeRoute, encodeRoute, type Host, nodeOfReplica } from '../../replication/index.ts'
import {
  type Codec,
  chunkRequest,
  commitRequest,
  lockAnswer,
  lockRequest,
  nothing,
  number,
  outcomeRequest,
  prepareRequest,
  readAnswer,
  readRequest,
  recordRequest,
  releaseRequest,
  resolveRequest,
  scanAnswer,
  scanRequest,
  validateRequest,
} from './codec.ts'
import type { Leaseholder } from './leaseholder.ts'
import { Misrouted, OutcomeUnknown, Regroup } from './misrouted.ts'
import type { ReleaseRequest } from './requests.ts'

/** How long a statement waits for a partition to have a leaseholder. */
const patienceMs = 5_000
/** How long one node is waited for before another is asked. */
const attemptMs = 2_000
/** How long a node that is one of several is waited for. */
const nearMs = 1_000
/** Lock waits last; the request is repeated. */
const lockAttemptMs = 10_000
const largeMs = 120_000
/** How long a node is waited for that is asked though another is known to lead. */
const guessMs = 500
/** How often those who wait look who leads. */
const watchMs = 100
const pauseMs: readonly [number, number] = [5, 40]

export interface Operation<Q, A> {
  readonly code: number
  readonly request: Codec<Q>
  readonly answer: Codec<A>
  readonly run: (at: Leaseholder, request: Q) => A | Promise<A>
  /** Asked twice it does what it does asked once. */
  readonly repeatable: boolean
  readonly attemptMs: number
}

const forgetRequest: Codec<{ transaction: number; anchor: Uint8Array }> = {
  write(out, r) {
    out.i64(r.transaction)
    out.block(r.anchor)
  },
  read(from) {
    const transaction = from.i64()
    return { transaction, anchor: from.block() }
  },
}

function operation<Q, A>(
  code: number,
  request: Codec<Q>,
  answer: Codec<A>,
  run: (at: Leaseholder, request: Q) => A | Promise<A>,
  repeatable = true,
  ms = attemptMs,
): Operation<Q, A> {
  return { code, request, answer, run, repeatable, attemptMs: ms }
}

export const readOperation = operation(1, readRequest, readAnswer, (at, r) => at.read(r))
export const scanOperation = operation(2, scanRequest, scanAnswer, (at, r) => at.scan(r), true, patienceMs)
export const lockOperation = operation(3, lockRequest, lockAnswer, (at, r) => at.lock(r), true, lockAttemptMs)
export const commitOperation = operation(4, commitRequest, number, (at, r) => at.commit(r), false)
export const prepareOperation = operation(5, prepareRequest, number, (at, r) => at.prepare(r), false)
export const validateOperation = operation(6, validateRequest, nothing, (at, r) => at.validate(r), true)
export const recordOperation = operation(7, recordRequest, number, (at, r) => at.record(r), false)
export const resolveOperation = operation(8, resolveRequest, nothing, (at, r) => at.resolve(r))
export const outcomeOperation = operation(9, outcomeRequest, number, (at, r) => at.outcome(r))
export const forgetOperation = operation(10, forgetRequest, nothing, (at, r) => at.forget(r.transaction, r.anchor))
/** The same of nodes that need not lead: see FollowerReads. */
export const nearReadOperation = operation(12, readRequest, readAnswer, (at, r) => at.followers.read(r), true, nearMs)
export const nearScanOperation = operation(13, scanRequest, scanAnswer, (at, r) => at.followers.scan(r), true, nearMs)
export const chunkOperation = operation(14, chunkRequest, number, (at, r) => at.large.chunk(r), true, lockAttemptMs)
const releaseOperation = operation(11, releaseRequest, nothing, (at, r) => at.release(r))

/** The same, of what chunks have brought: there is more to check and to apply. */
export function patient<Q, A>(op: Operation<Q, A>): Operation<Q, A> {
  return { ...op, attemptMs: largeMs }
}

const operations = new Map<number, Operation<any, any>>(
  [
    readOperation,
    scanOperation,
    lockOperation,
    commitOperation,
    prepareOperation,
    validateOperation,
    recordOperation,
    resolveOperation,
    outcomeOperation,
    forgetOperation,
    releaseOperation,
    nearReadOperation,
    nearScanOperation,
    chunkOperation,
  ].map((o) => [o.code, o as Operation<any, any>]),
)

interface Wait {
  readonly key: Uint8Array
  readonly node: number
  /** Who was known to lead when it was asked. */
  readonly leader: number
  /** Until when it is waited for if that one still leads. Monotonic microseconds. */
  readonly guessUntil: number
  readonly fail: (error: DbError) => void
}

export class Routing {
  readonly #host: Host
  readonly #transport: Transport
  readonly #leaseholder: Leaseholder
  /** Requests under way to other nodes. */
  readonly #waits = new Set<Wait>()
  #watching = false

  constructor(host: Host, leaseholder: Leaseholder) {
    this.#host = host
    this.#transport = host.transport
    this.#leaseholder = leaseholder
    host.transport.onRequest(serviceTransaction, (_from, body) => this.#answer(body))
  }

  /**
   * Asks for the key's partition. Raises what the leaseholder raises; connection_failure when none answers in time;
   * OutcomeUnknown when a request that must not be repeated got no answer.
   */
  async ask<Q, A>(op: Operation<Q, A>, key: Uint8Array, request: Q): Promise<A> {
    const { io } = this.#host
    const deadline = this.#host.now() + patienceMs * 1000
    let failed = 0
    for (let turn = 0; ; turn++) {
      const node = this.#target(key, turn, failed)
      failed = node
      try {
        if (node === this.#host.nodeId) return await op.run(this.#leaseholder, request)
        const answer = await this.#whileLeading(key, node, op.repeatable, this.#askNode(op, node, request))
        if (turn > 0) this.#noteLeader(key, node)
        return answer
      } catch (error) {
        if (io.dead) throw error
        if (error instanceof Misrouted) this.#learn(error, key, node)
        else if (error instanceof Regroup) {
          this.#host.learn(error.route)
          throw error
        } else if (error instanceof RemoteFailure) {
          if (error.sent && !op.repeatable) throw new OutcomeUnknown()
          this.#forgetLeader(key, node)
        } else throw error
      }
      if (this.#host.now() > deadline) throw unavailable()
      // The first failure is mostly a stale route; afterwards an election is under way.
      if (turn > 0) await this.#pause()
    }
  }

  /**
   * The answer, or connection_failure once another node is known to lead: one that stands still, or is cut off, would be
   * waited for until the attempt is over.
   */
  #whileLeading<A>(key: Uint8Array, node: number, repeatable: boolean, answer: Promise<A>): Promise<A> {
    return new Promise((done, fail) => {
      // What must not be repeated is waited for as long as its answer may come.
      const guessUntil = repeatable ? this.#host.now() + guessMs * 1000 : Number.POSITIVE_INFINITY
      const wait: Wait = { key, node, leader: this.#leaderOf(key), guessUntil, fail }
      this.#waits.add(wait)
      this.#watch()
      answer.then(done, fail).finally(() => this.#waits.delete(wait))
    })
  }

  #watch(): void {
    if (this.#watching) return
    this.#watching = true
    const { io } = this.#host
    io.tasks.after(watchMs, () => {
      this.#watching = false
      if (io.dead || this.#waits.size === 0) return
      for (const { key, node, leader, guessUntil, fail } of this.#waits) {
        const now = this.#leaderOf(key)
        // Asked though another was known to lead, it would have said at once that it does not.
        const guessed = now === leader && this.#host.now() < guessUntil
        if (now === 0 || now === node || guessed) continue
        fail(new RemoteFailure('connection_failure', `node ${node} leads the partition no more`, true))
      }
      this.#watch()
    })
  }

  /** 0 when nobody is known to lead. */
  #leaderOf(key: Uint8Array): number {
    const own = this.#host.replicaFor(key)
    if (own !== undefined && own.raft.leader !== 0) return nodeOfReplica(own.raft.leader)
    return this.#host.router.find(key)?.leader ?? 0
  }

  #pause(): Promise<void> {
    const { io } = this.#host
    return new Promise((done) => io.tasks.after(pauseMs[0] + io.random.below(pauseMs[1] - pauseMs[0]), done))
  }

  /** The node that probably leads the key's partition; when that has just failed, another of its nodes. */
  #target(key: Uint8Array, turn: number, failed: number): number {
    const host = this.#host
    const own = host.replicaFor(key)
    if (own !== undefined && own.raft.role === 'leader' && own.serving) return host.nodeId
    const route = host.router.find(key)
    const known = [own === undefined ? 0 : nodeOfReplica(own.raft.leader), route?.leader ?? 0]
    const leader = known.find((node) => node !== 0 && node !== failed)
    // Whom we know may both be of the past: then the others know better.
    if (leader !== undefined && turn % 4 < 3) return leader
    const nodes = route?.nodes ?? [host.nodeId, ...host.peers()]
    const others = nodes.filter((node) => node !== failed)
    // One that cannot be heard would only be waited for.
    const heard = others.filter((node) => host.liveness.hears(node))
    const choice = heard.length > 0 ? heard : others
    return choice[turn % choice.length] ?? host.nodeId
  }

  #learn(error: Misrouted, key: Uint8Array, node: number): void {
    const { router } = this.#host
    if (error.route !== undefined) {
      this.#host.learn(error.route)
      const now = router.find(key)
      if (now !== undefined && now.leader !== 0 && now.leader !== node) return
      if (error.route.leader !== 0 && error.route.leader !== node && now !== undefined) {
        router.setLeader(now.partition.id, error.route.leader)
        return
      }
    }
    this.#forgetLeader(key, node)
  }

  /** The node answered, so it leads. */
  #noteLeader(key: Uint8Array, node: number): void {
    const { router } = this.#host
    const route = router.find(key)
    if (route !== undefined && route.leader === 0) router.setLeader(route.partition.id, node)
  }

  #forgetLeader(key: Uint8Array, node: number): void {
    const { router } = this.#host
    const route = router.find(key)
    if (route === undefined || route.leader !== node) return
    // A leader whose lease is being renewed is still the leader: nobody would tell us again that we are.
    if (this.#host.replicas.get(route.partition.id)?.serving) return
    router.setLeader(route.partition.id, 0)
  }

  /** Asks one node, once; undefined when it cannot answer or does not. Raises what is raised there. */
  async askOnce<Q, A>(op: Operation<Q, A>, node: number, request: Q): Promise<A | undefined> {
    try {
      return await this.#askNode(op, node, request)
    } catch (error) {
      if (this.#host.io.dead || !(error instanceof Misrouted || error instanceof RemoteFailure)) throw error
      return undefined
    }
  }

  async #askNode<Q, A>(op: Operation<Q, A>, node: number, request: Q): Promise<A> {
    const out = new ByteWriter(256)
    out.u8(op.code)
    op.request.write(out, request)
    const read = new ByteReader(await this.#transport.request(node, serviceTransaction, out.copy(), op.attemptMs))
    const status = read.u8()
    if (status === 0) return op.answer.read(read)
    if (status === 2) throw new Regroup(decodeRoute(read.block()))
    throw new Misrouted(read.done ? undefined : decodeRoute(read.block()))
  }

  async #answer(body: Uint8Array): Promise<Uint8Array> {
    const read = new ByteReader(body)
    const op = operations.get(read.u8())
    if (op === undefined) throw new DbError('protocol_violation', 'an unknown request of a peer')
    const out = new ByteWriter(128)
    try {
      const answer = await op.run(this.#leaseholder, op.request.read(read))
      out.u8(0)
      op.answer.write(out, answer)
    } catch (error) {
      if (!(error instanceof Misrouted || error instanceof Regroup)) throw error
      out.reset()
      out.u8(error instanceof Regroup ? 2 : 1)
      if (error.route !== undefined) out.block(encodeRoute(error.route))
    }
    return out.copy()
  }

  /** Tells nodes to release locks; nobody waits for it. */
  release(nodes: Iterable<number>, request: ReleaseRequest): void {
    for (const node of nodes) {
      if (node === this.#host.nodeId) this.#leaseholder.release(request)
      else this.#askNode(releaseOperation, node, request).catch(() => {})
    }
  }
}

function unavailable(): DbError {
  return new DbError('connection_failure', 'no replica that could answer was reached', {
    detail: `For ${patienceMs / 1000} s no node held the lease of the partition, as far as this node can see.`,
    hint: 'A majority of the partition’s replicas must be up and reachable from here; retry when they are.',
  })
}
