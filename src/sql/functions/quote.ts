/**
 * Quoting of identifiers and literals: quote_ident, quote_literal, quote_nullable.
 *
 * Not here: format() (text-format.ts).
 */
import pgKeywords from '../catalog/data/pg_keywords.json' with { type: 'json' }
import { catalogCells } from '../types/catalog-table.ts'

/** Words that need quotes as identifiers: all keywords but the unreserved ones. */
const keywords = new Set<string>()
for (const line of pgKeywords.rows) {
  const [word, category] = catalogCells(line)
  if (category !== 'U') keywords.add(word!)
}

export function quoteIdentifier(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !keywords.has(name) ? name : `"${name.replaceAll('"', '""')}"`
}

/** With backslashes it becomes an escape string, E'…'. */
export function quoteLiteral(text: string): string {
  const body = text.replace(/['\\]/g, '$&$&')
  return text.includes('\\') ? `E'${body}'` : `'${body}'`
}
