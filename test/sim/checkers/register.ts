/**
 * Linearizability of registers with read, write and compare-and-set (Herlihy and Wing, 1990), checked key by key, which is
 * enough because linearizability is local. The search is Wing and Gong's (1993) with Lowe's memory of configurations
 * (2017): a configuration is which operations have been put in order and the value that they leave.
 *
 *   order so far   w1 r1 │ candidates: every operation that no other one left over precedes in real time
 *
 * What changes nothing and fits (a read of the value at hand) is taken at once: that is never worse than later. An
 * operation of unknown outcome may be taken at any time after its invocation, or never.
 *
 * Not here: transactions over several keys (list-append.ts).
 */
import type { Operation, Violation } from '../history.ts'

/** null: the register was never written. */
export type RegisterValue = number | null

export type RegisterOperation = Operation & { readonly key: string } & (
    | { readonly kind: 'read'; readonly value: RegisterValue }
    | { readonly kind: 'write'; readonly value: RegisterValue }
    /** `swapped` false: it was answered that the value was another one. Of an unknown outcome it says nothing. */
    | {
        readonly kind: 'cas'
        readonly expected: RegisterValue
        readonly value: RegisterValue
        readonly swapped: boolean
      }
  )

export interface RegisterOptions {
  readonly initial?: RegisterValue
  /** Configurations that may be visited per key before the checker gives up, which is a violation too. */
  readonly budget?: number
}

export function checkRegisters(history: readonly RegisterOperation[], options: RegisterOptions = {}): Violation[] {
  const byKey = new Map<string, RegisterOperation[]>()
  for (const operation of history) {
    if (operation.status === 'failed') continue
    if (operation.kind === 'read' && operation.status === 'unknown') continue
    const operations = byKey.get(operation.key)
    if (operations) operations.push(operation)
    else byKey.set(operation.key, [operation])
  }
  const out: Violation[] = []
  for (const [key, operations] of byKey) {
    const violation = new KeySearch(key, operations, options.initial ?? null, options.budget ?? 200_000).run()
    if (violation) out.push(violation)
  }
  return out
}

interface Move {
  readonly operation: RegisterOperation
  readonly place: number
  readonly maybe: boolean
}

/** A configuration on the way, and what was tried from it. */
interface Frame {
  readonly state: RegisterValue
  readonly base: number
  readonly taken: readonly Move[]
  readonly moves: readonly Move[]
  next: number
}

class KeySearch {
  readonly #key: string
  /** Those that happened, by invocation. */
  readonly #sure: RegisterOperation[]
  readonly #maybe: RegisterOperation[]
  readonly #sureTaken: Uint8Array
  readonly #maybeTaken: Uint8Array
  readonly #initial: RegisterValue
  readonly #seen = new Set<string>()
  #budget: number
  #base = 0
  #depth = 0
  /** The furthest that the search came, for the report. */
  #deepest = -1
  #stuck: RegisterOperation[] = []
  #stuckState: RegisterValue = null

  constructor(key: string, operations: readonly RegisterOperation[], initial: RegisterValue, budget: number) {
    this.#key = key
    this.#initial = initial
    this.#budget = budget
    const byInvocation = [...operations].sort((a, b) => a.invokedMicros - b.invokedMicros || a.index - b.index)
    this.#sure = byInvocation.filter(({ status }) => status === 'ok')
    this.#maybe = observed(byInvocation)
    this.#sureTaken = new Uint8Array(this.#sure.length)
    this.#maybeTaken = new Uint8Array(this.#maybe.length)
  }

  run(): Violation | undefined {
    const stack: Frame[] = []
    this.#enter(stack, this.#initial, [])
    for (;;) {
      if (this.#base === this.#sure.length) return undefined
      const frame = stack.at(-1)
      if (frame === undefined) return this.#violation()
      if (this.#budget === 0) return this.#gaveUp()
      const move = frame.moves[frame.next++]
      if (move === undefined) {
        this.#leave(stack.pop()!)
        continue
      }
      const state = after(move.operation, frame.state, move.maybe)
      if (state === impossible) continue
      this.#take(move)
      this.#enter(stack, state, [move])
    }
  }

  /** Takes what changes nothing, then stands at a new configuration, unless it was visited before. */
  #enter(stack: Frame[], state: RegisterValue, first: Move[]): void {
    const base = this.#base
    const taken = first
    let moves = this.#candidates()
    for (;;) {
      this.#advance()
      const free = moves.filter((move) => !move.maybe && changesNothing(move.operation, state))
      if (free.length === 0) break
      for (const move of free) {
        this.#take(move)
        taken.push(move)
      }
      this.#advance()
      moves = this.#candidates()
    }
    const frame = { state, base, taken, moves, next: 0 }
    this.#note(state, moves)
    const configuration = this.#configuration(state)
    if (this.#seen.has(configuration)) {
      this.#leave(frame)
      return
    }
    this.#seen.add(configuration)
    this.#budget--
    stack.push(frame)
  }

  #leave(frame: Frame): void {
    for (const { place, maybe } of frame.taken) {
      if (maybe) this.#maybeTaken[place] = 0
      else this.#sureTaken[place] = 0
    }
    this.#depth -= frame.taken.length
    this.#base = frame.base
  }

  #take({ place, maybe }: Move): void {
    this.#depth++
    if (maybe) this.#maybeTaken[place] = 1
    else this.#sureTaken[place] = 1
  }

  #advance(): void {
    while (this.#base < this.#sure.length && this.#sureTaken[this.#base] === 1) this.#base++
  }

  /** What may come next: invoked before the first answer among those left over, and not behind one of its client. */
  #candidates(): Move[] {
    const sure = this.#sure
    const moves: Move[] = []
    const clients = new Set<number>()
    let firstAnswer = Number.POSITIVE_INFINITY
    for (let place = this.#base; place < sure.length; place++) {
      if (this.#sureTaken[place] === 1) continue
      const operation = sure[place]
      if (operation.invokedMicros > firstAnswer) break
      firstAnswer = Math.min(firstAnswer, operation.completedMicros!)
      if (clients.has(operation.client)) continue
      clients.add(operation.client)
      moves.push({ operation, place, maybe: false })
    }
    const possible = moves.filter(({ operation }) => operation.invokedMicros <= firstAnswer)
    const left = possible.map(({ operation }) => operation)
    for (let place = 0; place < this.#maybe.length; place++) {
      const operation = this.#maybe[place]
      if (operation.invokedMicros > firstAnswer) break
      // A client invokes an operation when those before it are answered, or given up.
      const waits = left.some(({ client, index }) => client === operation.client && index < operation.index)
      if (this.#maybeTaken[place] === 0 && !waits) possible.push({ operation, place, maybe: true })
    }
    return possible
  }

  #configuration(state: RegisterValue): string {
    let text = `${state}/${this.#base}`
    for (let place = this.#base + 1; place < this.#sure.length; place++) {
      if (this.#sureTaken[place] === 1) text += `,${place}`
      else if (this.#sure[place].invokedMicros > this.#sure[this.#base].completedMicros!) break
    }
    for (let place = 0; place < this.#maybe.length; place++) if (this.#maybeTaken[place] === 1) text += `?${place}`
    return text
  }

  #note(state: RegisterValue, moves: readonly Move[]): void {
    if (this.#depth <= this.#deepest) return
    this.#deepest = this.#depth
    this.#stuckState = state
    this.#stuck = moves.map(({ operation }) => operation)
  }

  #violation(): Violation {
    const left = this.#stuck.map(show).join('; ')
    return {
      kind: 'not-linearizable',
      message: `key ${this.#key}: after ${this.#deepest} operations the value is ${this.#stuckState}, and none of these fits: ${left}`,
      operations: this.#stuck.map(({ index }) => index),
    }
  }

  #gaveUp(): Violation {
    const count = this.#sure.length + this.#maybe.length
    return { kind: 'gave-up', message: `key ${this.#key}: ${count} operations are too many to decide`, operations: [] }
  }
}

/**
 * Operations of unknown outcome that can matter: their value is seen by somebody. With a compare-and-set that was refused
 * all of them can, as it proves no more than that the value was another one.
 */
function observed(operations: readonly RegisterOperation[]): RegisterOperation[] {
  const refused = operations.some((o) => o.kind === 'cas' && o.status === 'ok' && !o.swapped)
  const values = new Set<RegisterValue>()
  for (const operation of operations) {
    if (operation.kind === 'read') values.add(operation.value)
    else if (operation.kind === 'cas') values.add(operation.expected)
  }
  return operations.filter(({ status, value }) => status === 'unknown' && (refused || values.has(value)))
}

const impossible = Symbol('impossible')

/** The value that an operation leaves. One of unknown outcome is only taken where it does something. */
function after(operation: RegisterOperation, state: RegisterValue, maybe: boolean): RegisterValue | typeof impossible {
  if (operation.kind === 'write') return operation.value
  if (operation.kind === 'read') return operation.value === state ? state : impossible
  if (maybe || operation.swapped) return operation.expected === state ? operation.value : impossible
  return operation.expected === state ? impossible : state
}

/** Whether it fits and could never do anything else than fit. A write of the value at hand may be needed later. */
function changesNothing(operation: RegisterOperation, state: RegisterValue): boolean {
  return operation.kind !== 'write' && after(operation, state, false) === state
}

function show(operation: RegisterOperation): string {
  const { client, index, kind, status, value, invokedMicros, completedMicros } = operation
  const what =
    kind === 'cas' ? `cas ${operation.expected} → ${value}${operation.swapped ? '' : ' (refused)'}` : `${kind} ${value}`
  return `#${index} client ${client} ${what} ${status} [${invokedMicros}, ${completedMicros ?? '…'}]`
}
