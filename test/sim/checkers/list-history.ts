/**
 * Histories of transactions over lists, and what can be told from each transaction by itself and each key by itself:
 * which order its versions have, who wrote them, and what no order could explain.
 *
 *   key x   reads   [1] [1,2] [1,2,5]   →   versions   ∅ → 1 → 2 → 5      every read must be a beginning of the longest
 *
 * Not here: cycles between transactions (list-append.ts).
 */
import type { Operation, Violation } from '../history.ts'

export type ListStep =
  | { readonly kind: 'append'; readonly key: string; readonly value: number }
  /** `values` undefined: the answer never came. */
  | { readonly kind: 'read'; readonly key: string; readonly values: readonly number[] | undefined }

export interface ListTransaction extends Operation {
  /** In the order in which they ran. A value is appended to a key once in a history. */
  readonly steps: readonly ListStep[]
}

export interface Writer {
  readonly transaction: ListTransaction
  /** It is the transaction's last append to the key. */
  readonly final: boolean
}

/** What is known of one key. */
export interface KeyVersions {
  readonly key: string
  /** The longest list read. */
  readonly order: readonly number[]
  readonly writers: Map<number, Writer>
}

/** A read of what others wrote: without what the transaction itself had appended before. */
export interface ExternalRead {
  readonly transaction: ListTransaction
  readonly key: string
  readonly values: readonly number[]
}

export interface ListFacts {
  readonly keys: Map<string, KeyVersions>
  readonly reads: ExternalRead[]
  readonly violations: Violation[]
}

export function factsOf(history: readonly ListTransaction[]): ListFacts {
  const keys = new Map<string, KeyVersions & { order: readonly number[] }>()
  const violations: Violation[] = []
  for (const transaction of history) noteWriters(transaction, keys)
  const reads: ExternalRead[] = []
  for (const transaction of history) {
    // What a transaction read that failed, or may have, binds nobody.
    if (transaction.status === 'ok') readsOf(transaction, reads, violations)
  }
  for (const { transaction, key, values } of allReads(history)) {
    const known = keys.get(key) ?? newKey(keys, key)
    checkElements(transaction, known, values, violations)
    if (values.length > known.order.length) known.order = values
  }
  for (const { transaction, key, values } of allReads(history)) {
    const { order } = keys.get(key)!
    const at = values.findIndex((value, i) => value !== order[i])
    if (at < 0) continue
    violations.push({
      kind: 'incompatible-order',
      message: `key ${key}: transaction ${transaction.index} read [${values}], another one [${order}]`,
      operations: [transaction.index],
    })
  }
  for (const known of keys.values()) findLost(known, history, violations)
  return { keys, reads, violations }
}

function* allReads(history: readonly ListTransaction[]): Generator<ExternalRead> {
  for (const transaction of history) {
    if (transaction.status !== 'ok') continue
    for (const step of transaction.steps) {
      if (step.kind === 'read' && step.values) yield { transaction, key: step.key, values: step.values }
    }
  }
}

function newKey(keys: Map<string, KeyVersions>, key: string): KeyVersions & { order: readonly number[] } {
  const known = { key, order: [] as readonly number[], writers: new Map<number, Writer>() }
  keys.set(key, known)
  return known
}

function noteWriters(transaction: ListTransaction, keys: Map<string, KeyVersions>): void {
  const later = new Set<string>()
  for (const step of transaction.steps.toReversed()) {
    if (step.kind !== 'append') continue
    const { writers } = keys.get(step.key) ?? newKey(keys, step.key)
    if (writers.has(step.value)) throw new Error(`the workload appends ${step.value} to ${step.key} twice`)
    writers.set(step.value, { transaction, final: !later.has(step.key) })
    later.add(step.key)
  }
}

/** Compares a transaction's reads with each other and with its own appends. */
function readsOf(transaction: ListTransaction, reads: ExternalRead[], violations: Violation[]): void {
  const own = new Map<string, number[]>()
  const seen = new Map<string, readonly number[]>()
  for (const step of transaction.steps) {
    const { key } = step
    const appended = own.get(key) ?? []
    if (step.kind === 'append') {
      own.set(key, [...appended, step.value])
      continue
    }
    const { values } = step
    if (values === undefined) continue
    const external = values.slice(0, Math.max(0, values.length - appended.length))
    const message = `transaction ${transaction.index} appended [${appended}] to key ${key} and read [${values}]`
    if (!endsWith(values, appended)) {
      violations.push({ kind: 'internal', message, operations: [transaction.index] })
      continue
    }
    const before = seen.get(key)
    if (before !== undefined && !equal(before, external)) {
      violations.push({
        kind: 'non-repeatable-read',
        message: `transaction ${transaction.index} read key ${key} as [${before}], then as [${external}]`,
        operations: [transaction.index],
      })
    }
    seen.set(key, external)
    reads.push({ transaction, key, values: external })
  }
}

/** What single elements of a list that was read tell. */
function checkElements(
  reader: ListTransaction,
  { key, writers }: KeyVersions,
  values: readonly number[],
  violations: Violation[],
): void {
  const what = `transaction ${reader.index} read [${values}] of key ${key}`
  const report = (kind: string, message: string, other?: number) => {
    violations.push({ kind, message, operations: other === undefined ? [reader.index] : [reader.index, other] })
  }
  if (new Set(values).size < values.length) report('duplicate', `${what}: an element twice`)
  for (const value of values) {
    const writer = writers.get(value)
    if (writer === undefined) report('invented', `${what}: nobody appended ${value}`)
    else if (writer.transaction.status === 'failed' && writer.transaction !== reader) {
      report(
        'G1a',
        `${what}: transaction ${writer.transaction.index}, which appended ${value}, failed`,
        writer.transaction.index,
      )
    }
  }
  const others = values.filter((value) => writers.get(value)?.transaction !== reader)
  const last = others.length === 0 ? undefined : writers.get(others[others.length - 1])
  if (last === undefined || last.final) return
  report('G1b', `${what}: transaction ${last.transaction.index} appended more`, last.transaction.index)
}

/**
 * Acknowledged appends that nobody sees, though somebody read the key later. Sure when a history ends with a fresh read of
 * every key, as workloads should; reads that may be stale prove nothing else.
 */
function findLost(known: KeyVersions, history: readonly ListTransaction[], violations: Violation[]): void {
  const { key, order, writers } = known
  const there = new Set(order)
  let lastRead = -1
  for (const { transaction, key: read } of allReads(history)) {
    if (read === key) lastRead = Math.max(lastRead, transaction.invokedMicros)
  }
  for (const [value, { transaction }] of writers) {
    if (transaction.status !== 'ok' || there.has(value) || transaction.completedMicros! >= lastRead) continue
    violations.push({
      kind: 'lost-append',
      message: `transaction ${transaction.index} appended ${value} to key ${key} and was acknowledged; later reads lack it`,
      operations: [transaction.index],
    })
  }
}

function endsWith(values: readonly number[], end: readonly number[]): boolean {
  return values.length >= end.length && end.every((value, i) => values[values.length - end.length + i] === value)
}

function equal(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i])
}
