/**
 * The ordinary client, each call of which makes the simulated world run until it is answered. What the test itself does
 * in the middle of a call (the body of a transaction, rows to insert) happens while simulated time stands still.
 *
 * Not here: the client (client/), running the world (pump.ts).
 */
import { DbError } from '../base/index.ts'
import type {
  AnyRow,
  BulkInsertOptions,
  BulkRow,
  Client,
  CursorOptions,
  Message,
  Queryable,
  QueryOptions,
  QueryResult,
  RetryOptions,
  Subscription,
  Transaction,
  TransactionOptions,
} from '../client/client.ts'
import type { Outside, Pump } from './pump.ts'

/** Statement text in errors; characters. */
const shownText = 80

function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return JSON.stringify(line.length > shownText ? `${line.slice(0, shownText)}…` : line)
}

class TrackedQueryable<Q extends Queryable> implements Queryable {
  protected readonly inner: Q
  protected readonly pump: Pump
  /** 'on node 1' */
  protected readonly where: string

  constructor(inner: Q, pump: Pump, where: string) {
    this.inner = inner
    this.pump = pump
    this.where = where
  }

  query<Row = AnyRow>(text: string, values?: readonly unknown[], options?: QueryOptions): Promise<QueryResult<Row>> {
    return this.track(shorten(text), () => this.inner.query<Row>(text, values, options))
  }

  sql<Row = AnyRow>(strings: TemplateStringsArray, ...values: readonly unknown[]): Promise<Row[]> {
    return this.track(shorten(strings.join('?')), () => this.inner.sql<Row>(strings, ...values))
  }

  script(text: string): Promise<QueryResult<AnyRow>[]> {
    return this.track(shorten(text), () => this.inner.script(text))
  }

  cursor<Row = AnyRow>(text: string, values?: readonly unknown[], options?: CursorOptions): AsyncIterableIterator<Row> {
    return this.#iterate(text, this.inner.cursor<Row>(text, values, options))
  }

  copyOut(text: string): AsyncIterableIterator<Uint8Array> {
    return this.#iterate(text, this.inner.copyOut(text))
  }

  bulkInsert(
    table: string,
    rows: Iterable<BulkRow> | AsyncIterable<BulkRow>,
    options?: BulkInsertOptions,
  ): Promise<number> {
    return this.track(`bulk insert into ${table}`, (outside) =>
      this.inner.bulkInsert(table, fromOutside(rows, outside), options),
    )
  }

  copyIn(text: string, source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<number> {
    return this.track(shorten(text), (outside) => this.inner.copyIn(text, fromOutside(source, outside)))
  }

  protected track<T>(what: string, body: (outside: Outside) => Promise<T>): Promise<T> {
    return this.pump.track(`${what} ${this.where}`, body)
  }

  #iterate<T>(text: string, iterator: AsyncIterableIterator<T>): AsyncIterableIterator<T> {
    const tracked: AsyncIterableIterator<T> = {
      next: () => this.track(shorten(text), () => iterator.next()),
      return: (value) => this.track(shorten(text), () => iterator.return!(value)),
      throw: (error) => this.track(shorten(text), () => iterator.throw!(error)),
      [Symbol.asyncIterator]: () => tracked,
    }
    return tracked
  }
}

/** What a test provides piece by piece: asked for outside of the world. A plain iterable takes no time. */
function fromOutside<T>(source: Iterable<T> | AsyncIterable<T>, outside: Outside): Iterable<T> | AsyncIterable<T> {
  if (Symbol.iterator in source) return source
  return {
    [Symbol.asyncIterator]() {
      const iterator = source[Symbol.asyncIterator]()
      return {
        next: () => outside(() => iterator.next()),
        return: (value?: unknown) => outside(async () => (await iterator.return?.(value)) ?? { done: true, value }),
      }
    },
  }
}

class TrackedTransaction extends TrackedQueryable<Transaction> implements Transaction {
  get open(): boolean {
    return this.inner.open
  }

  commit(): Promise<void> {
    return this.track('commit', () => this.inner.commit())
  }

  rollback(): Promise<void> {
    return this.track('rollback', () => this.inner.rollback())
  }

  savepoint<T>(body: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.track('savepoint', (outside) =>
      this.inner.savepoint((tx) => outside(() => body(new TrackedTransaction(tx, this.pump, this.where)))),
    )
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.rollback()
  }
}

class TrackedSubscription implements Subscription {
  readonly #inner: Subscription
  readonly #pump: Pump
  readonly #what: string

  constructor(inner: Subscription, pump: Pump, what: string) {
    this.#inner = inner
    this.#pump = pump
    this.#what = what
  }

  [Symbol.asyncIterator](): AsyncIterator<Message> {
    const iterator = this.#inner[Symbol.asyncIterator]()
    return {
      next: () => this.#pump.track(`a message ${this.#what}`, () => iterator.next()),
      return: async () => {
        await this.close()
        return { done: true, value: undefined }
      },
    }
  }

  close(): Promise<void> {
    return this.#pump.track(`unlisten ${this.#what}`, () => this.#inner.close())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** The client handed to a test. Its sessions are the node's, shared with other clients of it: closing it only ends itself. */
export class TrackedClient extends TrackedQueryable<Client> implements Client {
  readonly #subscriptions = new Set<Subscription>()
  #closed = false

  protected override track<T>(text: string, body: (outside: Outside) => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new DbError('connection_does_not_exist', 'the client is closed'))
    return super.track(text, body)
  }

  transaction<T>(body: (tx: Transaction) => Promise<T>, options?: RetryOptions): Promise<T> {
    return this.track('a transaction', (outside) =>
      this.inner.transaction((tx) => outside(() => body(new TrackedTransaction(tx, this.pump, this.where))), options),
    )
  }

  begin(options?: TransactionOptions): Promise<Transaction> {
    return this.track('begin', async () => {
      const tx = await this.inner.begin(options)
      return new TrackedTransaction(tx, this.pump, this.where)
    })
  }

  listen(channel: string): Promise<Subscription> {
    return this.track('listen', async () => {
      const subscription = await this.inner.listen(channel)
      this.#subscriptions.add(subscription)
      return new TrackedSubscription(subscription, this.pump, `on ${JSON.stringify(channel)} ${this.where}`)
    })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.pump.track(`close ${this.where}`, () => Promise.all([...this.#subscriptions].map((s) => s.close())))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
