/**
 * Bugs of what gateways share: catalogs, sequences, messages.
 */
import type { Plant } from '../plant.ts'

export const sqlPlants: readonly Plant[] = [
  {
    name: 'sequence-range-given-twice',
    breaks: 'a node gives out more values of a sequence than it has set aside',
    edits: [
      {
        file: 'sql/execute/sequences.ts',
        find: 'reserved = { last: first, called: false, reserved: last }',
        replace: 'reserved = { last: first, called: false, reserved: last + 4n }',
      },
    ],
    wishes: { nodes: 3, faults: ['kill'], workloads: ['sequences'] },
    guards: /^sequence-repeats/,
  },
  {
    name: 'schema-fence-ignored',
    breaks: 'writes planned on an older definition of a table are committed',
    edits: [
      {
        file: 'transaction/partitions/cluster-transaction.ts',
        find: 'const keys: KeyCheck[] = [...this.#required.values()]',
        replace: 'const keys: KeyCheck[] = []',
      },
    ],
    wishes: { nodes: 3, faults: ['exile'], workloads: ['schema'], pauseMs: 30 },
    seeds: [14, 83, 118],
    guards: /^(lost-write|index-differs|truncated-row)/,
  },
  {
    name: 'scanned-table-unchecked',
    breaks: 'an index is made of what a scan found, whatever a node that took no table lock has added since',
    edits: [
      {
        file: 'transaction/partitions/cluster-transaction.ts',
        find: 'of this.#relied) spans.push(',
        replace: 'of []) spans.push(',
      },
    ],
    wishes: {
      nodes: 3,
      faults: ['exile'],
      workloads: ['schema'],
      clients: 10,
      pauseMs: 30,
      delayMicros: [1_000, 20_000],
    },
    seeds: [10, 17],
    guards: /^index-differs/,
  },
  {
    name: 'first-of-several-changes',
    breaks:
      'other nodes learn the first of several changes that a transaction makes to a table: it has no primary key there',
    edits: [
      {
        file: 'sql/session/catalog-sync.ts',
        find: 'for (const change of changes) last.set(',
        replace: 'for (const change of changes.toReversed()) last.set(',
      },
    ],
    wishes: { nodes: 3, faults: ['kill'], workloads: ['orders'] },
    guards: /^(duplicate-key|index-differs|duplicate)/,
  },
  {
    name: 'waiting-expression-loses-its-row',
    breaks: 'a row whose expression had to wait for another node is not given out',
    edits: [
      { file: 'sql/plan/compile.ts', find: 'pg_advisory|pg_sleep|nextval|setval', replace: 'pg_advisory|pg_sleep' },
    ],
    wishes: { nodes: 3, faults: ['kill'], workloads: ['sequences'] },
    guards: /reading 'n'|^sequence/,
  },
  {
    name: 'unheard-notifications',
    breaks: 'notifications reach listeners at the gateway that said them only',
    edits: [
      {
        file: 'node/sql-cluster.ts',
        find: 'host.peers().map((node) =>',
        replace: "host.peers().filter(() => topic === 'catalog').map((node) =>",
      },
    ],
    wishes: { nodes: 3, faults: ['skew'], workloads: ['notify'] },
    guards: /^notifications-differ/,
  },
  {
    name: 'advisory-locks-by-node',
    breaks: 'every node grants advisory locks by itself',
    edits: [
      {
        file: 'node/advisory-locks.ts',
        find: 'if (host.replicaFor(place)?.holdsLease(host.clock.last) === true) return this.#nodeId',
        replace: 'if (place.length > 0) return this.#nodeId',
      },
    ],
    wishes: { nodes: 3, faults: ['skew'], workloads: ['advisory'] },
    guards: /^advisory-lock-shared/,
  },
  {
    name: 'parents-not-locked',
    breaks: 'the parent that a new child refers to is looked at and not locked: it may go meanwhile',
    edits: [
      {
        file: 'sql/execute/foreign-keys.ts',
        find: '    yield* lock(x, rowKey, forKeyShare)\n    const step = yield* latest(x, entry)',
        replace: '    const step = yield* latest(x, entry)',
      },
    ],
    wishes: { nodes: 3, isolation: 'read committed', faults: ['split', 'slow'], workloads: ['orders'], pauseMs: 20 },
    guards: /^orphan/,
  },
  {
    name: 'unique-keys-not-locked',
    breaks: 'nobody keeps the gap in which a new unique key goes: two may find it free',
    edits: [
      {
        file: 'sql/execute/row-writer.ts',
        find: '    while (x.tx.lockRow(key, forUpdate) === WAIT) {\n      x.blocker = x.tx.blocker\n      yield WAIT\n    }\n    for (;;) {',
        replace: '    for (;;) {',
      },
    ],
    wishes: { nodes: 3, isolation: 'read committed', faults: ['split', 'slow'], workloads: ['orders'], pauseMs: 20 },
    guards: /^(duplicate-key|index-differs)/,
  },
]
