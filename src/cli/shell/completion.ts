/**
 * Completion for the shell: backslash commands, keywords, tables after words that take one, columns elsewhere, and after
 * a dot the columns of what stands before it.
 *
 * Names are asked for once and again after a statement that changes them.
 *
 * Not here: the line editor (node:readline).
 */
import type { RawSession } from '../../client/index.ts'

const keywords = `abort add all alter analyze and any array as asc begin between by cascade case cast check close column
commit concurrently conflict constraint copy create cross current_date current_timestamp cursor database deallocate declare
default delete desc distinct do drop else end enum except execute exists explain extension false fetch filter first for
foreign from full function grant group grouping having if ilike in index inner insert intersect interval into is isolation
join key lateral left level like limit listen local lock materialized natural not nothing notify null nulls offset on only or
order outer over partition prepare primary read recursive references reindex release rename repeatable reset restrict
returning revoke right role rollback rows savepoint schema select sequence serializable session set sets show similar some
table temporary then to transaction true truncate type union unique unlisten update using vacuum values view when where
window with`.split(/\s+/)

/** Words after which a relation is named. */
const beforeRelation = new Set([
  'from',
  'join',
  'into',
  'update',
  'table',
  'on',
  'only',
  'copy',
  'truncate',
  'references',
])

interface Names {
  readonly relations: string[]
  readonly schemas: string[]
  readonly columns: Map<string, string[]>
}

export class Completer {
  readonly #session: () => RawSession
  readonly #commands: readonly string[]
  #names: Names | undefined

  constructor(session: () => RawSession, commands: readonly string[]) {
    this.#session = session
    this.#commands = commands
  }

  /** The next completion asks for the names anew. */
  forget(): void {
    this.#names = undefined
  }

  /** Asks for the names if they are not known. Inside a failed transaction there is nothing to ask. */
  async prepare(): Promise<void> {
    if (this.#names !== undefined || this.#session().status === 'E') return
    this.#names = await this.#ask().catch(() => undefined)
  }

  async #ask(): Promise<Names> {
    const [relations, schemas, columns] = await this.#session().script(
      `select c.relname from pg_catalog.pg_class c where c.relkind in ('r', 'v', 'm', 'p') and pg_catalog.pg_table_is_visible(c.oid)
        and c.relname not like 'pg_toast%' order by 1;
      select nspname from pg_catalog.pg_namespace where nspname not like 'pg_toast%' order by 1;
      select c.relname, a.attname from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'v', 'm', 'p')
        and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg_toast%'`,
    )
    const byRelation = new Map<string, string[]>()
    for (const [relation, column] of columns.rows as string[][]) {
      byRelation.set(relation, [...(byRelation.get(relation) ?? []), column])
    }
    const first = (rows: readonly (readonly (string | null)[])[]) => rows.map((row) => row[0]!)
    return { relations: first(relations.rows), schemas: first(schemas.rows), columns: byRelation }
  }

  /** Completions of the last word of a line, and that word. `statement` is all that is typed of it so far. */
  complete(statement: string, line: string): [completions: string[], word: string] {
    if (/^\s*\\\w*$/.test(line)) {
      const word = line.trimStart()
      return [this.#commands.filter((command) => command.startsWith(word)), word]
    }
    const word = /[\w".]*$/.exec(line)![0]
    if (word === '') return [[], word]
    const names = this.#names ?? { relations: [], schemas: [], columns: new Map<string, string[]>() }
    const dot = word.lastIndexOf('.')
    if (dot >= 0) {
      const owner = word.slice(0, dot)
      const columns = names.columns.get(relationOf(owner, statement, names.columns)) ?? []
      return [columns.map((column) => `${owner}.${column}`).filter((name) => name.startsWith(word)), word]
    }
    const before = /(\w+)\s+[\w".]*$/.exec(line)?.[1]?.toLowerCase() ?? ''
    const candidates = new Set<string>()
    if (/^\s*\\d/.test(line) || beforeRelation.has(before))
      for (const name of [...names.relations, ...names.schemas]) candidates.add(name)
    else {
      for (const [relation, columns] of names.columns) {
        // Columns of what the statement mentions come without the noise of all the others.
        if (new RegExp(`\\b${relation}\\b`, 'i').test(statement)) for (const column of columns) candidates.add(column)
      }
      const upper = word !== word.toLowerCase()
      for (const keyword of keywords) candidates.add(upper ? keyword.toUpperCase() : keyword)
      for (const name of names.relations) candidates.add(name)
    }
    return [[...candidates].filter((name) => name.startsWith(word)).sort(), word]
  }
}

/** The relation that an alias stands for in a statement, or the name itself. */
function relationOf(alias: string, statement: string, known: ReadonlyMap<string, unknown>): string {
  const place = new RegExp(`(\\w+)"?\\s+(?:as\\s+)?${alias.replace(/\W/g, '')}\\b`, 'gi')
  for (const match of statement.matchAll(place)) if (known.has(match[1])) return match[1]
  return alias.replaceAll('"', '')
}
