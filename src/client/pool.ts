/**
 * The sessions of a client: at most so many, handed out one user at a time, first come first served.
 *
 * Not here: what is done on them.
 */
import { DbError } from '../base/index.ts'
import type { Channel } from './channel.ts'

interface Waiter {
  readonly resolve: (channel: Channel) => void
  readonly reject: (error: unknown) => void
}

export class Pool {
  readonly #connect: () => Promise<Channel>
  readonly #max: number
  readonly #idle: Channel[] = []
  readonly #all = new Set<Channel>()
  readonly #waiting: Waiter[] = []
  #opening = 0
  #closed = false

  constructor(connect: () => Promise<Channel>, max: number) {
    this.#connect = connect
    this.#max = max
  }

  /** A session for the caller alone, until `release`. */
  async acquire(): Promise<Channel> {
    if (this.#closed) throw closed()
    for (let channel = this.#idle.pop(); channel !== undefined; channel = this.#idle.pop()) {
      if (!channel.broken) return channel
      this.#all.delete(channel)
    }
    if (this.#all.size + this.#opening < this.#max) return this.#open()
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  async #open(): Promise<Channel> {
    this.#opening++
    let channel: Channel
    try {
      channel = await this.#connect()
    } catch (error) {
      this.#opening--
      this.#replace()
      throw error
    }
    this.#opening--
    if (this.#closed) {
      await channel.close()
      throw closed()
    }
    this.#all.add(channel)
    return channel
  }

  /** Gives a session back. One that is lost, or that a transaction was left open on, goes. */
  release(channel: Channel): void {
    if (channel.broken || channel.status !== 'I' || this.#closed) {
      this.#all.delete(channel)
      if (!channel.broken) void channel.close()
      this.#replace()
      return
    }
    const waiter = this.#waiting.shift()
    if (waiter === undefined) this.#idle.push(channel)
    else waiter.resolve(channel)
  }

  /** There is room for one more: opens it for whoever waits. */
  #replace(): void {
    const waiter = this.#closed ? undefined : this.#waiting.shift()
    if (waiter !== undefined) this.#open().then(waiter.resolve, waiter.reject)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const waiter of this.#waiting.splice(0)) waiter.reject(closed())
    const all = [...this.#all]
    const idle = new Set(this.#idle.splice(0))
    this.#all.clear()
    await Promise.all(
      all.map((channel) => {
        if (!idle.has(channel)) channel.cancel()
        return channel.close()
      }),
    )
  }
}

function closed(): DbError {
  return new DbError('connection_does_not_exist', 'the client is closed')
}
