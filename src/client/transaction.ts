/**
 * A transaction on a channel of its own. Statements that are started together run one after the other.
 *
 * Not here: repeating it (session-client.ts).
 */
import { DbError } from '../base/index.ts'
import type { Channel } from './channel.ts'
import type { Transaction, TransactionOptions } from './client.ts'
import { Statements } from './statements.ts'

/** The BEGIN that the options ask for. */
export function beginStatement(options: TransactionOptions): string {
  const words = ['BEGIN']
  if (options.isolation !== undefined) words.push(`ISOLATION LEVEL ${options.isolation.toUpperCase()}`)
  if (options.readOnly !== undefined) words.push(options.readOnly ? 'READ ONLY' : 'READ WRITE')
  if (options.deferrable !== undefined) words.push(options.deferrable ? 'DEFERRABLE' : 'NOT DEFERRABLE')
  return words.join(' ')
}

export class ChannelTransaction extends Statements implements Transaction {
  readonly #channel: Channel
  /** Gives the channel back to its pool. */
  readonly #release: () => void
  /** Resolves when the call before is through. */
  #turn: Promise<void> = Promise.resolve()
  #endTurn: (() => void) | undefined
  #savepoints = 0
  #open = true

  constructor(channel: Channel, release: () => void) {
    super()
    this.#channel = channel
    this.#release = release
  }

  get open(): boolean {
    return this.#open
  }

  protected override async lend(): Promise<Channel> {
    const before = this.#turn
    let endTurn!: () => void
    this.#turn = new Promise((resolve) => (endTurn = resolve))
    await before
    this.#endTurn = endTurn
    if (this.#open) return this.#channel
    endTurn()
    throw new DbError('no_active_sql_transaction', 'the transaction is over')
  }

  protected override giveBack(): void {
    this.#endTurn?.()
  }

  async commit(): Promise<void> {
    const tag = await this.#end('COMMIT')
    if (tag === 'ROLLBACK') {
      throw new DbError(
        'in_failed_sql_transaction',
        'the transaction was rolled back: one of its statements had failed',
      )
    }
  }

  async rollback(): Promise<void> {
    if (this.#open) await this.#end('ROLLBACK')
  }

  async #end(statement: string): Promise<string> {
    const channel = await this.lend()
    this.#open = false
    try {
      return (await channel.query(statement, [], false)).tag
    } finally {
      this.giveBack()
      this.#release()
    }
  }

  async savepoint<T>(body: (tx: Transaction) => Promise<T>): Promise<T> {
    const name = `s${++this.#savepoints}`
    await this.query(`SAVEPOINT ${name}`)
    let result: T
    try {
      result = await body(this)
    } catch (error) {
      if (this.#open) await this.query(`ROLLBACK TO SAVEPOINT ${name}`)
      throw error
    }
    await this.query(`RELEASE SAVEPOINT ${name}`)
    return result
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rollback()
  }
}
