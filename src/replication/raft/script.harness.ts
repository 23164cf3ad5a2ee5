/**
 * Golden scripts of a group: commands, and under each what it did, in one text file. UPDATE=1 writes what was printed.
 *
 *   # a comment
 *   > tick 1 10
 *     1→2 prevote term 1 log 0/0
 *
 *   group 1 2 3 [learners 4 5]      replicas with that configuration; `options name=value …` before it sets RaftOptions
 *   replica N [terms T …]           one more, with nothing, or with a log of entries of these terms, in the group's configuration
 *   tick N [count] · timeout N ticks · mayvote N yes|no
 *   settle · deliver A B [count] · drop A B|all · repeat A B        messages on the way: all until silence, of one pair, …
 *   cut A B|A · heal · withhold A B · crash N · start N
 *   slow N · fast N · durable N [count]                             whether Readys persist by themselves
 *   propose N text … · configure N 1 2 3 [learners 4] · transfer N to · read N token · unreachable N M
 *   cutlog N index · install N
 *   state [N …] · log [N …] · applied [N …] · lease N · pending
 *
 * What replicas report (reads, leadership) is printed when it happens, messages when they are put on the way.
 */
import { strict as assert } from 'node:assert'
import { readFileSync, writeFileSync } from 'node:fs'
import type { Configuration, Message, Proposal } from './index.ts'
import {
  entryData,
  messageAppend,
  messageAppendReply,
  messageTimeoutNow,
  messageVote,
  messageVoteReply,
} from './index.ts'
import { MemoryLog, Network, type Replica, text } from './network.harness.ts'

export function show(m: Message): string {
  const head = `${m.from}→${m.to}`
  if (m.type === messageAppend) {
    const entries = m.entries.map((e) => `${e.index}/${e.term}`).join(' ')
    return `${head} append term ${m.term} after ${m.prevIndex}/${m.prevTerm} [${entries}] commit ${m.commit} round ${m.round}`
  }
  if (m.type === messageAppendReply) {
    const what = m.reject ? `reject ${m.index} hint ${m.hintIndex}/${m.hintTerm}` : `ack ${m.index}`
    return `${head} ${what} term ${m.term} commit ${m.commit} round ${m.round}`
  }
  if (m.type === messageVote)
    return `${head} ${m.pre ? 'prevote' : 'vote'} term ${m.term} log ${m.lastIndex}/${m.lastTerm}${m.transfer ? ' transfer' : ''}`
  if (m.type === messageVoteReply) {
    const what = `${m.granted ? 'grants' : 'refuses'} ${m.pre ? 'prevote' : 'vote'}`
    return `${head} ${what} term ${m.term}${m.granted && !m.pre ? ` ceiling ${m.ceiling}` : ''}`
  }
  if (m.type === messageTimeoutNow) return `${head} timeout now term ${m.term} ceiling ${m.ceiling}`
  return `${head} offers a snapshot at ${m.index}/${m.indexTerm} term ${m.term}`
}

function members(words: readonly string[]): Configuration {
  const at = words.indexOf('learners')
  const ids = (list: readonly string[]) => list.map(Number)
  return {
    voters: ids(at < 0 ? words : words.slice(0, at)),
    outgoing: [],
    learners: at < 0 ? [] : ids(words.slice(at + 1)),
  }
}

class Script {
  network = new Network()
  configuration: Configuration = { voters: [], outgoing: [], learners: [] }
  #printed: string[] = []
  #seen = 0

  run(line: string): string[] {
    const [name, ...words] = line.split(/\s+/)
    this.#printed = []
    const command = this.commands[name]
    assert.ok(command, `no command ${name}`)
    command(words)
    this.#observe()
    return this.#printed
  }

  /** Takes what became ready, and prints what is new on the way and what replicas say. */
  #observe(): void {
    for (const r of this.network.replicas.values()) if (r.up) r.drive()
    for (const r of this.network.replicas.values())
      for (const event of r.events.splice(0)) this.#printed.push(`${r.id} ${event}`)
    const { messages } = this.network
    for (const m of messages.slice(this.#seen)) this.#printed.push(show(m))
    this.#seen = messages.length
  }

  #take(index: number): Message {
    this.#seen--
    return this.network.messages.splice(index, 1)[0]
  }

  #deliver(m: Message): void {
    if (!this.network.deliver(m)) this.#printed.push(`lost: ${show(m)}`)
    this.#observe()
  }

  #at(word: string): Replica {
    return this.network.at(Number(word))
  }

  #those(words: readonly string[]): Replica[] {
    return words.length > 0 ? words.map((w) => this.#at(w)) : [...this.network.replicas.values()]
  }

  readonly commands: Record<string, (words: string[]) => void> = {
    options: (words) => {
      this.network = new Network(Object.fromEntries(words.map((w) => [w.split('=')[0], Number(w.split('=')[1])])))
    },
    group: (words) => {
      this.configuration = members(words)
      for (const id of [...this.configuration.voters, ...this.configuration.learners])
        this.network.add(id, this.configuration)
    },
    voters: (words) => {
      this.configuration = members(words)
    },
    replica: ([id, , ...terms]) => {
      const log = new MemoryLog()
      log.append(
        terms.map((t, i) => ({
          index: i + 1,
          term: Number(t),
          kind: entryData,
          transactionId: 0,
          payload: Buffer.alloc(0),
        })),
      )
      const term = Number(terms.at(-1) ?? 0)
      if (terms.length === 0) this.network.add(Number(id))
      else this.network.add(Number(id), this.configuration, { log, hardState: { term, vote: 0, commit: 0 } })
    },
    tick: ([id, count = '1']) => {
      for (let i = 0; i < Number(count); i++) {
        this.#at(id).raft.tick()
        this.#observe()
      }
    },
    timeout: ([id, ticks]) => {
      this.#at(id).timeout = Number(ticks)
    },
    mayvote: ([id, yes]) => {
      this.#at(id).mayVote = yes === 'yes'
    },
    settle: () => {
      for (let left = 1000; this.network.messages.length > 0; left--) {
        assert.ok(left > 0, 'it settles')
        this.#deliver(this.#take(0))
      }
    },
    deliver: ([from, to, count = '1000']) => {
      for (let left = Number(count); left > 0; left--) {
        const index = this.network.messages.findIndex((m) => m.from === Number(from) && m.to === Number(to))
        if (index < 0) break
        this.#deliver(this.#take(index))
      }
    },
    repeat: ([from, to]) => {
      const m = this.network.messages.find((x) => x.from === Number(from) && x.to === Number(to))
      assert.ok(m)
      this.#deliver(m)
    },
    drop: ([from, to]) => {
      for (let i = this.network.messages.length - 1; i >= 0; i--) {
        const m = this.network.messages[i]
        if (from === 'all' || (m.from === Number(from) && m.to === Number(to))) this.#take(i)
      }
    },
    cut: ([a, b]) => {
      for (const other of this.network.replicas.keys())
        if (other !== Number(a) && (b === undefined || other === Number(b)))
          this.network.cuts.add(Number(a) < other ? `${a}-${other}` : `${other}-${a}`)
    },
    heal: () => {
      const { cuts, replicas, withheld } = this.network
      for (const pair of [...cuts, ...withheld]) {
        const [a, b] = pair.split('-').map(Number)
        cuts.delete(pair)
        withheld.delete(pair)
        // Support that lapsed begins anew.
        if (replicas.get(a)?.up && replicas.get(b)?.up) {
          this.network.at(a).raft.peerRestarted(b)
          this.network.at(b).raft.peerRestarted(a)
        }
      }
    },
    withhold: ([a, b]) => void this.network.withheld.add(`${a}-${b}`),
    crash: ([id]) => this.#at(id).crash(),
    start: ([id]) => this.#at(id).start(),
    slow: ([id]) => void (this.#at(id).fast = false),
    fast: ([id]) => {
      this.#at(id).fast = true
      this.#at(id).persist()
    },
    durable: ([id, count = '1000']) => this.#at(id).persist(Number(count)),
    propose: ([id, ...texts]) => {
      const entries = texts.map((t): Proposal => ({ kind: entryData, transactionId: 0, payload: Buffer.from(t) }))
      const index = this.#at(id).raft.propose(entries)
      this.#printed.push(index === undefined ? 'refused' : `at ${index}`)
    },
    configure: ([id, ...words]) => {
      const index = this.#at(id).raft.proposeConfiguration(members(words))
      this.#printed.push(index === undefined ? 'refused' : `at ${index}`)
    },
    transfer: ([id, to]) => void this.#printed.push(String(this.#at(id).raft.transferLeadership(Number(to)))),
    read: ([id, token]) => void this.#printed.push(String(this.#at(id).raft.readIndex(Number(token)))),
    unreachable: ([id, other]) => this.#at(id).raft.reportUnreachable(Number(other)),
    cutlog: ([id, index]) => this.#at(id).cut(Number(index)),
    install: ([id]) => {
      const { offer } = this.#at(id)
      const ok = this.#at(id).install()
      this.#printed.push(ok ? `installed, applied ${this.#at(id).applied.index}` : 'not wanted')
      const source = this.network.replicas.get(offer?.from ?? 0)
      source?.raft.reportSnapshot(Number(id), ok, this.#at(id).applied.index)
    },
    failinstall: ([id]) => {
      const { offer } = this.#at(id)
      this.network.replicas.get(offer?.from ?? 0)?.raft.reportSnapshot(Number(id), false, 0)
    },
    state: (words) => {
      for (const r of this.#those(words)) {
        if (!r.up) this.#printed.push(`${r.id}: down`)
        else this.#printed.push(...`${r.raft}${r.raft.quiet ? '\n  quiet' : ''}`.split('\n'))
      }
    },
    log: (words) => {
      for (const r of this.#those(words)) {
        const show = r.log.list.map(
          (e) =>
            `${e.index}/${e.term}${[' no-op', e.payload.length > 0 ? ` ${text(e)}` : '', ' configuration'][e.kind]}`,
        )
        this.#printed.push(
          `${r.id}: ${r.log.base > 0 ? `(cut at ${r.log.base}/${r.log.baseTerm}) ` : ''}${show.join(' ')}`,
        )
      }
    },
    applied: (words) => {
      for (const r of this.#those(words)) this.#printed.push(`${r.id}: ${r.applied.index} ${r.applied.texts.join(' ')}`)
    },
    lease: ([id]) => void this.#printed.push(`lease ${this.#at(id).raft.leaseHolds() ? 'holds' : 'does not hold'}`),
    pending: () => void this.#printed.push(`${this.network.messages.length} on the way`),
  }
}

/** The script with its outputs as they are now. */
export function play(source: string): string {
  const script = new Script()
  const out: string[] = []
  for (const line of source.split('\n')) {
    if (line.startsWith('> ')) {
      out.push(line)
      for (const printed of script.run(line.slice(2).trim())) out.push(`  ${printed}`)
    } else if (!line.startsWith('  ')) out.push(line)
  }
  return `${out.join('\n').trimEnd()}\n`
}

export function check(path: string): void {
  const expected = readFileSync(path, 'utf8')
  const actual = play(expected)
  if (process.env.UPDATE === '1') writeFileSync(path, actual)
  else assert.equal(actual, expected, `${path}: UPDATE=1 writes what is printed now`)
}
