/**
 * Tagged templates to text and parameters.
 *
 *   sql`select ${1} from ${identifier('t')} ${fragment`where a = ${2}`}`   ►   'select $1 from "t" where a = $2', [1, 2]
 *
 * Not here: running them.
 */
import { quoteIdentifier } from './values.ts'

/** A piece of a statement: text with parameters in it. Made by `fragment` and `identifier` only. */
export class Fragment {
  readonly strings: readonly string[]
  readonly values: readonly unknown[]

  constructor(strings: readonly string[], values: readonly unknown[]) {
    this.strings = strings
    this.values = values
  }
}

/** A piece of a statement to put into `sql` templates; nests. */
export function fragment(strings: TemplateStringsArray, ...values: readonly unknown[]): Fragment {
  return new Fragment(strings, values)
}

/** A name, quoted: identifier('schema', 'table') is "schema"."table". */
export function identifier(...parts: readonly string[]): Fragment {
  return new Fragment([parts.map(quoteIdentifier).join('.')], [])
}

/** The statement and its parameters. */
export function renderTemplate(
  strings: readonly string[],
  values: readonly unknown[],
): { text: string; values: unknown[] } {
  const parameters: unknown[] = []
  const render = (pieces: readonly string[], holes: readonly unknown[]): string => {
    let text = pieces[0]
    holes.forEach((hole, i) => {
      if (hole instanceof Fragment) text += render(hole.strings, hole.values)
      else text += `$${parameters.push(hole)}`
      text += pieces[i + 1]
    })
    return text
  }
  const text = render(strings, values)
  return { text, values: parameters }
}
