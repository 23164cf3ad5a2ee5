/**
 * LISTEN at every gateway, NOTIFY at any. While nothing goes wrong, every listener hears everything once, and what one
 * session says in its order. While things go wrong, only the statements themselves must come to an end.
 */
import type { Subscription } from '../../../src/client/client.ts'
import type { Violation } from '../history.ts'
import type { SimNode } from '../swarm/sim-nodes.ts'
import type { Bench, Turn, Workload } from './workload.ts'

const messages = 12

export class Notify implements Workload {
  readonly name = 'notify'
  readonly weight = 1
  readonly #bench: Bench

  constructor(bench: Bench) {
    this.#bench = bench
  }

  get setup(): string {
    return ''
  }

  async step({ node }: Turn): Promise<void> {
    const text = 'select pg_notify($1, $2)'
    const payload = String(this.#bench.value())
    await this.#bench.operate(this.name, node, () => node.client!.query(text, ['chaos', payload]))
  }

  async calm(): Promise<Violation[]> {
    const { nodes, random } = this.#bench
    const alive = nodes.alive()
    const heard = new Map<SimNode, string[]>()
    const subscriptions: Subscription[] = []
    for (const node of alive) {
      const subscription = await node.client!.listen('calm')
      subscriptions.push(subscription)
      const list: string[] = []
      heard.set(node, list)
      void collect(subscription, list)
    }
    await nodes.sleep(500)
    const said: string[] = []
    for (let i = 0; i < messages; i++) {
      const payload = String(i)
      const node = alive[random.below(alive.length)]
      const { times } = await this.#bench.operate(this.name, node, () =>
        node.client!.query('select pg_notify($1, $2)', ['calm', payload]),
      )
      if (times.status === 'ok') said.push(payload)
    }
    await nodes.until(() => [...heard.values()].every((list) => list.length >= said.length), 5_000)
    await nodes.sleep(200)
    for (const one of subscriptions) await one.close()
    return [...heard].flatMap(([node, list]) => {
      const same = [...list].sort().join() === [...said].sort().join()
      const message = `node ${node.id} heard ${list} of ${said}`
      return same ? [] : [{ kind: 'notifications-differ', message, operations: [] }]
    })
  }

  async judge(): Promise<Violation[]> {
    return []
  }
}

async function collect(subscription: Subscription, into: string[]): Promise<void> {
  for await (const { payload } of subscription) into.push(payload)
}
