/**
 * Isolation of transactions, told from lists that they append to and read: Elle (Kingsbury and Alvaro, 2020) for the
 * anomalies of Adya (1999).
 *
 *   lists that were read → order of versions of each key → who depends on whom → cycles, by the edges that they need
 *
 *   G0   ww                     G1a  read of what failed      G-single   one rw      lost-update  one rw, one ww, one key
 *   G1c  ww, wr                 G1b  read of what was half    G-nonadjacent  several rw, no two in a row
 *                                                             G2-item    any number of rw
 *   session, realtime           cycles that need the order of a client or of the clock
 *
 * Not here: what a single transaction or key shows (list-history.ts), predicates.
 */
import type { Violation } from '../history.ts'
import { DependencyGraph, type Edge, rt, rw, session, wr, ww } from './dependency-graph.ts'
import { factsOf, type ListFacts, type ListTransaction } from './list-history.ts'

export type { ListStep, ListTransaction } from './list-history.ts'

export type Level = 'read committed' | 'repeatable read' | 'serializable' | 'strict serializable'

/** Repeatable read means snapshot isolation, as in PostgreSQL. */
const forbidden: Record<Level, readonly string[]> = {
  'read committed': [
    'internal',
    'duplicate',
    'invented',
    'incompatible-order',
    'lost-append',
    'G0',
    'G1a',
    'G1b',
    'G1c',
  ],
  'repeatable read': ['non-repeatable-read', 'G-single', 'G-nonadjacent', 'lost-update'],
  serializable: ['G2-item'],
  'strict serializable': ['session', 'realtime'],
}
const levels: readonly Level[] = ['read committed', 'repeatable read', 'serializable', 'strict serializable']

/** What a level forbids, of all that the history shows. */
export function checkListAppend(history: readonly ListTransaction[], level: Level): Violation[] {
  const kinds = new Set(levels.slice(0, levels.indexOf(level) + 1).flatMap((l) => forbidden[l]))
  return anomaliesOf(history).filter(({ kind }) => kinds.has(kind))
}

/** Everything out of order, whether a level forbids it or not; of each tangle of transactions one cycle of each class. */
export function anomaliesOf(history: readonly ListTransaction[]): Violation[] {
  const facts = factsOf(history)
  const happened = history.filter((t) => t.status === 'ok' || (t.status === 'unknown' && wasSeen(t, facts)))
  const graph = graphOf(happened, facts)
  return [...facts.violations, ...cyclesOf(graph, happened)]
}

/** Whether somebody read what a transaction of unknown outcome appended: then it did happen. */
function wasSeen({ steps }: ListTransaction, { keys }: ListFacts): boolean {
  return steps.some((step) => step.kind === 'append' && keys.get(step.key)!.order.includes(step.value))
}

function graphOf(happened: readonly ListTransaction[], facts: ListFacts): DependencyGraph {
  const graph = new DependencyGraph(happened.length)
  const node = new Map(happened.map((transaction, i) => [transaction, i]))
  const writerOf = (key: string, value: number | undefined): number | undefined => {
    const writer = value === undefined ? undefined : facts.keys.get(key)!.writers.get(value)
    return writer && node.get(writer.transaction)
  }
  /** Per key the acknowledged appends that nobody read: they came behind all that was. */
  const unread = new Map<string, number[]>()
  for (const { key, order, writers } of facts.keys.values()) {
    for (let i = 1; i < order.length; i++) {
      const from = writerOf(key, order[i - 1])
      const to = writerOf(key, order[i])
      if (from !== undefined && to !== undefined) graph.add(from, to, ww, `${key}: ${order[i]} follows ${order[i - 1]}`)
    }
    const there = new Set(order)
    const last = writerOf(key, order.at(-1))
    for (const [value, { transaction }] of writers) {
      const to = node.get(transaction)
      if (transaction.status !== 'ok' || to === undefined || there.has(value)) continue
      if (last !== undefined) graph.add(last, to, ww, `${key}: ${value} follows ${order.at(-1)}`)
      const others = unread.get(key)
      if (others) others.push(to)
      else unread.set(key, [to])
    }
  }
  for (const { transaction, key, values } of facts.reads) {
    const reader = node.get(transaction)!
    const read = writerOf(key, values.at(-1))
    if (read !== undefined) graph.add(read, reader, wr, `${key}: read ${values.at(-1)}`)
    const { order } = facts.keys.get(key)!
    const next = writerOf(key, order[values.length])
    if (next !== undefined) graph.add(reader, next, rw, `${key}: did not read ${order[values.length]}`)
    if (values.length < order.length) continue
    for (const to of unread.get(key) ?? []) graph.add(reader, to, rw, `${key}: did not read a later append`)
  }
  addSessions(graph, happened)
  addRealTime(graph, happened)
  return graph
}

function addSessions(graph: DependencyGraph, happened: readonly ListTransaction[]): void {
  const before = new Map<number, number>()
  const order = happened.map((_, i) => i).sort((a, b) => happened[a].index - happened[b].index)
  for (const i of order) {
    const { client, status } = happened[i]
    const previous = before.get(client)
    if (previous !== undefined) graph.add(previous, i, session, `both of client ${client}`)
    // One of unknown outcome may have happened after all others.
    if (status === 'ok') before.set(client, i)
  }
}

/** Only edges that no chain of others stands for: from what was over when this began, and not before others that were. */
function addRealTime(graph: DependencyGraph, happened: readonly ListTransaction[]): void {
  const done = happened.map((_, i) => i).filter((i) => happened[i].status === 'ok')
  done.sort((a, b) => happened[a].completedMicros! - happened[b].completedMicros!)
  const begun = happened.map((_, i) => i).sort((a, b) => happened[a].invokedMicros - happened[b].invokedMicros)
  let over = 0
  let first = 0
  let newestStart = -1
  for (const to of begun) {
    const { invokedMicros } = happened[to]
    for (; over < done.length && happened[done[over]].completedMicros! < invokedMicros; over++) {
      newestStart = Math.max(newestStart, happened[done[over]].invokedMicros)
    }
    while (first < over && happened[done[first]].completedMicros! < newestStart) first++
    for (let i = first; i < over; i++) graph.add(done[i], to, rt, 'over before the other began')
  }
}

function cyclesOf(graph: DependencyGraph, happened: readonly ListTransaction[]): Violation[] {
  const out: Violation[] = []
  const dependencies = ww | wr | rw
  const report = (kind: string, cycle: readonly Edge[]) => {
    const names = cycle.map(({ from, kind: k, why }) => `${happened[from].index} ─${nameOf(k)} (${why})→`)
    out.push({
      kind,
      message: `${names.join(' ')} ${happened[cycle[0].from].index}`,
      operations: cycle.map(({ from }) => happened[from].index),
    })
  }
  /** One cycle of each tangle: through an edge of `first`, along `along`, of the class that `classify` names. */
  const find = (
    first: number,
    along: number,
    apart: boolean,
    classify: (cycle: readonly Edge[]) => string | undefined,
  ) => {
    const within = componentsByNode(graph.components(first | along))
    const found = new Set<string>()
    for (const edge of graph.edges(first)) {
      const component = within.get(edge.from)
      if (component === undefined || component !== within.get(edge.to)) continue
      const cycle = apart ? graph.cycleOfApart(edge, along) : graph.cycleFrom(edge, along)
      const kind = cycle && classify(cycle)
      if (kind === undefined || found.has(`${component} ${kind}`)) continue
      found.add(`${component} ${kind}`)
      report(kind, cycle!)
    }
  }
  find(ww, ww, false, () => 'G0')
  find(wr, ww | wr, false, () => 'G1c')
  find(rw, ww | wr, false, (cycle) => (isLostUpdate(cycle) ? 'lost-update' : 'G-single'))
  find(rw, dependencies, true, (cycle) => (countOf(cycle, rw) > 1 ? 'G-nonadjacent' : undefined))
  find(rw, dependencies, false, (cycle) => (countOf(cycle, rw) > 1 ? 'G2-item' : undefined))
  // A cycle without such an edge is one of those above.
  find(session, dependencies | session, false, () => 'session')
  find(rt, dependencies | session | rt, false, () => 'realtime')
  return out
}

function componentsByNode(components: readonly (readonly number[])[]): Map<number, number> {
  const of = new Map<number, number>()
  for (const [number, nodes] of components.entries()) for (const node of nodes) of.set(node, number)
  return of
}

/** Both read a version of a key and put theirs behind it. */
function isLostUpdate(cycle: readonly Edge[]): boolean {
  const keyOf = ({ why }: Edge) => why.slice(0, why.indexOf(': '))
  return cycle.length === 2 && cycle.every(({ kind }) => kind !== wr) && keyOf(cycle[0]) === keyOf(cycle[1])
}

function countOf(cycle: readonly Edge[], kind: number): number {
  return cycle.filter((edge) => edge.kind === kind).length
}

function nameOf(kind: number): string {
  return kind === ww ? 'ww' : kind === wr ? 'wr' : kind === rw ? 'rw' : kind === rt ? 'rt' : 'session'
}
