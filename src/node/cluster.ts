/**
 * Builds a node of a cluster from the ground: identity, log, engine, peers, replicas, transactions.
 *
 *   directory lock ─► log, engine ─► identity (its own, or joined through a seed) ─► peer port ─► membership
 *                                                                                        └─► host ─► store
 *
 * Not here: SQL on top (database.ts), moving replicas (controller.ts), doors (node.ts).
 */
import { assert, DbError, HybridClock, type Timestamp, WAIT } from '../base/index.ts'
import {
  drawToken,
  IdentifierAllocator,
  IdentityFile,
  isPresent,
  type Locality,
  type Member,
  Membership,
} from '../cluster/index.ts'
import { ByteWriter } from '../encoding/index.ts'
import { type Io, readText, writeText } from '../io/index.ts'
import { decodeRoute, encodeRoute, Host } from '../replication/index.ts'
import { type CommitLog, openCommitLog, openEngine } from '../storage/index.ts'
import { ClusterStore, LockOwner, TransactionMachine } from '../transaction/index.ts'
import {
  type JoinOptions,
  type JoinReply,
  type JoinRequest,
  joinCluster,
  type PeerCertificates,
  PeerServer,
  type PeerTransport,
  type SeedAddress,
} from '../wire/index.ts'
import { Controller } from './controller.ts'
import { searchSeeds } from './seed-search.ts'
import type { OpenedStore } from './store.ts'

/** Object ids of users begin here, as in PostgreSQL; the first node owns them all. */
const identifiers = { first: 16_384, end: 0xffff_ff00 }
/** The id of a cluster's first node. */
const founder = 1
const housekeepingMs = 5_000
/** Of gossip: the oldest snapshot of each node that has an old one. */
const snapshotTopic = 'snapshot '
/** A node that was removed is talked to for so long. */
const forgetAfterMs = 10_000
/** Keys of the cluster itself: which token has which node id. */
const clusterStorage = 3
const peersFile = 'PEERS'
/** Transactions numbered out of one identifier. */
const transactionsPerIdentifier = 0x20_0000

export interface ClusterOptions {
  readonly io: Io
  readonly directory: string
  readonly peer: { readonly host: string; readonly port: number }
  /** Where other nodes reach it, when that is not where it listens. */
  readonly advertise?: { readonly host: string; readonly port: number }
  /** Members to join through; without any, and without an identity in the directory, a new cluster is made. */
  readonly seeds: readonly SeedAddress[]
  readonly locality: Locality
  /** The node id to ask for when joining; another one is given when it is taken. */
  readonly nodeId?: number
  readonly pg: { readonly host: string; readonly port: number }
  readonly httpPort: number
  readonly cacheBytes?: number
  /** Of a commit log segment. Default 16 MiB. */
  readonly segmentBytes?: number
  /** Of all segments, before what idle partitions pin is copied forward. Default 512 MiB. */
  readonly logBudgetBytes?: number
  /** Entries that a partition's log keeps for followers that were away. Default 1,000. */
  readonly keptEntries?: number
  /** Of a memtable's arena. Default 32 MiB. */
  readonly memtableBytes?: number
  readonly certificates?: PeerCertificates
  readonly insecure?: boolean
  /** How many copies of each partition the cluster keeps. Default 3. */
  readonly replicas?: number
  /** Several nodes of one host count as independent: for demos and tests. */
  readonly allowSameHost?: boolean
  /** Partitions above this are cut. Bytes. */
  readonly splitBytes?: number
}

export interface OpenedCluster extends OpenedStore {
  readonly store: ClusterStore
  readonly host: Host
  readonly membership: Membership
  readonly transport: PeerTransport
  readonly controller: Controller
  readonly identifiers: IdentifierAllocator
  readonly clusterId: string
  readonly peerPort: number
}

/** Raises what opening a store raises, and what a seed refuses with. */
export async function openCluster(options: ClusterOptions): Promise<OpenedCluster> {
  const { io, directory } = options
  await io.disk.makeDirectory(directory)
  const lock = await io.disk.lock(directory)
  const opened: (() => Promise<void>)[] = [() => lock.release()]
  try {
    return await new Opening(options, opened).open()
  } catch (error) {
    for (const close of opened.toReversed()) await close()
    throw error
  }
}

class Opening {
  readonly #options: ClusterOptions
  readonly #opened: (() => Promise<void>)[]
  #store: ClusterStore | undefined
  #allocator!: IdentifierAllocator
  #membership!: Membership
  #clusterId = ''

  constructor(options: ClusterOptions, opened: (() => Promise<void>)[]) {
    this.#options = options
    this.#opened = opened
  }

  async open(): Promise<OpenedCluster> {
    const { io, directory, cacheBytes, segmentBytes, memtableBytes, logBudgetBytes, keptEntries } = this.#options
    const log = await openCommitLog({ io, directory, segmentBytes, budgetBytes: logBudgetBytes })
    this.#opened.push(() => log.close())
    const engine = await openEngine({ io, directory, cacheBytes, memtableBytes })
    this.#opened.push(() => engine.close())
    const { file, known, fresh } = await this.#identify(log)
    const { identity } = file
    this.#clusterId = identity.clusterId
    this.#allocator = new IdentifierAllocator(file)
    await this.#allocator.ready()
    const transport = await this.#listen(identity)
    const clock = new HybridClock(() => io.clock.wallMicros(), engine.newestInTables)
    this.#membership = this.#startMembership(transport, identity, known)
    if (!fresh) this.#search(identity)
    const machine = new TransactionMachine(engine, clock, io)
    const host = new Host({
      io,
      log,
      engine,
      clock,
      transport,
      machine,
      keptEntries,
      incarnation: identity.incarnation,
      fresh: identity.incarnation === 1,
      newId: () => this.#newId(),
      peers: () => this.#peers(),
      publish: (route) =>
        this.#membership.publish(`partition ${route.partition.id}`, Buffer.from(encodeRoute(route)).toString('base64')),
    })
    this.#opened.push(() => host.close())
    const store = new ClusterStore({
      io,
      engine,
      host,
      machine,
      newTransactionId: this.#transactionIds(),
      isGone: (node) => node !== identity.nodeId && !this.#isPresent(node),
      roundTripMs: (node) => this.#membership.roundTripMs(node),
      snapshots: (own) => this.#exchangeSnapshots(own),
    })
    this.#opened.push(async () => store.stop())
    this.#follow(host, store, transport)
    await host.open()
    if (this.#founds(host, identity.nodeId, known, fresh)) await this.#begin(host, store, identity.token)
    this.#store = store
    this.#membership.change({ state: 'alive' })
    const controller = new Controller({ ...this.#options, host, membership: this.#membership })
    this.#opened.push(async () => controller.stop())
    const stopHousekeeping = this.#keepHouse(store, host)
    const close = async () => {
      stopHousekeeping()
      for (const close of this.#opened.toReversed()) await close()
    }
    const { port: peerPort } = transport
    return {
      store,
      engine,
      log,
      host,
      membership: this.#membership,
      transport,
      controller,
      identifiers: this.#allocator,
      clusterId: identity.clusterId,
      peerPort,
      close,
    }
  }

  /** Who we are: as the directory says, or new in a cluster, or the first of one. */
  async #identify(log: CommitLog): Promise<{ file: IdentityFile; known: readonly Member[]; fresh: boolean }> {
    const { io, directory, seeds, peer, locality, certificates, insecure } = this.#options
    const found = await IdentityFile.open(io, directory)
    if (found !== undefined) return { file: found, known: await this.#findPeers(found.identity), fresh: false }
    if (log.streams().length > 0) {
      const message = `the directory ${directory} holds the data of a node of its own, which is part of no cluster`
      throw new DbError('object_not_in_prerequisite_state', message, {
        hint: 'Start it without --peer and --join, or start with an empty directory and load a dump of the data.',
      })
    }
    const token = drawToken(io)
    if (seeds.length === 0) {
      const identity = { clusterId: drawToken(io), nodeId: founder, token, ranges: [identifiers] }
      return { file: await IdentityFile.create(io, directory, identity), known: [], fresh: true }
    }
    const attributes = { locality, node: this.#options.nodeId }
    const { host, port } = this.#options.advertise ?? peer
    const joining = { token, host, port, attributes, certificates, insecure }
    const { clusterId, nodeId, range, members } = await joinCluster(io, seeds, joining)
    if (range === undefined) throw new DbError('protocol_violation', 'the sponsor gave no identifiers')
    const file = await IdentityFile.create(io, directory, { clusterId, nodeId, token, ranges: [range] })
    io.log.info('joined-cluster', { cluster: clusterId, node: nodeId })
    return { file, known: members, fresh: true }
  }

  async #listen(identity: IdentityFile['identity']): Promise<PeerTransport> {
    const { io, peer, advertise, certificates, insecure } = this.#options
    const { host, port } = peer
    const join = (request: JoinRequest) => this.#sponsor(request)
    const transport = await PeerServer.start({ io, host, port, advertise, identity, certificates, insecure, join })
    this.#opened.push(() => transport.close())
    return transport
  }

  #startMembership(transport: PeerTransport, identity: IdentityFile['identity'], known: readonly Member[]): Membership {
    const { io, peer, advertise, pg, httpPort, locality } = this.#options
    const self: Member = {
      nodeId: identity.nodeId,
      incarnation: identity.incarnation,
      version: 1,
      state: 'joining',
      host: advertise?.host ?? peer.host,
      peerPort: advertise?.port ?? transport.port,
      pgHost: pg.host,
      pgPort: pg.port,
      httpPort,
      locality,
      protocol: 1,
      startedMicros: io.clock.wallMicros(),
    }
    const membership = Membership.start({ io, transport, self, known })
    membership.onExpelled((reason) =>
      io.fatal(
        reason === 'left' ? 'this node was removed from the cluster' : 'another start of this node took its place',
      ),
    )
    this.#opened.push(async () => membership.close())
    return membership
  }

  #newId(): number {
    const id = this.#allocator.next()
    assert(id !== undefined, 'identifiers are at hand')
    return id
  }

  #transactionIds(): () => number {
    let block = this.#newId()
    let count = 0
    return () => {
      if (count === transactionsPerIdentifier) {
        block = this.#newId()
        count = 0
      }
      return block * transactionsPerIdentifier + count++
    }
  }

  #peers(): number[] {
    const self = this.#membership.self.nodeId
    return this.#membership.present.map((m) => m.nodeId).filter((node) => node !== self)
  }

  #isPresent(node: number): boolean {
    const member = this.#membership.get(node)
    return member === undefined || isPresent(member)
  }

  /** What membership learns goes where it is needed. */
  #follow(host: Host, store: ClusterStore, transport: PeerTransport): void {
    const { io } = this.#options
    const learn = (value: unknown) => {
      if (typeof value === 'string') host.learn(decodeRoute(Buffer.from(value, 'base64')))
    }
    for (const { key, value } of this.#membership.infoEntries('partition ')) if (key) learn(value)
    this.#membership.onInfo(({ key, value }) => {
      if (key.startsWith('partition ')) learn(value)
    })
    this.#membership.onChange((member, previous) => {
      const restarted = previous !== undefined && member.incarnation > previous.incarnation
      if (restarted || !isPresent(member)) store.forgetNode(member.nodeId)
      // Not at once: it has to hear that it was removed.
      if (member.state === 'left') io.tasks.after(forgetAfterMs, () => transport.forget(member.nodeId))
    })
  }

  /** Whether the cluster begins here: now, or in a former life that ended before it had begun. */
  #founds(host: Host, nodeId: number, known: readonly Member[], fresh: boolean): boolean {
    if (this.#options.seeds.length > 0) return false
    if (fresh) return true
    const alone = [...host.replicas.values()].every((r) => r.nodes().every((node) => node === nodeId))
    return nodeId === founder && known.length === 0 && (host.unborn || (host.replicas.size > 0 && alone))
  }

  /** The first node of a cluster: the first partition, and our own id in the book; what is done of it stays. */
  async #begin(host: Host, store: ClusterStore, token: string): Promise<void> {
    if (host.unborn) await host.bootstrap()
    await this.#book(store, token, founder)
  }

  /** Takes a node in: a node id for good, half of our unused identifiers, whom we know. */
  async #sponsor({ token, certificateNode, attributes }: JoinRequest): Promise<JoinReply> {
    // Before this node serves: when all start at once, they have to find each other first.
    if (attributes.cluster !== undefined) return this.#recognize(attributes)
    const store = this.#store
    if (store === undefined)
      throw new DbError('cannot_connect_now', 'this node is starting', { hint: 'Try again in a moment.' })
    const asked = certificateNode ?? (Number.isSafeInteger(attributes.node) ? (attributes.node as number) : undefined)
    const nodeId = await this.#book(store, token, asked)
    if (certificateNode !== undefined && nodeId !== certificateNode) {
      throw new DbError('object_in_use', `node id ${certificateNode} belongs to another node`, {
        hint: 'Make a certificate for another id, or without one.',
      })
    }
    const range = await this.#allocator.split()
    return { clusterId: this.#clusterId, nodeId, range, members: this.#membership.members }
  }

  /** A node that was here before looks for the cluster: whom we know, if it is ours. */
  #recognize({ cluster, node }: JoinRequest['attributes']): JoinReply {
    const hint = 'Join with an empty directory.'
    if (cluster !== this.#clusterId) {
      const message = `its directory belongs to cluster ${cluster}, this is cluster ${this.#clusterId}`
      throw new DbError('object_not_in_prerequisite_state', message, { hint })
    }
    const nodeId = Number(node)
    if (this.#membership.get(nodeId)?.state === 'left')
      throw new DbError('object_not_in_prerequisite_state', `node ${nodeId} was removed from the cluster`, { hint })
    return { clusterId: this.#clusterId, nodeId, members: this.#membership.members }
  }

  /** The node id of a token, given now if it has none: the one that is asked for if it is free. */
  async #book(store: ClusterStore, token: string, asked: number | undefined): Promise<number> {
    for (;;) {
      const tx = store.begin(new LockOwner(0), 'serializable')
      try {
        tx.startStatement()
        const mine = clusterKey(`token ${token}`)
        const known = await this.#read(tx, mine)
        if (known !== undefined) {
          tx.rollback()
          return known
        }
        let id = asked ?? 1
        while ((await this.#read(tx, clusterKey(`node ${id}`))) !== undefined) id++
        tx.put(mine, Buffer.from(String(id)))
        tx.put(clusterKey(`node ${id}`), Buffer.from(String(id)))
        while (tx.commit() === WAIT) await tx.blocker!.ready()
        return id
      } catch (error) {
        if (!tx.ended) tx.rollback()
        if (!(error instanceof DbError) || !error.retryable) throw error
      }
    }
  }

  async #read(tx: ReturnType<ClusterStore['begin']>, key: Uint8Array): Promise<number | undefined> {
    let step = tx.get(key)
    while (step === WAIT) {
      await tx.blocker!.ready()
      step = tx.get(key)
    }
    if (step !== 1) return undefined
    const { slab, valueStart, valueEnd } = tx.found
    return Number(Buffer.from(slab.bytes.subarray(valueStart, valueEnd)).toString())
  }

  /** Where to find the cluster again: whom we knew, and whom the given members know. Raises what they refuse with. */
  async #findPeers(identity: IdentityFile['identity']): Promise<Member[]> {
    const { io, seeds } = this.#options
    const known = await this.#readPeers()
    if (seeds.length === 0) return known
    try {
      const { members } = await joinCluster(io, seeds, { ...this.#greeting(identity), timeoutMs: 0 })
      return [...members.filter((m) => m.nodeId !== identity.nodeId)]
    } catch (error) {
      // Nobody there, or nobody ready: perhaps all start at once.
      if (!(error instanceof DbError) || !error.retryable) throw error
      return known
    }
  }

  /** How a node that was here before says who it is. */
  #greeting({ clusterId, nodeId, token }: IdentityFile['identity']): JoinOptions {
    const { peer, advertise, certificates, insecure } = this.#options
    const { host, port } = advertise ?? peer
    return { token, host, port, attributes: { cluster: clusterId, node: nodeId }, certificates, insecure }
  }

  /** Goes on looking, while the node starts and serves, for seeds that were not there or did not know us. */
  #search(identity: IdentityFile['identity']): void {
    const { io, seeds } = this.#options
    const search = searchSeeds(
      io,
      seeds,
      this.#greeting(identity),
      (members) => this.#membership.learn(members),
      (error) => io.fatal(error.message, error),
    )
    this.#opened.push(async () => search.stop())
  }

  /** Whom we knew when we last ran. */
  async #readPeers(): Promise<Member[]> {
    const { io, directory } = this.#options
    const path = `${directory}/${peersFile}`
    if (!(await io.disk.list(directory)).includes(peersFile)) return []
    try {
      return JSON.parse(await readText(io, path)) as Member[]
    } catch {
      return []
    }
  }

  /** Snapshots that are kept for long are told by gossip, so that nobody collects what they see. */
  #exchangeSnapshots(own: Timestamp | undefined): Timestamp {
    const membership = this.#membership
    const ours = `${snapshotTopic}${membership.self.nodeId}`
    if (membership.info(ours) !== own) membership.publish(ours, own ?? null)
    let oldest = Number.POSITIVE_INFINITY
    for (const { key, value, node } of membership.infoEntries(snapshotTopic))
      if (key !== ours && typeof value === 'number' && this.#isPresent(node)) oldest = Math.min(oldest, value)
    return oldest
  }

  #keepHouse(store: ClusterStore, host: Host): () => void {
    const { io, directory } = this.#options
    let stopped = false
    let flushing = false
    let written = ''
    const tick = () => {
      if (stopped || io.dead) return
      store.collect()
      if (!flushing && host.log.laggards().length > 0) {
        flushing = true
        host.engine.flush().then(
          () => (flushing = false),
          (error) => io.fatal('flush failed', error),
        )
      }
      const peers = JSON.stringify(
        this.#membership.members.filter((m) => m.state !== 'left' && m.nodeId !== host.nodeId),
      )
      if (peers !== written) {
        written = peers
        writeText(io, `${directory}/${peersFile}`, peers).catch((error) =>
          io.log.warn('peers-not-written', { error: (error as Error).message }),
        )
      }
      timer = io.tasks.after(housekeepingMs, tick)
    }
    let timer = io.tasks.after(1_000, tick)
    return () => {
      stopped = true
      timer.cancel()
    }
  }
}

function clusterKey(name: string): Uint8Array {
  const out = new ByteWriter(64)
  out.u32(clusterStorage)
  out.utf8(name)
  return out.copy()
}
