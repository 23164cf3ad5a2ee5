/**
 * What is going to happen, by simulated time and, at one time, in the order in which it was decided.
 *
 * Not here: running it (sim-world.ts).
 */
export interface SimEvent {
  at: number
  order: number
  /** Undefined: cancelled. */
  run: (() => void) | undefined
  /** Whose event it is: while the owner is paused, it waits for it. */
  readonly owner: EventOwner | undefined
}

export interface EventOwner {
  readonly paused: boolean
  /** Takes an event that was due while the owner was paused. */
  hold(event: SimEvent): void
}

export class EventQueue {
  readonly #heap: SimEvent[] = []
  #order = 0

  push(at: number, run: () => void, owner?: EventOwner): SimEvent {
    const event = { at, order: 0, run, owner }
    this.put(event)
    return event
  }

  /** Puts an event in, behind all others of its time. */
  put(event: SimEvent): void {
    event.order = this.#order++
    const heap = this.#heap
    let i = heap.length
    heap.push(event)
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (before(heap[parent], event)) break
      heap[i] = heap[parent]
      i = parent
    }
    heap[i] = event
  }

  /** The next event that was not cancelled. */
  pop(): SimEvent | undefined {
    for (;;) {
      const event = this.#take()
      if (event === undefined || event.run !== undefined) return event
    }
  }

  #take(): SimEvent | undefined {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return top
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++
      if (before(last, heap[child])) break
      heap[i] = heap[child]
      i = child
    }
    heap[i] = last
    return top
  }
}

function before(a: SimEvent, b: SimEvent): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
