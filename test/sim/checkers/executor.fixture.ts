/**
 * A small database in memory that runs transactions on lists with random interleaving, as well isolated as it is told, so
 * that checkers have histories that are right for one level and wrong for the next.
 *
 * Not here: anything of the real database.
 */
import { SimRandom } from '../../../src/testing/index.ts'
import type { Status } from '../history.ts'
import type { ListStep, ListTransaction } from './list-history.ts'

export type Mode =
  /** One after another, at a moment between invocation and completion. */
  | 'serial'
  /** The same on a state that may be long gone; writers never conflict. */
  | 'stale reads'
  | 'snapshot'
  | 'read committed'

export interface ListPlan {
  readonly seed: string | number
  readonly mode: Mode
  readonly transactions: number
  readonly clients: number
  readonly keys: number
  /** Share of transactions whose answer is lost; half of them happened. */
  readonly unknown?: number
}

interface Version {
  readonly at: number
  readonly values: readonly number[]
}

interface Session {
  readonly client: number
  readonly todo: ListStep[]
  readonly done: ListStep[]
  readonly invokedMicros: number
  readonly index: number
  snapshot: number
  /** Own appends by key. */
  readonly own: Map<string, number[]>
}

export function runLists(plan: ListPlan): ListTransaction[] {
  return new ListExecutor(plan).run()
}

class ListExecutor {
  readonly #plan: ListPlan
  readonly #random: SimRandom
  readonly #store = new Map<string, Version[]>()
  /** Who appends to a key at the moment, where writers wait for each other. */
  readonly #locks = new Map<string, Session>()
  readonly #history: ListTransaction[] = []
  #now = 100
  #next = 0
  #value = 0

  constructor(plan: ListPlan) {
    this.#plan = plan
    this.#random = new SimRandom(plan.seed)
  }

  run(): ListTransaction[] {
    const { transactions, clients } = this.#plan
    const running: (Session | undefined)[] = Array.from({ length: clients }, () => undefined)
    while (this.#next < transactions || running.some((session) => session !== undefined)) {
      this.#now += this.#random.between(1, 9)
      const client = this.#random.below(clients)
      const session = running[client]
      if (session === undefined) {
        if (this.#next < transactions) running[client] = this.#begin(client)
      } else if (this.#step(session)) running[client] = undefined
    }
    this.#readEverything()
    return this.#history
  }

  /** As workloads end: what is not there now is lost. */
  #readEverything(): void {
    const steps: ListStep[] = []
    for (const key of this.#store.keys()) steps.push({ kind: 'read', key, values: this.#read(key, this.#now) })
    const times = { invokedMicros: this.#now + 1, completedMicros: this.#now + 2 }
    this.#history.push({ client: 0, index: this.#next++, ...times, status: 'ok', steps })
  }

  #begin(client: number): Session {
    const random = this.#random
    const todo = Array.from({ length: random.between(1, 4) }, (): ListStep => {
      const key = `k${random.below(this.#plan.keys)}`
      if (random.chance(0.5)) return { kind: 'read', key, values: undefined }
      return { kind: 'append', key, value: ++this.#value }
    })
    return {
      client,
      todo,
      done: [],
      invokedMicros: this.#now,
      index: this.#next++,
      snapshot: this.#now,
      own: new Map(),
    }
  }

  /** Does a step of a session's transaction; true when it is over. */
  #step(session: Session): boolean {
    const { mode } = this.#plan
    if (mode === 'serial' || mode === 'stale reads') {
      session.snapshot = mode === 'stale reads' ? this.#now - this.#random.below(400) : this.#now
      const readOnly = session.todo.every(({ kind }) => kind === 'read')
      // Only who writes nothing may look back, or updates would be lost.
      if (!readOnly) session.snapshot = this.#now
      while (session.todo.length > 0) this.#do(session, session.todo.shift()!)
      return this.#end(session)
    }
    const step = session.todo[0]
    if (step === undefined) return this.#end(session)
    if (mode === 'read committed') {
      session.snapshot = this.#now
      if (step.kind === 'append') {
        const holder = this.#locks.get(step.key)
        if (holder !== undefined && holder !== session) return this.#random.chance(0.3) ? this.#fail(session) : false
        this.#locks.set(step.key, session)
      }
    }
    session.todo.shift()
    this.#do(session, step)
    return false
  }

  #do(session: Session, step: ListStep): void {
    const own = session.own.get(step.key) ?? []
    if (step.kind === 'append') {
      session.own.set(step.key, [...own, step.value])
      session.done.push(step)
    } else session.done.push({ ...step, values: [...this.#read(step.key, session.snapshot), ...own] })
  }

  #read(key: string, at: number): readonly number[] {
    return this.#store.get(key)?.findLast((version) => version.at <= at)?.values ?? []
  }

  #end(session: Session): boolean {
    const { mode, unknown = 0 } = this.#plan
    const conflict = [...session.own.keys()].some((key) => (this.#store.get(key)?.at(-1)?.at ?? 0) > session.snapshot)
    if (mode === 'snapshot' && conflict) return this.#fail(session)
    const lost = this.#random.chance(unknown)
    if (!lost || this.#random.chance(0.5)) {
      for (const [key, appended] of session.own) {
        const versions = this.#store.get(key) ?? []
        this.#store.set(key, [
          ...versions,
          { at: this.#now, values: [...(versions.at(-1)?.values ?? []), ...appended] },
        ])
      }
    }
    return this.#close(session, lost ? 'unknown' : 'ok')
  }

  #fail(session: Session): boolean {
    session.done.push(...session.todo.splice(0))
    return this.#close(session, 'failed')
  }

  #close({ client, done: steps, invokedMicros, index, own }: Session, status: Status): boolean {
    for (const key of own.keys()) this.#locks.delete(key)
    for (const [key, holder] of this.#locks) if (holder.index === index) this.#locks.delete(key)
    const completedMicros = status === 'unknown' ? undefined : this.#now
    this.#history.push({ client, index, invokedMicros, completedMicros, status, steps })
    this.#now++
    return true
  }
}
