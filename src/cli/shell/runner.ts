/**
 * Runs pieces of input on a session and shows what comes of them.
 *
 * Not here: where input comes from (input.ts), the commands (commands.ts).
 */
import { DbError } from '../../base/index.ts'
import type { RawResult, RawSession } from '../../client/index.ts'
import type { Clock } from '../../io/index.ts'
import { runCommand } from './commands.ts'
import { formatError } from './error-text.ts'
import type { Input } from './input.ts'
import type { Piece } from './splitter.ts'
import { formatTable, type TableFormat, type TableStyle } from './table.ts'

export interface Screen {
  write(text: string): void
  writeError(text: string): void
  /** Columns of the terminal. */
  readonly width: number
  readonly color: boolean
}

/** A backslash command that only some shells have. */
export interface ExtraCommand {
  /** What follows its name, for the help. */
  readonly argument: string
  readonly says: string
  run(argument: string): Promise<void>
}

export interface ShellOptions {
  readonly screen: Screen
  readonly clock: Clock
  /** Opens a session, to the database named or the first one again. */
  readonly connect: (database?: string) => Promise<RawSession>
  readonly readFile: (path: string) => Promise<string>
  /** By name, with the backslash. */
  readonly commands?: ReadonlyMap<string, ExtraCommand>
  format: TableFormat
  timing: boolean
  /** Command tags are not shown. */
  quiet: boolean
  /** SQLSTATE and names of objects with errors. */
  verbose: boolean
}

/** COPY … FROM STDIN or TO STDOUT, outside of quotes well enough for what people write. */
const copyPattern = /^\s*copy\b[\s\S]*\b(from\s+stdin|to\s+stdout)\b/i
/** Statements after which names may be others. */
const changesNames = /^\s*(create|drop|alter|set\s+search_path|reset|rollback|\\i)/i

export class Runner {
  readonly options: ShellOptions
  session: RawSession
  /** Called after statements that change names. */
  onNamesChanged: () => void = () => {}
  quit = false

  private constructor(options: ShellOptions, session: RawSession) {
    this.options = options
    this.session = session
    this.#watch(session)
  }

  static async start(options: ShellOptions): Promise<Runner> {
    return new Runner(options, await options.connect())
  }

  get style(): TableStyle {
    const { screen, format } = this.options
    return { format, terminalWidth: screen.width, color: screen.color }
  }

  #watch(session: RawSession): void {
    const { screen } = this.options
    session.onNotice = (severity, notice) => screen.writeError(formatError(notice, '', severity))
    session.onMessage = ({ channel, payload, processId }) => {
      const said = payload === '' ? '' : ` with payload "${payload}"`
      screen.write(`Notification on "${channel}"${said} from process ${processId}.\n`)
    }
  }

  async reconnect(database?: string): Promise<void> {
    const session = await this.options.connect(database)
    const old = this.session
    this.session = session
    this.#watch(session)
    this.onNamesChanged()
    await old.close().catch(() => {})
  }

  /** Runs input to its end. False when something failed; with `stopAtError` the rest is not run then. */
  async runAll(input: Input, stopAtError: boolean): Promise<boolean> {
    let good = true
    while (!this.quit) {
      const piece = await input.piece()
      if (piece === undefined) break
      if (await this.run(piece, input)) continue
      good = false
      if (stopAtError) return false
    }
    return good
  }

  /** Runs one piece. False when it failed; the error has been shown. */
  async run(piece: Piece, input: Input): Promise<boolean> {
    const statement = piece.kind === 'statement' ? piece.text : piece.before
    try {
      if (piece.kind === 'command') return await runCommand(this, piece, input)
      await this.#recover()
      await this.statement(piece.text, input)
      return true
    } catch (error) {
      await this.#showError(error, statement)
      return false
    }
  }

  /** A connection that was lost while nothing ran is made anew, with another node if need be. */
  async #recover(): Promise<void> {
    if (!this.session.broken || this.session.status !== 'I') return
    await this.reconnect(this.session.database)
    this.options.screen.writeError('The connection was lost meanwhile; connected again.\n')
  }

  async statement(text: string, input: Input, format?: TableFormat): Promise<void> {
    const { clock, screen } = this.options
    const began = clock.monotonicMicros()
    const copy = copyPattern.exec(text)
    if (copy === null) for (const result of await this.session.script(text)) this.show(result, format)
    else if (/^from/i.test(copy[1])) this.#tag(await this.session.copyIn(text, copyData(input)))
    else for await (const bytes of this.session.copyOut(text)) screen.write(Buffer.from(bytes).toString())
    if (this.options.timing) {
      screen.write(`Time: ${((clock.monotonicMicros() - began) / 1000).toFixed(3)} ms\n`)
    }
    if (changesNames.test(text)) this.onNamesChanged()
  }

  show(result: RawResult, format?: TableFormat): void {
    if (result.fields === undefined) {
      this.#tag(result.tag)
      return
    }
    const style = format === undefined ? this.style : { ...this.style, format }
    this.options.screen.write(formatTable(result.fields, result.rows, style))
    // RETURNING: the rows do not say how many were changed by what.
    if (!/^(SELECT|SHOW|EXPLAIN|FETCH|VALUES)/.test(result.tag)) this.#tag(result.tag)
  }

  #tag(tag: string): void {
    if (!this.options.quiet && tag !== '' && !machineReadable(this.options.format))
      this.options.screen.write(tag + '\n')
  }

  async #showError(error: unknown, statement: string): Promise<void> {
    const { screen, verbose } = this.options
    if (!(error instanceof DbError)) {
      screen.writeError(`${error instanceof Error ? error.message : String(error)}\n`)
      return
    }
    screen.writeError(formatError(error, statement, this.session.broken ? 'FATAL' : 'ERROR', verbose))
    if (!this.session.broken) return
    screen.writeError('The connection is lost. Connecting again … ')
    try {
      await this.reconnect(this.session.database)
      screen.writeError('done.\n')
    } catch (failure) {
      screen.writeError(`failed: ${(failure as Error).message}\n`)
    }
  }
}

function machineReadable(format: TableFormat): boolean {
  return format === 'csv' || format === 'json'
}

/** The lines up to "\.", as COPY's data. */
async function* copyData(input: Input): AsyncIterableIterator<Uint8Array> {
  let piece = ''
  // What is left of the statement's own line.
  await input.line()
  for (let line = await input.line(); line !== undefined && line !== '\\.'; line = await input.line()) {
    piece += line + '\n'
    if (piece.length < 32 * 1024) continue
    yield Buffer.from(piece)
    piece = ''
  }
  if (piece !== '') yield Buffer.from(piece)
}
