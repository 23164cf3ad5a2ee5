/**
 * A client's session on a simulated node. It stalls while the node is paused, and is lost when the node goes down: what
 * was under way then may or may not have happened, as with a broken connection.
 *
 * Not here: the session itself (client/embedded-channel.ts), nodes' lives (sim-node.ts).
 */
import { DbError } from '../base/index.ts'
import type { Channel, ChannelCopyIn, ChannelCursor, StatementResult } from '../client/channel.ts'
import type { FieldInfo, Message } from '../client/client.ts'

/** One life of a node, as its sessions see it. */
export interface Life {
  /** Why it is over, as a clause: 'node 2 crashed'; undefined while it lasts. */
  readonly over: string | undefined
  /** Resolves once the node is not paused; undefined: it runs. */
  running(): Promise<void> | undefined
  /** Called once when it is over. */
  readonly onOver: Set<() => void>
}

export class SimChannel implements Channel {
  readonly #inner: Channel
  readonly #life: Life
  readonly #lose: () => void
  readonly #losing = new Set<(error: DbError) => void>()
  onMessage: (message: Message) => void = () => {}
  onBroken: (error: Error) => void = () => {}

  constructor(inner: Channel, life: Life) {
    this.#inner = inner
    this.#life = life
    inner.onMessage = (message) => this.onMessage(message)
    inner.onBroken = (error) => this.onBroken(error)
    this.#lose = () => {
      const error = this.#lost()
      for (const fail of this.#losing) fail(error)
      this.#losing.clear()
      this.onBroken(error)
    }
    life.onOver.add(this.#lose)
  }

  get status(): 'I' | 'T' | 'E' {
    return this.#inner.status
  }

  get broken(): boolean {
    return this.#life.over !== undefined || this.#inner.broken
  }

  query(text: string, values: readonly unknown[], arrays: boolean): Promise<StatementResult> {
    return this.#on(() => this.#inner.query(text, values, arrays))
  }

  script(text: string): Promise<StatementResult[]> {
    return this.#on(() => this.#inner.script(text))
  }

  describe(text: string): Promise<FieldInfo[]> {
    return this.#on(() => this.#inner.describe(text))
  }

  async cursor(text: string, values: readonly unknown[], arrays: boolean): Promise<ChannelCursor> {
    return this.#cursor(await this.#on(() => this.#inner.cursor(text, values, arrays)))
  }

  async copyOut(text: string): Promise<ChannelCursor> {
    return this.#cursor(await this.#on(() => this.#inner.copyOut(text)))
  }

  async copyIn(text: string): Promise<ChannelCopyIn> {
    const copy = await this.#on(() => this.#inner.copyIn(text))
    return {
      write: (chunk) => this.#on(() => copy.write(chunk)),
      finish: () => this.#on(() => copy.finish()),
      abort: (reason) => this.#on(() => copy.abort(reason)),
    }
  }

  #cursor(cursor: ChannelCursor): ChannelCursor {
    return {
      detached: cursor.detached,
      next: (count) => this.#on(() => cursor.next(count)),
      close: async () => {
        if (!this.broken) await this.#on(() => cursor.close())
      },
    }
  }

  cancel(): void {
    if (!this.broken) this.#inner.cancel()
  }

  async close(): Promise<void> {
    this.#life.onOver.delete(this.#lose)
    if (!this.broken) await this.#on(() => this.#inner.close())
  }

  #lost(): DbError {
    return new DbError('connection_failure', `the session was lost: ${this.#life.over}`, {
      hint: 'What it was doing may or may not have happened.',
    })
  }

  /** Runs something on the node; fails when the node's life ends first. */
  async #on<T>(run: () => Promise<T>): Promise<T> {
    const running = this.#life.running()
    if (running !== undefined) await this.#orLost(running)
    if (this.#life.over !== undefined) throw this.#lost()
    return await this.#orLost(run())
  }

  #orLost<T>(promise: Promise<T>): Promise<T> {
    return new Promise((done, fail) => {
      this.#losing.add(fail)
      promise.then(done, fail).finally(() => this.#losing.delete(fail))
    })
  }
}
