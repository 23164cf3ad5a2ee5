/**
 * The client over any supply of channels.
 *
 *   query, sql, script, cursor, bulkInsert    a channel of the pool for the call
 *   begin, transaction                        a channel of the pool until the end
 *   listen                                    a channel of its own
 *
 * Not here: where channels come from (open.ts).
 */
import { DbError } from '../base/index.ts'
import type { Io } from '../io/index.ts'
import type { Channel } from './channel.ts'
import type { Client, RetryOptions, Subscription, Transaction, TransactionOptions } from './client.ts'
import { Pool } from './pool.ts'
import { Statements } from './statements.ts'
import { ChannelSubscription } from './subscription.ts'
import { beginStatement, ChannelTransaction } from './transaction.ts'

const defaultRetries = 5
const firstPauseMs = 4
const longestPauseMs = 1000

export interface SessionClientOptions {
  readonly io: Io
  /** Opens one more session. */
  readonly connect: () => Promise<Channel>
  readonly maxSessions: number
  /** Ends what the sessions were opened on. */
  readonly onClose: () => Promise<void>
}

export class SessionClient extends Statements implements Client {
  readonly #options: SessionClientOptions
  readonly #pool: Pool
  readonly #subscriptions = new Set<Subscription>()
  #closing: Promise<void> | undefined

  constructor(options: SessionClientOptions) {
    super()
    this.#options = options
    this.#pool = new Pool(options.connect, options.maxSessions)
  }

  protected override lend(): Promise<Channel> {
    return this.#pool.acquire()
  }

  protected override giveBack(channel: Channel): void {
    this.#pool.release(channel)
  }

  async begin(options: TransactionOptions = {}): Promise<Transaction> {
    const channel = await this.#pool.acquire()
    try {
      await channel.query(beginStatement(options), [], false)
    } catch (error) {
      this.#pool.release(channel)
      throw error
    }
    return new ChannelTransaction(channel, () => this.#pool.release(channel))
  }

  async transaction<T>(body: (tx: Transaction) => Promise<T>, options: RetryOptions = {}): Promise<T> {
    const retries = options.retries ?? defaultRetries
    for (let attempt = 0; ; attempt++) {
      if (options.signal?.aborted) {
        throw new DbError('query_canceled', 'canceled between attempts', { cause: options.signal.reason })
      }
      const tx = await this.begin(options)
      try {
        const result = await body(tx)
        if (tx.open) await tx.commit()
        return result
      } catch (error) {
        // The error that matters is the body's, even if the connection is gone and rollback fails too.
        await tx.rollback().catch(() => {})
        if (attempt >= retries || !isRepeatable(error)) throw error
      }
      await this.#pause(attempt)
    }
  }

  /** Exponential back-off with full jitter, so that rivals do not meet again. */
  #pause(attempt: number): Promise<void> {
    const longest = Math.min(longestPauseMs, firstPauseMs * 2 ** attempt)
    const { random, tasks } = this.#options.io
    return new Promise((resolve) => tasks.after(1 + random.below(longest), resolve))
  }

  async listen(channel: string): Promise<Subscription> {
    const subscription = await ChannelSubscription.open(await this.#options.connect(), channel)
    this.#subscriptions.add(subscription)
    return subscription
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()))
    await this.#pool.close()
    await this.#options.onClose()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function isRepeatable(error: unknown): boolean {
  return error instanceof DbError && (error.code === 'serialization_failure' || error.code === 'deadlock_detected')
}
