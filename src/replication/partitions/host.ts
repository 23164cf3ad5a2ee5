/**
 * All replicas of a node: the Multi-Raft host.
 *
 *   transport ─► host ─► replica ─► raft          one timer, one stream of heartbeats per pair of nodes,
 *                 │                               one commit log, one engine for all partitions
 *                 ├─ liveness   promises between nodes
 *                 ├─ router     where keys live
 *                 └─ snapshots  whole spans on their way to a replica that is too far behind
 *
 * Groups in which nothing is outstanding are not ticked and send nothing.
 *
 * Not here: choosing where replicas live (controller), transactions (PartitionMachine).
 */
import { assert, type HybridClock, maxTimestamp, microtask, type Timestamp } from '../../base/index.ts'
import { channelLiveness, channelRaft, type Transport } from '../../cluster/index.ts'
import { ByteReader, ByteWriter, WriteSetBuilder } from '../../encoding/index.ts'
import type { Io } from '../../io/index.ts'
import { type CommitLog, type Engine, type Span, visitAll } from '../../storage/index.ts'
import {
  type Configuration,
  decodeConfiguration,
  decodeMessage,
  encodeMessage,
  type Message,
  messageAppend,
  messageSnapshotOffer,
  messageTimeoutNow,
  messageVote,
} from '../raft/index.ts'
import { ClockWatch } from './clock-watch.ts'
import { ClosedTimestamps, Closings } from './closed-timestamps.ts'
import {
  addressedSpan,
  decodeDescriptor,
  decodeReplicaState,
  encodeDescriptor,
  encodeReplicaState,
  entryOfReplica,
  firstKey,
  nodeOfReplica,
  type PartitionDescriptor,
  type ReplicaState,
  replicaOn,
  replicaStateKey,
  replicaStates,
  spanOf,
} from './descriptor.ts'
import { heartbeatMs, isHeartbeat, livenessBytes, NodeLiveness } from './liveness.ts'
import { LogWindow } from './log-window.ts'
import { kindSplit, type PartitionMachine } from './machine.ts'
import { NodeStream, nodeStream } from './node-stream.ts'
import { fromLog, type Outcome, PartitionReplica } from './partition-replica.ts'
import { overlap, type Route, Router } from './router.ts'
import { SnapshotReceiver, SnapshotSender } from './snapshot.ts'

const tickMs = 25
/** Ticks until a candidacy, at least, and how many more at most, where rounds are quick. */
const electionTicks = 2
const electionSpread = 8
/** A replica that nobody leads for so long asks whether it is still one. */
const orphanMs = 1_500
/** Smaller changes of a partition's size are nobody's news. Bytes. */
const leastSizeChange = 64 * 1024
/** The index at which replicas of a new partition begin, and its term. */
const birthIndex = 10
const birthTerm = 5

export interface HostOptions {
  readonly io: Io
  readonly log: CommitLog
  readonly engine: Engine
  readonly clock: HybridClock
  readonly transport: Transport
  readonly machine: PartitionMachine
  readonly incarnation: number
  /** True in the node's first life. */
  readonly fresh: boolean
  /** An identifier that no node has used: for partitions and log streams. */
  readonly newId: () => number
  /** Nodes that may be alive, without this one: heartbeats go there. */
  readonly peers: () => readonly number[]
  /** Tells other nodes where a partition is. */
  readonly publish: (route: Route) => void
  readonly keptEntries?: number
}

export class Host {
  readonly io: Io
  readonly nodeId: number
  readonly log: CommitLog
  readonly engine: Engine
  readonly clock: HybridClock
  readonly transport: Transport
  readonly machine: PartitionMachine
  readonly liveness: NodeLiveness
  /** What this node promises not to commit below any more where it leads, and what others promised. */
  readonly closings: Closings
  readonly closed: ClosedTimestamps
  readonly router = new Router()
  readonly replicas = new Map<number, PartitionReplica>()
  /** Entries that stay in the log behind the applied one: recent transactions are known by them after a restart. */
  readonly keptEntries: number
  /** Entries that replicas here have proposed. */
  proposals = 0
  readonly #options: HostOptions
  readonly #node: NodeStream
  readonly #clockWatch: ClockWatch
  readonly #active = new Set<PartitionReplica>()
  readonly #timers: { cancel(): void }[] = []
  readonly #tombstones = new Map<number, number>()
  readonly #creating = new Set<number>()
  /** Partitions whose data is on its way off this node: nothing may come into their spans meanwhile. */
  readonly #leaving = new Set<PartitionDescriptor>()
  readonly #sender: SnapshotSender
  readonly #receiver: SnapshotReceiver
  readonly #orphans = new Map<PartitionReplica, number>()
  #ticking = false
  #opened = false
  #stopped = false

  constructor(options: HostOptions) {
    const { io, log, engine, clock, transport } = options
    this.#options = options
    this.io = io
    this.log = log
    this.engine = engine
    this.clock = clock
    this.transport = transport
    this.machine = options.machine
    this.nodeId = transport.self
    this.keptEntries = options.keptEntries ?? 1_000
    this.liveness = new NodeLiveness({
      self: this.nodeId,
      incarnation: options.incarnation,
      life: io.random.below(0xffff_ffff),
      clock,
      now: () => this.now(),
      fresh: options.fresh,
      durable: () => log.durableGroup,
      lost: () => this.#outdated(),
    })
    this.closings = new Closings(options.incarnation, clock, () => io.clock.wallMicros())
    this.closed = new ClosedTimestamps((partition) => this.#readable(partition)?.applied ?? -1)
    this.#node = new NodeStream(log, engine, clock)
    this.#clockWatch = new ClockWatch(io.clock)
    this.#sender = new SnapshotSender(this)
    this.#receiver = new SnapshotReceiver(this)
    transport.onMessage(channelRaft, (from, bytes) => this.#receiveRaft(from, bytes))
    transport.onMessage(channelLiveness, (from, bytes) => this.#receiveLiveness(from, bytes))
  }

  now(): number {
    return this.io.clock.monotonicMicros()
  }

  /** Opens every replica that this node holds, then begins to take part. */
  async open(): Promise<void> {
    await this.#node.replay()
    const states: { stream: number; state: ReplicaState }[] = []
    await this.scan(replicaStates, (key, value) => {
      const view = new DataView(key.buffer, key.byteOffset, key.length)
      const stream = view.getUint32(5)
      if (stream === 0) this.#tombstones.set(view.getUint32(9), new ByteReader(value).i64())
      else states.push({ stream, state: decodeReplicaState(value) })
    })
    for (const { stream, state } of states) await this.#open(stream, state)
    this.#opened = true
    for (const route of this.router.routes) {
      const own = this.replicas.get(route.partition.id)
      if (own !== undefined) this.#checkRemoved(own, route)
    }
    // What is known to be committed comes first: cuts among it bring further replicas.
    for (const replica of [...this.replicas.values()]) await replica.replay()
    this.#heartbeat()
    this.#wakeAll()
  }

  /** No replica has ever been here. */
  get unborn(): boolean {
    return this.replicas.size === 0 && this.#node.empty
  }

  /** Makes the first partition of a new cluster, with its one replica here. */
  async bootstrap(): Promise<void> {
    assert(this.replicas.size === 0, 'a cluster is made once')
    const id = this.#options.newId()
    const partition: PartitionDescriptor = { id, start: firstKey, end: undefined, generation: 1 }
    const replica = replicaOn(this.nodeId, birthIndex)
    const state = this.#birth(partition, replica, { voters: [replica], outgoing: [], learners: [] })
    await this.#writeState(id, state)
    await this.#startNew(id, state)
  }

  async close(): Promise<void> {
    this.#stopped = true
    for (const timer of this.#timers) timer?.cancel()
    this.#sender.close()
    for (const replica of this.replicas.values()) replica.close()
  }

  /** Nodes that may be alive, without this one. */
  peers(): readonly number[] {
    return this.#options.peers()
  }

  #syncMicros = 0

  /** Takes note of how long it took until something was durable. */
  noteSync(micros: number): void {
    this.#syncMicros += (micros - this.#syncMicros) / 8
  }

  /**
   * The next election timeout. A candidacy takes a round trip and a sync on either side: where those are slow, replicas
   * wait longer and further apart, lest every candidate be overtaken by the next.
   */
  electionTicks(): number {
    const round = (2 * this.liveness.roundTripMicros + 2 * this.#syncMicros) / (tickMs * 1000)
    const spread = electionSpread + Math.ceil(3 * round)
    return electionTicks + Math.ceil(round) + this.io.random.below(spread)
  }

  // ---- replicas

  replicaFor(key: Uint8Array): PartitionReplica | undefined {
    const route = this.router.find(key)
    return route === undefined ? undefined : this.replicas.get(route.partition.id)
  }

  #birth(partition: PartitionDescriptor, replica: number, configuration: Configuration): ReplicaState {
    return { partition, replica, configuration, baseIndex: birthIndex, baseTerm: birthTerm, initialized: true }
  }

  async #writeState(stream: number, state: ReplicaState): Promise<void> {
    const set = new WriteSetBuilder()
    set.put(replicaStateKey(stream), encodeReplicaState(state))
    await this.#node.write(set, this.clock.next())
  }

  /** The log side of a replica that begins with what tables hold. */
  beginStream(stream: number, state: ReplicaState): void {
    const { log } = this
    if (log.hardState(stream).term < state.baseTerm)
      log.saveHardState(stream, { term: state.baseTerm, vote: 0, commit: state.baseIndex }, undefined)
    if (log.lastIndex(stream) < state.baseIndex) log.release(stream, state.baseIndex)
  }

  async #startNew(stream: number, state: ReplicaState): Promise<PartitionReplica> {
    this.beginStream(stream, state)
    const replica = await this.#open(stream, state)
    this.activate(replica)
    return replica
  }

  async #open(stream: number, state: ReplicaState): Promise<PartitionReplica> {
    const { log, engine } = this
    const applied = Math.max(engine.applied(stream), state.baseIndex)
    this.beginStream(stream, state)
    const first = log.firstIndex(stream)
    let window: LogWindow | undefined =
      first <= state.baseIndex + 1 ? new LogWindow(state.baseIndex, state.baseTerm) : undefined
    const from = window === undefined ? first : state.baseIndex + 1
    const last = log.lastIndex(stream)
    if (from <= last)
      await log.read(stream, from, last, (record) => {
        if (window === undefined) window = new LogWindow(record.index, record.term)
        else window.append(fromLog(record.index, record.term, record.transactionId, new Uint8Array(record.payload)))
      })
    assert(window !== undefined, 'a log that begins later holds the entry it begins with')
    const replica = new PartitionReplica(this, stream, state, window, applied)
    // It is known from now on, but hears and applies nothing until the machine has read what it keeps of it.
    replica.installing = true
    this.#add(replica)
    if (state.initialized) await this.machine.opened(replica)
    replica.installing = false
    return replica
  }

  #add(replica: PartitionReplica): void {
    assert(!this.replicas.has(replica.partition.id), 'one replica of a partition on a node')
    this.replicas.set(replica.partition.id, replica)
    this.learnOwn(replica)
  }

  /** What this node knows of its own replica goes into its router; leaders tell the others. */
  learnOwn(replica: PartitionReplica): void {
    if (!replica.state.initialized) return
    const route = this.routeOf(replica)
    this.router.learn(route)
    if (replica.serving) this.#options.publish(route)
  }

  /** Leaders tell the others when a partition's size has changed a good deal: planners and placement count on it. */
  publishSizes(): void {
    for (const replica of this.replicas.values()) {
      if (!replica.serving) continue
      const known = this.router.find(replica.partition.start)
      const { bytes } = this.engine.estimate(spanOf(replica.partition))
      const change = Math.abs(bytes - (known?.bytes ?? 0))
      if (change > leastSizeChange && change > (known?.bytes ?? 0) / 5) this.learnOwn(replica)
    }
  }

  routeOf(replica: PartitionReplica): Route {
    const { partition, configuration } = replica.state
    const { voters, outgoing, learners } = configuration
    const { bytes, entries } = this.engine.estimate(spanOf(partition))
    return {
      partition,
      term: replica.raft.term,
      index: replica.applied,
      leader: replica.leaderNode,
      nodes: nodesOf([...voters, ...outgoing]),
      learners: nodesOf(learners),
      bytes,
      entries,
    }
  }

  learn(route: Route): void {
    const own = this.replicas.get(route.partition.id)
    if (own === undefined || !leadsAt(own, route)) this.router.learn(route)
    if (own !== undefined) this.#checkRemoved(own, route)
  }

  /** A replica that its group has removed need not hear of it: nobody sends to it any more. Routes say so. */
  #checkRemoved(replica: PartitionReplica, route: Route): void {
    if (!leadsAt(replica, route) && this.#isWithout(route, replica.id)) this.#removeSoon(replica)
  }

  /**
   * Whether the group has done without the replica: a route tells of what was applied, and behind the entry that a replica
   * comes from it is there until it is removed, never to come back under its id.
   */
  #isWithout({ index, nodes, learners }: Route, replica: number): boolean {
    return index >= entryOfReplica(replica) && !nodes.includes(this.nodeId) && !learners.includes(this.nodeId)
  }

  /** Takes a replica off this node for good; its span's data goes, and a tombstone stays. */
  async removeReplica(replica: PartitionReplica): Promise<void> {
    await replica.settled()
    // A cut that is known to be committed brings its right side, which lives on, and may have voted in a former life.
    await replica.replay()
    if (this.replicas.get(replica.partition.id) !== replica) return
    this.replicas.delete(replica.partition.id)
    this.#active.delete(replica)
    replica.close()
    this.machine.removed(replica)
    this.closed.forget(replica.partition.id)
    const { partition, initialized } = replica.state
    this.#tombstones.set(partition.id, replica.id)
    if (initialized) this.#leaving.add(partition)
    // What was cut off from it lives on, and its beginning is perhaps only in the log that nobody will read again.
    await this.engine.flush()
    const tombstone = new ByteWriter(8)
    tombstone.i64(replica.id)
    const key = new ByteWriter(13)
    key.raw(replicaStateKey(0))
    key.u32(partition.id)
    const set = new WriteSetBuilder()
    set.put(key.copy(), tombstone.copy())
    set.delete(replicaStateKey(replica.stream))
    await this.#node.write(set, this.clock.next())
    if (initialized && !this.#overlapsReplica(partition, replica))
      await this.engine.discard([spanOf(partition), addressedSpan(partition)])
    this.#leaving.delete(partition)
    this.log.forget(replica.stream)
    this.engine.forget(replica.stream)
    this.io.log.info('replica-removed', { partition: partition.id })
  }

  /** Whether another replica here holds part of the span, or is giving it up: then its data is not ours to replace. */
  overlaps(partition: PartitionDescriptor, except: PartitionReplica | undefined): boolean {
    for (const leaving of this.#leaving) if (overlap(leaving, partition)) return true
    return this.#overlapsReplica(partition, except)
  }

  #overlapsReplica(partition: PartitionDescriptor, except: PartitionReplica | undefined): boolean {
    for (const other of this.replicas.values())
      if (other !== except && other.state.initialized && overlap(other.partition, partition)) return true
    return false
  }

  // ---- entries that are the partition's own

  readonly #empty = new Uint8Array(12)

  applyNothing(replica: PartitionReplica, index: number): void {
    this.engine.apply(this.#empty, replica.stream, index)
  }

  applyConfiguration(replica: PartitionReplica, payload: Uint8Array, index: number): void {
    const configuration = decodeConfiguration(payload)
    replica.state = { ...replica.state, configuration }
    this.#applyStates([[replica.stream, replica.state]], replica.stream, index)
    replica.forgetLease()
    // Once it counts as applied: those that it leaves out are told by the route.
    microtask(() => {
      if (!replica.removed && !this.io.dead) this.learnOwn(replica)
    })
    const { voters, outgoing, learners } = configuration
    // A snapshot may be from before the entry that this replica comes from: configurations in between know nothing of it.
    const after = index > entryOfReplica(replica.id)
    if (after && ![...voters, ...outgoing, ...learners].includes(replica.id)) this.#removeSoon(replica)
  }

  #removeSoon(replica: PartitionReplica): void {
    // After the turn: the leader that was removed still tells the others that it is committed.
    this.io.tasks.after(heartbeatMs, () => {
      if (!this.#stopped && !this.io.dead)
        this.removeReplica(replica).catch((error) => this.io.fatal('a replica could not be removed', error))
    })
  }

  #applyStates(states: readonly (readonly [number, ReplicaState])[], stream: number, index: number): void {
    const set = new WriteSetBuilder()
    for (const [s, state] of states) set.put(replicaStateKey(s), encodeReplicaState(state))
    this.engine.apply(set.finish(this.clock.next()), stream, index)
  }

  /** Cuts a partition in two at a key; `done` hears of it. Nothing may be in flight in it: see PartitionMachine.quiescent. */
  proposeSplit(replica: PartitionReplica, key: Uint8Array, done: (outcome: Outcome) => void): boolean {
    const out = new ByteWriter(key.length + 16)
    out.u8(kindSplit)
    out.u32(replica.partition.generation)
    out.u32(this.#options.newId())
    out.block(key)
    replica.frozen = true
    const thaw = (outcome: Outcome) => {
      replica.frozen = false
      done(outcome)
    }
    if (replica.propose(out.copy(), 0, thaw, true)) return true
    replica.frozen = false
    return false
  }

  applySplit(left: PartitionReplica, payload: Uint8Array, index: number): unknown {
    const read = new ByteReader(payload, 1)
    const generation = read.u32()
    const id = read.u32()
    const key = read.block().slice()
    const { partition, configuration } = left.state
    if (generation !== partition.generation) {
      this.applyNothing(left, index)
      return undefined
    }
    const side = (replicas: readonly number[]) => replicas.map((r) => replicaOn(nodeOfReplica(r), birthIndex))
    const rightPartition = { id, start: key, end: partition.end, generation: generation + 1 }
    const right = this.#birth(rightPartition, replicaOn(this.nodeId, birthIndex), {
      voters: side(configuration.voters),
      outgoing: side(configuration.outgoing),
      learners: side(configuration.learners),
    })
    left.state = { ...left.state, partition: { ...partition, end: key, generation: generation + 1 } }
    // The right side's records come after this one: whoever finds them finds that the cut was committed.
    const { term, vote } = this.log.hardState(left.stream)
    this.log.saveHardState(left.stream, { term, vote, commit: index }, undefined)
    const exists = this.replicas.has(id) || this.#creating.has(id) || (this.#tombstones.get(id) ?? 0) >= right.replica
    this.#applyStates(
      exists
        ? [[left.stream, left.state]]
        : [
            [left.stream, left.state],
            [id, right],
          ],
      left.stream,
      index,
    )
    if (exists) this.machine.split(left, undefined)
    else this.#bornOfSplit(left, id, right)
    this.learnOwn(left)
    return id
  }

  #bornOfSplit(left: PartitionReplica, stream: number, state: ReplicaState): void {
    const again = this.log.hardState(stream).term > 0
    this.beginStream(stream, state)
    if (again) {
      this.machine.split(left, undefined)
      // A former life had come further than tables did: its log says how far.
      this.#open(stream, state)
        .then(async (replica) => {
          await replica.replay()
          this.activate(replica)
        })
        .catch((error) => this.io.fatal('a replica could not be opened', error))
      return
    }
    const window = new LogWindow(state.baseIndex, state.baseTerm)
    const right = new PartitionReplica(this, stream, state, window, state.baseIndex)
    this.#add(right)
    this.machine.split(left, right)
    this.activate(right)
    // The leader of the left side is the natural one of the right.
    if (left.raft.role !== 'leader') return
    const { term } = right.raft
    right.step({ type: messageTimeoutNow, from: right.id, to: right.id, term, ceiling: this.clock.last })
  }

  // ---- leases

  leaseAcquired(replica: PartitionReplica): void {
    this.machine.leaseAcquired(replica)
    this.learnOwn(replica)
  }

  leaseLost(replica: PartitionReplica): void {
    this.machine.leaseLost(replica)
    this.learnOwn(replica)
  }

  // ---- messages

  sendRaft(replica: PartitionReplica, message: Message): void {
    const out = new ByteWriter(64)
    out.u32(replica.partition.id)
    encodeMessage(out, message)
    this.transport.send(nodeOfReplica(message.to), channelRaft, out.copy())
  }

  #receiveRaft(from: number, bytes: Uint8Array): void {
    // Before all are opened a replica that is here would be taken for one that is to be made.
    if (!this.#opened || this.#stopped || this.io.dead) return
    const id = new ByteReader(bytes).u32()
    const message = decodeMessage(bytes.subarray(4))
    const replica = this.replicas.get(id)
    if (replica === undefined) {
      this.#unknown(id, from, message)
      return
    }
    if (replica.id !== message.to) {
      // A later replica of the group here: the one we hold was removed without our hearing of it. A leader of an earlier
      // term may have meant to add one and never did: ours may be younger than that.
      const later = message.to > replica.id && message.term >= replica.raft.term
      if (later && nodeOfReplica(message.to) === this.nodeId) this.#removeSoon(replica)
      return
    }
    replica.step(message)
  }

  /** A message for a replica that this node does not hold: perhaps it is to become one. */
  #unknown(id: number, from: number, message: Message): void {
    const wanted = message.to
    if (nodeOfReplica(wanted) !== this.nodeId || nodeOfReplica(message.from) !== from) return
    if (this.#creating.has(id) || (this.#tombstones.get(id) ?? 0) >= wanted) return
    // A leader speaks; or somebody wants to lead who cannot without us: where a snapshot has gone past the cut that the
    // partition came from, nobody has made our replica of it.
    const { type } = message
    const invites = type === messageAppend || type === messageSnapshotOffer || type === messageVote
    // Or the partition was cut off another one that has not come so far here.
    if (!invites || this.log.streams().includes(id)) return
    const route = this.router.routes.find((r) => r.partition.id === id)
    if (route === undefined || this.overlaps(route.partition, undefined) || this.#isWithout(route, wanted)) return
    this.#creating.add(id)
    const nobody: Configuration = { voters: [], outgoing: [], learners: [] }
    const partition = { id, start: firstKey, end: firstKey, generation: 0 }
    const state: ReplicaState = {
      partition,
      replica: wanted,
      configuration: nobody,
      baseIndex: 0,
      baseTerm: 0,
      initialized: false,
    }
    const stream = this.#options.newId()
    this.#writeState(stream, state)
      .then(() => this.#startNew(stream, state))
      .then(
        () => this.#creating.delete(id),
        (error) => this.io.fatal('a replica could not be made', error),
      )
  }

  #receiveLiveness(from: number, bytes: Uint8Array): void {
    if (this.#stopped || this.io.dead) return
    const answer = this.liveness.receive(from, bytes, (node) => this.#restarted(node))
    const news = bytes.subarray(livenessBytes(bytes))
    let acknowledged: Uint8Array | undefined
    if (news.length > 0 && isHeartbeat(bytes)) acknowledged = this.closed.receive(from, news)
    else if (news.length > 0) this.closings.acknowledge(from, news)
    if (answer !== undefined) this.transport.send(from, channelLiveness, joined(answer, acknowledged))
  }

  #outdated(): void {
    this.io.fatal(
      'the disk of this node holds less than it had made durable: was it restored from a backup? ' +
        'Take the node out of the cluster (lattice decommission) and join with an empty directory',
    )
  }

  #restarted(node: number): void {
    for (const replica of this.replicas.values()) {
      replica.forgetLease()
      const { voters, outgoing, learners } = replica.raft.configuration
      for (const r of new Set([...voters, ...outgoing, ...learners]))
        if (nodeOfReplica(r) === node) replica.raft.peerRestarted(r)
      replica.schedule()
    }
  }

  // ---- time

  #heartbeat(): void {
    if (this.#stopped || this.io.dead) return
    const jump = this.#clockWatch.jumpMicros()
    if (jump !== undefined) {
      const ms = Math.round(jump / 1000)
      this.io.fatal(`the wall clock was set by ${ms} ms: no timestamp of this node can be relied on`)
      return
    }
    this.closings.close((at) => this.#closable(at))
    this.closed.note({ wall: this.io.clock.wallMicros(), clock: this.clock.last })
    for (const peer of this.#options.peers()) {
      const message = joined(this.liveness.heartbeat(peer), this.closings.messageTo(peer))
      this.transport.send(peer, channelLiveness, message)
    }
    const lapsed = this.liveness.lapsed()
    if (lapsed.length > 0)
      for (const replica of this.replicas.values()) if (lapsed.includes(replica.leaderNode)) this.activate(replica)
    for (const replica of this.replicas.values())
      if (replica.raft.role === 'leader' && !replica.raft.leaseHolds()) this.activate(replica)
    this.#timers[0] = this.io.tasks.after(heartbeatMs, () => this.#heartbeat())
  }

  *#closable(at: Timestamp): Iterable<readonly [number, number]> {
    // Under the lease that covers the timestamp, as a read of the whole partition at it; the raft's own last index, for
    // proposals of this turn too.
    for (const [id, replica] of this.replicas) if (replica.holdsLease(at)) yield [id, replica.raft.lastIndex]
  }

  #readable(partition: number): PartitionReplica | undefined {
    const replica = this.replicas.get(partition)
    const whole = replica?.state.initialized && !replica.installing && !replica.removed
    return whole ? replica : undefined
  }

  /**
   * This node's replica of a partition and the timestamp up to which nothing will be added to what it has applied; undefined:
   * none. Holds for this very step.
   */
  closedHere(partition: number): { readonly replica: PartitionReplica; readonly at: Timestamp } | undefined {
    const replica = this.#readable(partition)
    return replica === undefined ? undefined : { replica, at: this.closed.closedAt(partition, replica.applied) }
  }

  #wakeAll(): void {
    for (const replica of this.replicas.values()) this.activate(replica)
  }

  /** Ticks the replica until nothing is outstanding in it. */
  activate(replica: PartitionReplica): void {
    this.#active.add(replica)
    if (this.#ticking || this.#stopped) return
    this.#ticking = true
    this.#timers[1] = this.io.tasks.after(tickMs, () => this.#tick())
  }

  #tick(): void {
    this.#ticking = false
    if (this.#stopped || this.io.dead) return
    for (const replica of [...this.#active]) {
      if (replica.removed || replica.raft.quiet) {
        this.#active.delete(replica)
        this.#orphans.delete(replica)
        continue
      }
      replica.tick()
      this.#checkOrphan(replica)
    }
    const next = this.#active.values().next().value
    if (next !== undefined) this.activate(next)
  }

  /** A replica that hears of no leader may have been removed while it was away. */
  #checkOrphan(replica: PartitionReplica): void {
    if (replica.raft.leader !== 0) {
      this.#orphans.delete(replica)
      return
    }
    const since = this.#orphans.get(replica) ?? this.now()
    this.#orphans.set(replica, since)
    if (this.now() - since < orphanMs * 1000) return
    this.#orphans.set(replica, this.now())
    const route = this.router.find(replica.partition.start)
    if (route?.partition.id === replica.partition.id) this.#checkRemoved(replica, route)
  }

  // ---- snapshots

  fetchSnapshot(
    replica: PartitionReplica,
    offer: { from: number; index: number; term: number; configuration: Configuration },
  ): void {
    this.#receiver.receive(replica, offer)
  }

  newStream(): number {
    return this.#options.newId()
  }

  /** Visits the newest version of every key of a span. */
  scan(span: Span, visit: (key: Uint8Array, value: Uint8Array) => void): Promise<void> {
    return visitAll(this.engine.cursor(span, maxTimestamp), visit)
  }

  /** Lets the log drop what is no longer needed. */
  reclaim(): void {
    for (const replica of this.replicas.values()) replica.reclaim(this.engine.flushed(replica.stream))
    this.#node.reclaim()
  }
}

/** Whether the replica knows better than the route: a leader that stood still is not told first that another one leads. */
function leadsAt(replica: PartitionReplica, route: Route): boolean {
  return replica.serving && route.term <= replica.raft.term
}

/** Nodes of replicas, each once, ascending. */
function nodesOf(replicas: readonly number[]): number[] {
  return [...new Set(replicas.map(nodeOfReplica))].sort((a, b) => a - b)
}

function joined(a: Uint8Array, b: Uint8Array | undefined): Uint8Array {
  if (b === undefined) return a
  const out = new Uint8Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}

export { decodeDescriptor, encodeDescriptor, nodeStream }
