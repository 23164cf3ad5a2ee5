/**
 * LISTEN as an async iterator, on a session of its own.
 *
 * Not here: NOTIFY, delivery (the session).
 */
import { DbError } from '../base/index.ts'
import type { Channel } from './channel.ts'
import type { Message, Subscription } from './client.ts'
import { quoteIdentifier } from './values.ts'

/** Messages kept for a reader that is slow; one more ends the subscription with an error. */
const keptMessages = 100_000

export class ChannelSubscription implements Subscription {
  readonly #channel: Channel
  readonly #messages: Message[] = []
  #waiting: { resolve: (result: IteratorResult<Message>) => void; reject: (error: Error) => void } | undefined
  #error: Error | undefined
  #closed = false

  private constructor(channel: Channel) {
    this.#channel = channel
    channel.onMessage = (message) => this.#deliver(message)
    channel.onBroken = (error) => this.#fail(error)
  }

  static async open(channel: Channel, name: string): Promise<ChannelSubscription> {
    const subscription = new ChannelSubscription(channel)
    try {
      await channel.query(`LISTEN ${quoteIdentifier(name)}`, [], false)
    } catch (error) {
      await channel.close()
      throw error
    }
    return subscription
  }

  #deliver(message: Message): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting !== undefined) waiting.resolve({ done: false, value: message })
    else if (this.#messages.push(message) > keptMessages) {
      this.#fail(new DbError('program_limit_exceeded', `more than ${keptMessages} messages wait to be read`))
      void this.#channel.close()
    }
  }

  #fail(error: Error): void {
    this.#error ??= error
    this.#waiting?.reject(error)
    this.#waiting = undefined
  }

  [Symbol.asyncIterator](): AsyncIterator<Message> {
    return {
      next: () => {
        const message = this.#messages.shift()
        if (message !== undefined) return Promise.resolve({ done: false, value: message })
        if (this.#closed) return Promise.resolve({ done: true, value: undefined })
        if (this.#error !== undefined) return Promise.reject(this.#error)
        return new Promise((resolve, reject) => (this.#waiting = { resolve, reject }))
      },
      return: async () => {
        await this.close()
        return { done: true, value: undefined }
      },
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#waiting?.resolve({ done: true, value: undefined })
    this.#waiting = undefined
    await this.#channel.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
