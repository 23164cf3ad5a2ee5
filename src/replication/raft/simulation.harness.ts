/**
 * Random runs of a group: messages are lost, doubled and reordered, disks are slow, replicas crash and lose what was not
 * durable, links break, voters change, logs are cut. Four properties of the paper's figure 3 are checked at every step, and
 * that a lease excludes later leaders and a read index covers what was committed before. In the end everything heals and
 * the group must become whole and quiet.
 *
 * Promises between nodes are simulated too, in steps instead of microseconds: a promise carries its end; who restarts
 * forgets its promises and keeps silent for as long as one may last.
 */
import { strict as assert } from 'node:assert'
import {
  type Entry,
  entryData,
  type Message,
  messageAppend,
  messageAppendReply,
  messageVoteReply,
  replicasOf,
} from './index.ts'
import { Network, type Replica, text } from './network.harness.ts'

export class Dice {
  #state: number
  constructor(seed: number) {
    this.#state = (seed * 2654435761) >>> 0
  }
  /** An integer in [0, n). */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % n
  }
  chance(percent: number): boolean {
    return this.below(100) < percent
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]
  }
}

const lease = 150

interface Support {
  readonly from: number
  readonly to: number
  readonly incarnation: number
  readonly epoch: number
  readonly until: number
}

/** Support between nodes: what each has promised, and what it knows of others' promises. */
class Promises {
  now = 0
  readonly onWay: Support[] = []
  readonly #given = new Map<string, { epoch: number; until: number }>()
  readonly #heard = new Map<string, Support>()
  readonly #incarnation = new Map<number, number>()
  readonly #silentUntil = new Map<number, number>()

  supporting(node: number, other: number): boolean {
    return (this.#given.get(`${node}-${other}`)?.until ?? 0) > this.now
  }
  supportedBy(node: number, other: number): boolean {
    return (this.#heard.get(`${node}-${other}`)?.until ?? 0) > this.now
  }
  mayVote(node: number): boolean {
    return (this.#silentUntil.get(node) ?? 0) <= this.now
  }

  give(from: number, to: number): void {
    const key = `${from}-${to}`
    const last = this.#given.get(key)
    const epoch = last === undefined ? 1 : last.until > this.now ? last.epoch : last.epoch + 1
    const until = this.now + lease
    this.#given.set(key, { epoch, until })
    this.onWay.push({ from, to, incarnation: this.#incarnation.get(from) ?? 0, epoch, until })
  }

  /** True when it is another promise than the one known so far. */
  hear(p: Support): boolean {
    const key = `${p.to}-${p.from}`
    const known = this.#heard.get(key)
    if (known !== undefined) {
      const older = p.incarnation < known.incarnation || (p.incarnation === known.incarnation && p.until <= known.until)
      if (older) return false
    }
    this.#heard.set(key, p)
    return (
      known === undefined || known.incarnation !== p.incarnation || known.epoch !== p.epoch || known.until <= this.now
    )
  }

  restart(node: number): void {
    this.#incarnation.set(node, (this.#incarnation.get(node) ?? 0) + 1)
    this.#silentUntil.set(node, this.now + lease)
    for (const key of [...this.#given.keys(), ...this.#heard.keys()])
      if (key.startsWith(`${node}-`)) {
        this.#given.delete(key)
        this.#heard.delete(key)
      }
  }
}

class Checks {
  readonly #leaders = new Map<number, number>()
  readonly #entries = new Map<string, string>()
  readonly #committed: { term: number; text: string }[] = []
  readonly #network: Network

  constructor(network: Network) {
    this.#network = network
  }

  /** The highest index that anybody has applied. */
  get committed(): number {
    return this.#committed.length
  }

  /**
   * Log matching: an entry's place and term decide what it and all before it are. Of what is durable or has left; what a
   * lone voter loses in a crash before, nobody has seen.
   */
  appended(id: number, entries: readonly Entry[], prevTerm: number | undefined): void {
    for (const e of entries) {
      const what = `${prevTerm} ${e.kind} ${text(e)}`
      const known = this.#entries.get(`${e.index}/${e.term}`)
      assert.ok(known === undefined || known === what, `log matching: ${e.index}/${e.term} on ${id}`)
      this.#entries.set(`${e.index}/${e.term}`, what)
      prevTerm = e.term
    }
  }

  /** Election safety: all appends of a term come from one leader. */
  sent(m: Message): void {
    if (m.type !== messageAppend) return
    const known = this.#leaders.get(m.term)
    assert.ok(known === undefined || known === m.from, `election safety: ${known} and ${m.from} lead ${m.term}`)
    this.#leaders.set(m.term, m.from)
    this.appended(m.from, m.entries, m.prevTerm)
  }

  /** State machine safety: nobody applies another entry at an index. */
  applied(replica: Replica, e: Entry): void {
    const known = this.#committed[e.index - 1]
    const what = { term: e.term, text: `${e.kind} ${text(e)}` }
    if (known === undefined) {
      assert.equal(e.index, this.#committed.length + 1)
      this.#committed.push(what)
    } else assert.deepEqual(what, known, `state machine safety: ${e.index} on ${replica.id}`)
  }

  /** Leader completeness: who leads has everything that was committed. */
  leads(replica: Replica): void {
    for (let i = replica.log.base + 1; i <= this.#committed.length; i++)
      assert.equal(replica.log.term(i), this.#committed[i - 1].term, `leader completeness: ${i} on ${replica.id}`)
  }

  leases(): void {
    for (const a of this.#network.replicas.values()) {
      if (!a.up || !a.raft.leaseHolds()) continue
      for (const b of this.#network.replicas.values())
        if (b.up && b.raft.role === 'leader')
          assert.ok(b.raft.term <= a.raft.term, `lease: ${a.id} of term ${a.raft.term}, ${b.id} of ${b.raft.term}`)
    }
  }
}

export class Simulation {
  readonly network: Network
  readonly checks: Checks
  readonly #dice: Dice
  readonly #promises = new Promises()
  readonly #ids: number[]
  /** Ids are not used twice. */
  readonly #gone = new Set<number>()
  readonly #reads = new Map<number, number>()
  #proposed = 0
  /**
   * Plain Raft without promises: timers run all the time, a restarted replica votes at once, crashes and elections follow
   * each other. Leases mean nothing then.
   */
  #storm: boolean
  get storming(): boolean {
    return this.#storm
  }
  /** For a while, promises or messages hardly get through while the others do. */
  #promiseLoss = 0
  #doomed = 0
  #messageLoss = 4

  constructor(seed: number) {
    const dice = new Dice(seed)
    this.#dice = dice
    this.#storm = dice.chance(50)
    const narrow = { maxMessageBytes: dice.pick([1, 70]), maxInflightBytes: 200, maxUncommittedBytes: 400 }
    this.network = new Network(dice.chance(40) ? {} : narrow)
    this.checks = new Checks(this.network)
    const { network, checks } = this
    network.electionTimeout = () => (this.#storm ? 2 + dice.below(5) : 5 + dice.below(10))
    const promises = this.#promises
    network.liveness = (id) => ({
      supporting: (other) => !this.#storm && promises.supporting(id, other),
      supportedBy: (other) => other === id || this.#storm || promises.supportedBy(id, other),
      mayVote: () => this.#storm || promises.mayVote(id),
    })
    network.applied = (replica, entry) => checks.applied(replica, entry)
    network.sending = (m) => {
      checks.sent(m)
      // A crash is most telling right after a vote or an acknowledgement has left.
      const telling =
        m.type === messageVoteReply ? m.granted && !m.pre : m.type === messageAppendReply && dice.chance(10)
      if (this.#storm && telling && dice.chance(50)) this.#doomed = m.from
    }
    network.persisted = (replica, { entries }) => {
      if (entries.length > 0) checks.appended(replica.id, entries, replica.disk.log.term(entries[0].index - 1))
    }
    network.taken = (replica, ready) => {
      if (ready.becameLeader && replica.raft.role === 'leader') checks.leads(replica)
      for (const { token, index } of ready.reads)
        assert.ok(index >= this.#reads.get(token)!, `read index ${index} on ${replica.id}`)
    }
    const voters = dice.pick([1, 2, 3, 3, 3, 4, 5, 5])
    this.#ids = Array.from({ length: voters + 3 }, (_, i) => i + 1)
    const configuration = { voters: this.#ids.slice(0, voters), outgoing: [], learners: [] }
    for (const id of this.#ids) {
      const replica = network.add(id, id <= voters ? configuration : undefined)
      replica.fast = dice.chance(50)
    }
  }

  run(steps: number): void {
    for (let i = 0; i < steps; i++) {
      this.#promises.now++
      if (this.#storm) this.#outburst(this.#dice.below(1000))
      else this.#event(this.#dice.below(1000))
      for (const r of this.network.replicas.values()) if (r.up) r.drive()
      if (!this.#storm) this.checks.leases()
    }
  }

  #outburst(roll: number): void {
    const { network } = this
    const replica = network.at(this.#dice.pick(this.#dice.chance(90) ? this.#ids.slice(0, -3) : this.#ids))
    if (roll < 600) for (let i = this.#dice.below(3); i >= 0; i--) this.#message()
    else if (!replica.up) {
      if (this.#dice.chance(60)) this.#restart(replica)
    } else if (roll < 780) replica.raft.tick()
    else if (roll < 850) replica.persist(1 + this.#dice.below(3))
    else if (roll < 880) this.#propose(this.#leader() ?? replica)
    else if (roll < 895) replica.crash()
    else if (roll < 910) this.#leader()?.crash()
    else if (roll < 940 && this.#doomed !== 0) {
      const doomed = network.at(this.#doomed)
      this.#doomed = 0
      doomed.crash()
      this.#restart(doomed)
    } else if (roll < 950)
      for (const r of network.replicas.values())
        if (r.up && this.#dice.chance(50)) r.raft.campaign()
        else this.#event(roll)
  }

  #event(roll: number): void {
    const { network } = this
    let replica = network.at(this.#dice.pick(this.#ids))
    if (roll >= 860 && roll < 976 && this.#dice.chance(70)) replica = this.#leader() ?? replica
    if (roll < 500) for (let i = this.#dice.below(6); i >= 0; i--) this.#message()
    else if (roll < 640) this.#hearPromise()
    else if (roll < 740) this.#givePromises(replica)
    else if (!replica.up) {
      if (this.#dice.chance(15)) this.#restart(replica)
    } else if (roll < 860) {
      // Some time passes, for all or for one.
      for (const r of network.replicas.values()) if (r.up && (r === replica || roll < 800)) r.raft.tick()
    } else if (roll < 900) this.#propose(replica)
    else if (roll < 950) replica.persist(1 + this.#dice.below(4))
    else if (roll < 962) this.#read(replica)
    else if (roll < 968) replica.raft.transferLeadership(this.#dice.pick(this.#ids))
    else if (roll < 976) this.#configure(replica)
    else if (roll < 984) replica.cut(this.#dice.below(replica.disk.applied.index + 1))
    else if (roll < 990) replica.install()
    else if (roll < 995) this.#links()
    else if (roll < 996) this.#promiseLoss = this.#dice.pick([0, 0, 90])
    else if (roll < 997) this.#messageLoss = this.#dice.pick([4, 4, 80])
    else if (roll < 998) replica.fast = !replica.fast
    else replica.crash()
  }

  #message(): void {
    const { messages } = this.network
    if (messages.length === 0) return
    // Mostly old ones first, sometimes any.
    const at = this.#dice.below(this.#dice.chance(80) ? Math.min(3, messages.length) : messages.length)
    const m = messages[at]
    if (!this.#dice.chance(5)) messages.splice(at, 1)
    if (!this.#dice.chance(this.#messageLoss)) this.network.deliver(m)
  }

  #givePromises(replica: Replica): void {
    if (!replica.up) return
    for (const other of this.#ids) if (other !== replica.id) this.#promises.give(replica.id, other)
  }

  #hearPromise(): void {
    for (let i = 0; i < 8; i++) {
      const { onWay } = this.#promises
      if (onWay.length === 0) return
      const [p] = onWay.splice(this.#dice.below(Math.min(6, onWay.length)), 1)
      const to = this.network.at(p.to)
      if (!to.up || !this.network.connected(p.from, p.to) || this.#dice.chance(this.#promiseLoss)) continue
      if (this.#promises.hear(p)) to.raft.peerRestarted(p.from)
    }
  }

  #propose(replica: Replica): void {
    const count = 1 + this.#dice.below(3)
    const entries = Array.from({ length: count }, () => ({
      kind: entryData as 1,
      transactionId: 0,
      payload: Buffer.from(`${++this.#proposed}`),
    }))
    replica.raft.propose(entries)
  }

  #read(replica: Replica): void {
    const token = this.#reads.size + 1
    this.#reads.set(token, this.checks.committed)
    replica.raft.readIndex(token)
  }

  #configure(replica: Replica): void {
    const { voters, learners } = replica.raft.configuration
    const next = new Map<number, 'voter' | 'learner'>()
    for (const id of voters) next.set(id, 'voter')
    for (const id of learners) next.set(id, 'learner')
    for (let i = 1 + this.#dice.below(2); i > 0; i--) {
      const id = this.#dice.pick(this.#ids)
      if (this.#gone.has(id)) continue
      const fate = this.#dice.below(3)
      if (fate === 0 && next.has(id)) next.delete(id)
      else next.set(id, fate === 1 ? 'voter' : 'learner')
    }
    const of = (kind: string) => [...next].filter(([, k]) => k === kind).map(([id]) => id)
    if (of('voter').length === 0 || replica.raft.role !== 'leader') return
    const before = replica.raft.configuration
    if (replica.raft.proposeConfiguration({ voters: of('voter'), learners: of('learner') }) === undefined) return
    for (const id of replicasOf(before)) if (!next.has(id)) this.#gone.add(id)
  }

  #links(): void {
    const { cuts } = this.network
    if (cuts.size > 0 && this.#dice.chance(60)) cuts.clear()
    else {
      const a = this.#dice.pick(this.#ids)
      for (const b of this.#ids) if (b !== a && this.#dice.chance(60)) cuts.add(a < b ? `${a}-${b}` : `${b}-${a}`)
    }
  }

  #restart(replica: Replica): void {
    this.#promises.restart(replica.id)
    replica.start()
  }

  /** No more faults: the group becomes whole, takes a proposal, and then says nothing more. */
  heal(): void {
    const { network } = this
    network.cuts.clear()
    this.#storm = false
    for (const id of this.#ids) {
      const replica = network.at(id)
      if (!replica.up) this.#restart(replica)
      replica.fast = true
      replica.persist()
    }
    let text = ''
    for (let round = 0; round < 400; round++) {
      this.#promises.now++
      if (round % 20 === 0) for (const id of this.#ids) this.#givePromises(network.at(id))
      for (const p of this.#promises.onWay.splice(0))
        if (this.#promises.hear(p)) network.at(p.to).raft.peerRestarted(p.from)
      for (const id of this.#ids) {
        const r = network.at(id)
        if (r.offer !== undefined) r.install()
        if (!r.raft.quiet) r.raft.tick()
        r.drive()
      }
      for (let left = 2000; network.messages.length > 0; left--) {
        assert.ok(left > 0, 'messages come to an end')
        network.deliver(network.messages.shift()!)
        this.checks.leases()
      }
      const leader = this.#leader()
      if (text === '' && round > 200 && leader?.raft.transferring === 0) {
        text = `last ${++this.#proposed}`
        const at = leader.raft.propose([{ kind: entryData, transactionId: 0, payload: Buffer.from(text) }])
        if (at === undefined) text = ''
      }
    }
    const leader = this.#leader()
    assert.ok(leader !== undefined, 'somebody leads')
    for (const id of replicasOf(leader.raft.configuration)) {
      const r = network.at(id)
      assert.equal(r.applied.texts.at(-1), text, `${r.raft}`)
      assert.ok(r.raft.quiet, `quiet: ${r.raft}`)
    }
    assert.ok(leader.raft.leaseHolds(), 'the lease holds')
  }

  #leader(): Replica | undefined {
    let best: Replica | undefined
    for (const r of this.network.replicas.values())
      if (r.up && r.raft.role === 'leader' && (best === undefined || r.raft.term > best.raft.term)) best = r
    return best
  }
}

export function simulate(seed: number, steps = 1500): void {
  const simulation = new Simulation(seed)
  simulation.run(steps)
  simulation.heal()
}
