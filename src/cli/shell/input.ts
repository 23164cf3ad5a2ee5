/**
 * Where the shell's input comes from: pieces of it, or raw lines when a COPY asks for data.
 *
 * Not here: the terminal (shell.ts), files (commands.ts).
 */
import { type Piece, type Standing, StatementSplitter } from './splitter.ts'

export class Input {
  readonly #splitter = new StatementSplitter()
  /** More text, whole lines preferred; undefined at the end. */
  readonly #more: (standing: Standing) => Promise<string | undefined>
  #over = false

  constructor(more: (standing: Standing) => Promise<string | undefined>) {
    this.#more = more
  }

  /** Input that is all there. */
  static of(text: string): Input {
    let rest: string | undefined = text
    return new Input(async () => {
      const all = rest
      rest = undefined
      return all
    })
  }

  /** The next statement or command; undefined at the end. */
  async piece(): Promise<Piece | undefined> {
    for (;;) {
      const piece = this.#splitter.take()
      if (piece !== undefined) return piece
      if (!(await this.#read(this.#splitter.standing))) return this.#splitter.finish()
    }
  }

  /** The next line as it stands; undefined at the end. */
  async line(): Promise<string | undefined> {
    for (;;) {
      const line = this.#splitter.takeLine()
      if (line !== undefined) return line
      if (!(await this.#read('='))) return undefined
    }
  }

  get pending(): string {
    return this.#splitter.pending
  }

  reset(): void {
    this.#splitter.reset()
  }

  async #read(standing: Standing): Promise<boolean> {
    if (this.#over) return false
    const text = await this.#more(standing)
    if (text === undefined) this.#over = true
    else this.#splitter.feed(text)
    return text !== undefined
  }
}
