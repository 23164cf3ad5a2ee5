/**
 * The interactive shell: a prompt, history, completion, Ctrl-C.
 *
 *   lattice=> select *        = nothing begun   - a statement   ' " $ ( * what is open in it
 *   lattice-> from t;         > idle   *> in a transaction   !> in a failed one
 *
 * Not here: what input does (runner.ts).
 */
import { createInterface, type Interface } from 'node:readline'
import { commandNames } from './commands.ts'
import { Completer } from './completion.ts'
import { Input } from './input.ts'
import type { Runner } from './runner.ts'
import type { Standing } from './splitter.ts'

export interface Terminal {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream
}

export interface HistoryStore {
  /** Newest first. */
  load(): Promise<string[]>
  save(lines: readonly string[]): Promise<void>
}

const historyLines = 1000

/** Runs until \q, Ctrl-D or the end of the input. */
export async function runShell(runner: Runner, terminal: Terminal, history: HistoryStore): Promise<void> {
  const shell = new Shell(runner, terminal, await history.load())
  try {
    await shell.run()
  } finally {
    await history.save(shell.history)
  }
}

class Shell {
  readonly #runner: Runner
  readonly #lines: Interface & { history: string[] }
  readonly #input: Input
  readonly #completer: Completer
  readonly #typed: string[] = []
  #waiting: ((line: string | undefined) => void) | undefined
  #closed = false
  /** Lines of the statement under way, for the history. */
  #entry: string[] = []

  constructor(runner: Runner, terminal: Terminal, history: string[]) {
    this.#runner = runner
    this.#completer = new Completer(() => runner.session, [...commandNames, ...(runner.options.commands?.keys() ?? [])])
    runner.onNamesChanged = () => this.#completer.forget()
    this.#input = new Input((standing) => this.#read(standing))
    this.#lines = createInterface({
      ...terminal,
      terminal: true,
      history,
      historySize: historyLines,
      removeHistoryDuplicates: true,
      completer: (line: string, done: (error: null, result: [string[], string]) => void) => this.#complete(line, done),
    }) as Interface & { history: string[] }
    this.#lines.on('line', (line) => this.#line(line))
    this.#lines.on('close', () => this.#close())
    this.#lines.on('SIGINT', () => this.#interrupt())
  }

  get history(): readonly string[] {
    return this.#lines.history
  }

  async run(): Promise<void> {
    await this.#runner.runAll(this.#input, false)
    this.#lines.close()
  }

  #line(line: string): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting === undefined) this.#typed.push(line)
    else waiting(line)
  }

  #close(): void {
    this.#closed = true
    this.#waiting?.(undefined)
    this.#waiting = undefined
  }

  /** Ctrl-C cancels what runs; at the prompt it drops what is typed. */
  #interrupt(): void {
    if (this.#waiting === undefined) {
      this.#runner.session.cancel()
      return
    }
    this.#input.reset()
    this.#entry = []
    this.#runner.options.screen.write('^C\n')
    // To the end of the line, and delete all before it: the line editor would keep what is typed.
    this.#lines.write(null as never, { ctrl: true, name: 'e' })
    this.#lines.write(null as never, { ctrl: true, name: 'u' })
    this.#prompt('=')
  }

  async #read(standing: Standing): Promise<string | undefined> {
    if (standing === '=') this.#remember()
    let line = this.#typed.shift()
    if (line === undefined) {
      if (this.#closed) return undefined
      this.#prompt(standing)
      line = await new Promise<string | undefined>((resolve) => (this.#waiting = resolve))
    }
    if (line === undefined) return undefined
    this.#entry.push(line)
    return line + '\n'
  }

  /** A statement of several lines becomes one entry, unless a comment would swallow its rest. */
  #remember(): void {
    const entry = this.#entry
    this.#entry = []
    if (entry.length < 2 || entry.some((line) => line.includes('--'))) return
    const { history } = this.#lines
    // Lines that are blank or were there already have no entry of their own.
    const kept = entry.filter((line) => line.trim() !== '')
    if (kept.every((line, i) => history[kept.length - 1 - i] === line)) history.splice(0, kept.length, kept.join(' '))
  }

  #prompt(standing: Standing): void {
    const { session, options } = this.#runner
    const mark = session.status === 'T' ? '*>' : session.status === 'E' ? '!>' : '>'
    const name = options.screen.color ? `\x1b[1m${session.database}\x1b[22m` : session.database
    this.#lines.setPrompt(`${name}${standing}${mark} `)
    this.#lines.prompt()
  }

  #complete(line: string, done: (error: null, result: [string[], string]) => void): void {
    // While a statement runs the session cannot be asked for names.
    const ready = this.#waiting === undefined ? Promise.resolve() : this.#completer.prepare()
    void ready.then(() => done(null, this.#completer.complete(this.#input.pending + line, line)))
  }
}
