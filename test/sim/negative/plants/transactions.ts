/**
 * Bugs of transactions: validation, prepares, outcomes.
 */
import type { Plant } from '../plant.ts'

const leaseholder = 'transaction/partitions/leaseholder.ts'
const machine = 'transaction/partitions/machine.ts'
const coordinator = 'transaction/partitions/coordinator.ts'
const store = 'transaction/partitions/cluster-store.ts'

/** Keys in many partitions, so that most transactions have several participants. */
const spread = { nodes: 3, keys: 6, pauseMs: 40 } as const

export const transactionPlants: readonly Plant[] = [
  {
    name: 'nothing-validated',
    breaks: 'commits do not look whether what they relied on has changed',
    edits: [
      {
        file: leaseholder,
        find: '    for (const text of own) {\n      const blocking = this.blocking(text, maxTimestamp, transaction)',
        replace:
          '    if (upTo > 0) return undefined\n    for (const text of own) {\n      const blocking = this.blocking(text, maxTimestamp, transaction)',
      },
    ],
    wishes: { ...spread, isolation: 'serializable', faults: ['transfer', 'kill'], workloads: ['lists', 'bank'] },
    guards: /^(G|lost-append|wrong-total)/,
  },
  {
    name: 'validation-before-prepare',
    breaks: 'reads are validated up to the prepare and not up to the commit timestamp',
    edits: [
      {
        file: coordinator,
        find: 'await allOf(shares.map((s) => validate(store, transaction, s, timestamp)))',
        replace: 'await allOf(shares.map((s) => validate(store, transaction, s, 0)))',
      },
    ],
    wishes: { ...spread, isolation: 'serializable', faults: ['split', 'transfer'], workloads: ['lists'] },
    seconds: 10,
    guards: /^G/,
  },
  {
    name: 'reads-ignore-prepares',
    breaks: 'a read goes past a prepared write below its timestamp',
    edits: [
      {
        file: leaseholder,
        find: '    if (this.machine.prepared.size > 0) {\n      const one = this.machine.prepared.blocking(',
        replace:
          '    if (this.machine.prepared.size > 0 && transaction !== 0) {\n      const one = this.machine.prepared.blocking(',
      },
      {
        file: leaseholder,
        find: '    if (prepared !== undefined) return prepared\n',
        replace: '    if (transaction !== 0 && prepared !== undefined) return prepared\n',
      },
    ],
    wishes: { ...spread, faults: ['split', 'slow', 'transfer'], workloads: ['lists', 'bank'] },
    guards: /^(G|lost-append|incompatible-order|wrong-total)/,
  },
  {
    name: 'reads-ignore-flights',
    breaks: 'a read goes past a write that is on its way to the log with a lower timestamp',
    edits: [
      {
        file: leaseholder,
        find: '    if (this.#inFlightKeys.size > 0) {\n      const one',
        replace: '    if (this.#inFlightKeys.size > 0 && transaction !== 0) {\n      const one',
      },
      {
        file: leaseholder,
        find: '    for (const one of this.#inFlight)\n      if (one.timestamp',
        replace: '    for (const one of this.#inFlight)\n      if (transaction !== 0 && one.timestamp',
      },
    ],
    wishes: { nodes: 3, faults: ['slow', 'slowDisk'], workloads: ['lists', 'bank'], keys: 4, pauseMs: 30 },
    guards: /^(G|lost-append|incompatible-order|wrong-total)/,
  },
  {
    name: 'fence-ignored',
    breaks: 'who gives a transaction up is told that it is aborted, and its prepare stays where it can still commit',
    edits: [
      {
        file: machine,
        find: 'if (known === undefined && state.prepared.has(transaction))\n      return this.#resolve(replica, transaction, 0, undefined, index)',
        replace:
          'if (known === undefined && state.prepared.has(transaction)) {\n      this.#engine.apply(this.#empty, replica.stream, index)\n      return 0\n    }',
      },
    ],
    // The gateway stands still between the prepares and the record, until others have given it up and not all have.
    wishes: { ...spread, faults: ['split', 'coma'], workloads: ['bank', 'lists'] },
    seeds: [3, 12],
    guards: /^(wrong-total|failed-write-visible|lost-append|G1)/,
  },
  {
    name: 'aborts-apply',
    breaks: 'the writes of an aborted transaction are applied',
    edits: [
      {
        file: machine,
        find: 'timestamp > 0 ? withRows(prepared.writes, ends, at) : ends.finish(at)',
        replace: 'withRows(prepared.writes, ends, at)',
      },
    ],
    wishes: { ...spread, faults: ['split', 'isolate'], workloads: ['bank', 'lists'] },
    guards: /^(failed-write-visible|wrong-total|G1a)/,
  },
  {
    name: 'record-forgotten-early',
    breaks: 'the commit record goes before the other participants are told',
    edits: [
      {
        file: coordinator,
        find: '  await Promise.all(participants.map((key) => routing.ask(resolveOperation, key, { transaction, timestamp, key })))\n  if (timestamp > 0) await routing.ask(forgetOperation, anchor, { transaction, anchor })',
        replace:
          '  if (timestamp > 0) await routing.ask(forgetOperation, anchor, { transaction, anchor })\n  if (participants.length > 99) await routing.ask(resolveOperation, anchor, { transaction, timestamp, key: anchor })',
      },
      {
        file: 'transaction/partitions/partition-state.ts',
        find: 'return this.records.get(transaction)?.timestamp ?? this.#recent.get(transaction)?.timestamp',
        replace:
          'return this.records.get(transaction)?.timestamp ?? (this.#recent.get(transaction)?.timestamp === 0 ? 0 : undefined)',
      },
    ],
    wishes: { ...spread, faults: ['split', 'crash'], workloads: ['bank', 'lists'] },
    guards: /^(lost-write|wrong-total|lost-append)/,
  },
  {
    name: 'outcomes-forgotten',
    breaks: 'nobody remembers what became of a transaction: asked again, it is aborted',
    edits: [
      {
        file: 'transaction/partitions/partition-state.ts',
        find: 'this.#recent.set(transaction, { timestamp, index })\n    for',
        replace: 'for',
      },
    ],
    wishes: { nodes: 3, faults: ['crash', 'isolate', 'slow'], workloads: ['bank', 'orders'], pauseMs: 40 },
    guards: /^(failed-write-visible|duplicate|wrong-total)/,
  },
  {
    name: 'repeated-commits',
    breaks: 'a commit whose answer was lost is made again without asking what became of it',
    edits: [
      {
        file: coordinator,
        find: 'return await settle(store, transaction, key)\n',
        replace: 'return transaction * 0\n',
      },
    ],
    wishes: { nodes: 3, faults: ['isolate', 'crash', 'slow'], workloads: ['bank', 'orders', 'registers'], pauseMs: 40 },
    guards: /^(failed-write-visible|not-linearizable|duplicate)/,
  },
  {
    name: 'answered-unapplied',
    breaks: 'a proposal that was dropped is answered as applied',
    edits: [
      {
        file: 'replication/partitions/partition-replica.ts',
        find: "pending.done(pending.term === entry.term ? { kind: 'applied', result } : { kind: 'dropped' })",
        replace: "pending.done({ kind: 'applied', result })",
      },
    ],
    wishes: { nodes: 3, faults: ['isolate', 'cut', 'pause'], workloads: ['bank', 'orders', 'registers'], pauseMs: 40 },
    guards: /^(lost-write|not-linearizable|wrong-total)/,
  },
  {
    name: 'nobody-recovers',
    breaks: 'what a gateway that is gone has left prepared stays prepared',
    edits: [
      {
        file: store,
        find: 'if (outcome === undecided) return',
        replace: 'if (outcome <= Number.MAX_SAFE_INTEGER) return',
      },
    ],
    wishes: { ...spread, faults: ['split', 'crash', 'isolate'], workloads: ['bank', 'lists'] },
    seeds: [5, 10],
    guards: /^leftover/,
  },
  {
    name: 'locks-of-the-gone',
    breaks: 'locks stay whose release was lost, and those of nodes that are gone',
    edits: [
      { file: store, find: "this.#once('ended', () => this.#releaseEnded())", replace: '' },
      { file: store, find: '    this.leaseholder.forgetNode(node)\n', replace: '' },
    ],
    wishes: { nodes: 3, faults: ['isolate', 'crash'], workloads: ['bank', 'orders'], pauseMs: 30 },
    seeds: [6, 4],
    guards: /^(leftover|stuck)/,
  },
  {
    name: 'followers-ahead-of-their-log',
    breaks: 'a follower answers up to what is closed without having applied what was closed with it',
    edits: [
      {
        file: 'replication/partitions/host.ts',
        find: 'this.closed.closedAt(partition, replica.applied) }',
        replace: 'this.closed.closedAt(partition, Number.MAX_SAFE_INTEGER) }',
      },
    ],
    // One that comes back hears what is closed at once, and what it has missed bit by bit.
    wishes: { nodes: 3, pauseMs: 40, faults: ['crash', 'isolate', 'relapse'], workloads: ['past'] },
    seeds: [1, 15],
    guards: /^(torn-snapshot|too-stale)/,
  },
  {
    name: 'followers-ignore-prepares',
    breaks: 'a follower reads past what is prepared and may be committed below the snapshot',
    edits: [
      {
        file: 'transaction/partitions/follower-reads.ts',
        find: 'at = Math.min(at, timestamp - 1)',
        replace: 'at = Math.min(at, timestamp * 2)',
      },
      {
        file: 'transaction/partitions/follower-reads.ts',
        find: 'return this.#machine.prepared.blocking(text, at, 0)',
        replace: 'return this.#machine.prepared.blocking(text, at * 0, 0)',
      },
      {
        file: 'transaction/partitions/follower-reads.ts',
        find: 'return prepared.blockingSpan(start, end, at, 0)',
        replace: 'return prepared.blockingSpan(start, end, at * 0, 0)',
      },
    ],
    wishes: { ...spread, faults: ['split', 'slow', 'transfer'], workloads: ['past'] },
    guards: /^torn-snapshot/,
  },
  {
    name: 'prepares-in-chunks-block-nobody',
    breaks: 'a read goes past what chunks hold and a prepare names',
    edits: [
      {
        file: 'transaction/partitions/prepared-keys.ts',
        find: 'large.timestamp <= at && large.transaction !== transaction && large.chunked!.has(text)',
        replace: 'transaction !== 0 && large.transaction !== transaction && large.chunked!.has(text)',
      },
      {
        file: 'transaction/partitions/prepared-keys.ts',
        find: 'large.timestamp <= at && large.transaction !== transaction && large.chunked!.overlaps(start, end)',
        replace: 'transaction !== 0 && large.transaction !== transaction && large.chunked!.overlaps(start, end)',
      },
    ],
    wishes: { ...spread, largeBytes: 50, faults: ['split', 'slow', 'transfer'], workloads: ['lists', 'bank'] },
    guards: /^(G|lost-append|incompatible-order|wrong-total)/,
  },
  {
    name: 'chunks-go-without-their-rows',
    breaks: 'a prepare that names chunks is committed without making all of their rows visible',
    edits: [
      {
        file: 'transaction/partitions/machine.ts',
        find: 'for (let number = 0; number < chunked.parts.size; number++) {',
        replace: 'for (let number = 0; number < Math.min(1, chunked.parts.size); number++) {',
      },
      {
        file: 'transaction/partitions/machine.ts',
        find: "assert(at + end.length === length, 'chunks are as long as they were')\n    return out",
        replace: 'out.writeUInt32BE(new WriteSetReader(out).count, 8)\n    return out.subarray(0, at + end.length)',
      },
    ],
    wishes: { ...spread, largeBytes: 2_000, faults: ['split', 'transfer'], workloads: ['large', 'bank'] },
    guards: /^(torn-transaction|lost-write|failure|fatal)/,
  },
]
