/**
 * The startup parameter `options`: settings as a command line, -c name=value or --name=value, with blanks and
 * backslashes escaped by a backslash.
 *
 * Source: PostgreSQL manual, "Connection Parameters". Not here: what settings may be (settings.ts).
 */
import { DbError } from '../../base/index.ts'

/** Raises syntax_error for what is no setting. */
export function startupOptions(text: string): [name: string, value: string][] {
  const words = Array.from(text.matchAll(/(?:\\[\s\S]|[^\s\\])+/g), ([word]) => word.replace(/\\([\s\S])/g, '$1'))
  const out: [string, string][] = []
  for (let i = 0; i < words.length; i++) {
    let word = words[i]
    if (word === '-c') word = words[++i] ?? ''
    else if (word.startsWith('-c') || word.startsWith('--')) word = word.slice(2)
    else throw new DbError('syntax_error', `invalid command-line argument for server process: ${word}`)
    const at = word.indexOf('=')
    if (at < 1) throw new DbError('syntax_error', `-c ${word} requires a value`)
    out.push([word.slice(0, at).replaceAll('-', '_'), word.slice(at + 1)])
  }
  return out
}
