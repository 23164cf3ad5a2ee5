/**
 * A graph of transactions with several kinds of edges, and searches for cycles in it.
 *
 *   ww  a version follows a version      wr  one read what the other wrote      rw  one read what the other replaced
 *   rt  one was over before the other began                  session  one came before the other at the same client
 *
 * Not here: where edges come from, what the cycles mean (list-append.ts).
 */
export const ww = 1
export const wr = 2
export const rw = 4
export const rt = 8
export const session = 16

export interface Edge {
  readonly from: number
  readonly to: number
  readonly kind: number
  readonly why: string
}

export class DependencyGraph {
  readonly #edges: Edge[][]
  readonly #known = new Set<string>()

  constructor(nodes: number) {
    this.#edges = Array.from({ length: nodes }, () => [])
  }

  /** Of equal edges the first is kept. */
  add(from: number, to: number, kind: number, why: string): void {
    if (from === to) return
    const name = `${from} ${to} ${kind}`
    if (this.#known.has(name)) return
    this.#known.add(name)
    this.#edges[from].push({ from, to, kind, why })
  }

  *edges(kinds: number): Generator<Edge> {
    for (const edges of this.#edges) for (const edge of edges) if ((edge.kind & kinds) !== 0) yield edge
  }

  /** Strongly connected components of more than one node along edges of some kinds (Tarjan, 1972, without recursion). */
  components(kinds: number): number[][] {
    const count = this.#edges.length
    const order = new Int32Array(count).fill(-1)
    const low = new Int32Array(count)
    const onStack = new Uint8Array(count)
    const next = new Int32Array(count)
    const stack: number[] = []
    const out: number[][] = []
    let clock = 0
    for (let root = 0; root < count; root++) {
      if (order[root] >= 0) continue
      const path = [root]
      while (path.length > 0) {
        const node = path[path.length - 1]
        if (order[node] < 0) {
          order[node] = low[node] = clock++
          stack.push(node)
          onStack[node] = 1
        }
        const edge = this.#edges[node][next[node]++]
        if (edge === undefined) {
          path.pop()
          if (path.length > 0) low[path[path.length - 1]] = Math.min(low[path[path.length - 1]], low[node])
          if (low[node] === order[node]) {
            const component = stack.splice(stack.lastIndexOf(node))
            for (const member of component) onStack[member] = 0
            if (component.length > 1) out.push(component)
          }
        } else if ((edge.kind & kinds) !== 0) {
          if (order[edge.to] < 0) path.push(edge.to)
          else if (onStack[edge.to] === 1) low[node] = Math.min(low[node], order[edge.to])
        }
      }
    }
    return out
  }

  /** A shortest cycle that begins with an edge and goes on along edges of some kinds. */
  cycleFrom(first: Edge, kinds: number): Edge[] | undefined {
    return this.#search(first, kinds, false)
  }

  /** The same with no two rw edges next to each other. */
  cycleOfApart(first: Edge, kinds: number): Edge[] | undefined {
    return this.#search(first, kinds, true)
  }

  #search(first: Edge, kinds: number, apart: boolean): Edge[] | undefined {
    // A state is a node and, when that matters, whether an rw edge led there.
    const stateOf = (edge: Edge) => edge.to * 2 + (apart && edge.kind === rw ? 1 : 0)
    const by = new Map<number, { edge: Edge; before: number | undefined }>([
      [stateOf(first), { edge: first, before: undefined }],
    ])
    const queue = [stateOf(first)]
    for (let i = 0; i < queue.length; i++) {
      const state = queue[i]
      for (const edge of this.#edges[state >>> 1]) {
        if ((edge.kind & kinds) === 0 || (state % 2 === 1 && edge.kind === rw)) continue
        if (edge.to === first.from && !(apart && edge.kind === rw && first.kind === rw)) {
          const cycle = [edge]
          for (let at: number | undefined = state; at !== undefined; at = by.get(at)!.before)
            cycle.unshift(by.get(at)!.edge)
          return cycle
        }
        const to = stateOf(edge)
        if (by.has(to)) continue
        by.set(to, { edge, before: state })
        queue.push(to)
      }
    }
    return undefined
  }
}
