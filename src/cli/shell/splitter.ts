/**
 * Cuts what is typed into statements and backslash commands, remembering between lines where it stands.
 *
 *   select ';' as a, $$;$$ as ";" -- ;      ◄ none of these ends a statement
 *   ;                                        ◄ this one does
 *   \d table                                 ◄ a command ends with its line
 *
 * Quotes, dollar quotes, nested comments and parentheses as PostgreSQL's lexer has them.
 *
 * Not here: running anything.
 */

export type Piece =
  | { readonly kind: 'statement'; readonly text: string }
  /** A backslash command; `before` is the statement that stood in front of it, as in "select 1 \g". */
  | { readonly kind: 'command'; readonly text: string; readonly before: string }

/** What the prompt shows: nothing begun, a statement, or what is open in it. */
export type Standing = '=' | '-' | "'" | '"' | '$' | '*' | '('

type Mode = 'plain' | 'string' | 'escape-string' | 'identifier' | 'dollar' | 'comment'

export class StatementSplitter {
  /** Scanned parts of the piece under way; what is not scanned yet follows in the buffer, from `#at` on. */
  #scanned: string[] = []
  #buffer = ''
  #at = 0
  #mode: Mode = 'plain'
  #tag = ''
  #commentDepth = 0
  #parens = 0
  /** The two characters before the buffer. */
  #before = ''

  /** Adds input, which may be cut anywhere; a command needs its line's end. */
  feed(text: string): void {
    if (this.#at > 0) {
      const part = this.#buffer.slice(0, this.#at)
      this.#scanned.push(part)
      this.#before = (this.#before + part).slice(-2)
    }
    this.#buffer = this.#buffer.slice(this.#at) + text
    this.#at = 0
  }

  get standing(): Standing {
    switch (this.#mode) {
      case 'string':
      case 'escape-string':
        return "'"
      case 'identifier':
        return '"'
      case 'dollar':
        return '$'
      case 'comment':
        return '*'
      default:
        if (this.#parens > 0) return '('
        return this.pending.trim() === '' ? '=' : '-'
    }
  }

  /** What was typed and is not taken yet. */
  get pending(): string {
    return this.#scanned.join('') + this.#buffer
  }

  /** Forgets what is pending. */
  reset(): void {
    this.#buffer = ''
    this.#cut(0, 0)
    this.#mode = 'plain'
  }

  /** A raw line without its end, for data that follows a COPY; undefined when there is no whole line. */
  takeLine(): string | undefined {
    const end = this.#buffer.indexOf('\n', this.#at)
    if (end < 0) return undefined
    const line = this.#cut(end, end + 1)
    return line.endsWith('\r') ? line.slice(0, -1) : line
  }

  /** The rest as a last statement, though no semicolon ends it. */
  finish(): Piece | undefined {
    const text = this.pending
    this.reset()
    return hasContent(text) ? { kind: 'statement', text: text.trim() } : undefined
  }

  /** The next whole piece; undefined when more input is needed. */
  take(): Piece | undefined {
    while (this.#at < this.#buffer.length) {
      const from = this.#at
      const mode = this.#mode
      const piece = mode === 'plain' ? this.#plain() : this.#inside()
      if (piece !== undefined) return piece
      // What stands there can only be told from what follows.
      if (this.#at === from && this.#mode === mode) return undefined
    }
    return undefined
  }

  /** The piece up to `end` of the buffer; the next one begins at `next`. */
  #cut(end: number, next: number): string {
    const text = this.#scanned.join('') + this.#buffer.slice(0, end)
    this.#scanned = []
    this.#before = ''
    this.#buffer = this.#buffer.slice(next)
    this.#at = 0
    this.#parens = 0
    return text
  }

  #plain(): Piece | undefined {
    const buffer = this.#buffer
    const at = this.#at
    const last = at + 1 >= buffer.length
    switch (buffer[at]) {
      case ';':
        return this.#semicolon()
      case '\\':
        return this.#command()
      case "'":
        this.#mode = /(^|[^\w$])e$/i.test((this.#before + buffer.slice(0, at)).slice(-2)) ? 'escape-string' : 'string'
        break
      case '"':
        this.#mode = 'identifier'
        break
      case '(':
        this.#parens++
        break
      case ')':
        if (this.#parens > 0) this.#parens--
        break
      case '$':
        return this.#dollar()
      case '-':
        if (last) return undefined
        if (buffer[at + 1] === '-') return this.#lineComment()
        break
      case '/':
        if (last) return undefined
        if (buffer[at + 1] === '*') {
          this.#mode = 'comment'
          this.#commentDepth = 1
          this.#at++
        }
        break
    }
    this.#at++
    return undefined
  }

  #semicolon(): Piece | undefined {
    if (this.#parens > 0) {
      this.#at++
      return undefined
    }
    const text = this.#cut(this.#at, this.#at + 1).trim()
    if (hasContent(text)) return { kind: 'statement', text }
    // An empty statement: go on with what follows.
    return this.take()
  }

  #command(): Piece | undefined {
    const end = this.#buffer.indexOf('\n', this.#at)
    const stop = end < 0 ? this.#buffer.length : end
    const text = this.#buffer.slice(this.#at, stop).trim()
    const before = this.#cut(this.#at, Math.min(this.#buffer.length, stop + 1)).trim()
    return { kind: 'command', text, before: hasContent(before) ? before : '' }
  }

  /** The comment stays in the statement, its end is looked for in whatever comes. */
  #lineComment(): undefined {
    const end = this.#buffer.indexOf('\n', this.#at)
    if (end >= 0) this.#at = end
  }

  #dollar(): undefined {
    const before = (this.#before + this.#buffer.slice(0, this.#at)).at(-1) ?? ' '
    const rest = this.#buffer.slice(this.#at, this.#at + 70)
    if (/[\w$\u0080-\uffff]/.test(before)) {
      this.#at++
      return
    }
    const tag = /^\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/.exec(rest)
    if (tag !== null) {
      this.#tag = tag[0]
      this.#mode = 'dollar'
      this.#at += tag[0].length
    } else if (!/^\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?$/.test(rest)) this.#at++
  }

  /** Moves on in what is open. */
  #inside(): undefined {
    const buffer = this.#buffer
    if (this.#mode === 'dollar') {
      const end = buffer.indexOf(this.#tag, this.#at)
      if (end >= 0) {
        this.#at = end + this.#tag.length
        this.#mode = 'plain'
      } else this.#at = Math.max(this.#at, buffer.length - this.#tag.length + 1)
      return
    }
    const c = buffer[this.#at]
    const next = buffer[this.#at + 1]
    if (this.#mode === 'comment') {
      if (c !== '*' && c !== '/') this.#at++
      else if (next !== undefined) this.#nest(c, next)
      return
    }
    const quote = this.#mode === 'identifier' ? '"' : "'"
    if (c === '\\' && this.#mode === 'escape-string') {
      if (next !== undefined) this.#at += 2
    } else if (c !== quote) this.#at++
    else if (next === quote) this.#at += 2
    else if (next !== undefined) {
      this.#at++
      this.#mode = 'plain'
    }
  }

  #nest(c: string, next: string): void {
    if (c === '*' && next === '/') {
      this.#at += 2
      if (--this.#commentDepth === 0) this.#mode = 'plain'
    } else if (c === '/' && next === '*') {
      this.#at += 2
      this.#commentDepth++
    } else this.#at++
  }
}

/** Whether there is anything but blanks and comments. */
function hasContent(text: string): boolean {
  const bare = text.replace(/--[^\n]*/g, '').replace(/\/\*[\s\S]*?\*\//g, '')
  return bare.trim() !== ''
}
