/** What reg* types ask: names to oids and back, by this session's search path. */
import { DbError } from '../../base/index.ts'
import { candidatesNamed, functionRow } from '../bind/calls.ts'
import { ParameterTypes } from '../bind/context.ts'
import { findType, formatType, quoteIdentifier, resolveTypeName } from '../bind/type-name.ts'
import { findRelation, pgCatalog, relationVisible, schemaName, schemaNamed } from '../catalog/names.ts'
import { systemRelation } from '../catalog/system-schema.ts'
import { operatorByOid, operatorsByName } from '../functions/registry.ts'
import { parse } from '../parse/parser.ts'
import type { CatalogNames, RegKind } from '../types/type.ts'
import type { Session } from './session.ts'

export class RegNames implements CatalogNames {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  get #context() {
    return this.#session.bindContext('', new ParameterTypes([], false))
  }

  lookup(kind: RegKind, text: string): number {
    const { names } = this.#session
    switch (kind) {
      case 'regclass': {
        const parts = splitName(text)
        const relation = findRelation(
          names,
          parts.length > 1 ? parts[parts.length - 2] : undefined,
          parts[parts.length - 1],
        )
        if (relation === undefined) throw new DbError('undefined_table', `relation "${parts.join('.')}" does not exist`)
        return relation.oid
      }
      case 'regtype':
        return typeOid(this.#context, text)
      case 'regnamespace': {
        const oid = schemaNamed(names, splitName(text)[0])
        if (oid === undefined) throw new DbError('invalid_schema_name', `schema "${text}" does not exist`)
        return oid
      }
      case 'regrole': {
        const role = names.catalog.roleNamed(splitName(text)[0])
        if (role === undefined) throw new DbError('undefined_object', `role "${text}" does not exist`)
        return role.oid
      }
      case 'regproc':
      case 'regprocedure':
        return this.#function(kind, text)
      case 'regoper':
      case 'regoperator': {
        const found = operatorsByName(splitName(text.replace(/\(.*$/, '')).at(-1)!)
        if (found.length === 0) throw new DbError('undefined_function', `operator does not exist: ${text}`)
        return found[0].oid
      }
      case 'regcollation':
        return text.includes('default') ? 100 : 950
      default:
        throw new DbError('undefined_object', `${kind.slice(3)} "${text}" does not exist`)
    }
  }

  #function(kind: RegKind, text: string): number {
    const open = text.indexOf('(')
    const parts = splitName(open < 0 ? text : text.slice(0, open))
    const found = candidatesNamed(this.#context, parts)
    if (kind === 'regproc') {
      if (found.length === 0) throw new DbError('undefined_function', `function "${text}" does not exist`)
      if (found.length > 1) throw new DbError('ambiguous_function', `more than one function named "${text}"`)
      return found[0].oid
    }
    const inside = open < 0 ? '' : text.slice(open + 1, text.lastIndexOf(')'))
    const types = inside.trim() === '' ? [] : inside.split(',').map((t) => typeOid(this.#context, t.trim()))
    const exact = found.find((f) => f.args.length === types.length && f.args.every((a, i) => a === types[i]))
    if (exact === undefined) throw new DbError('undefined_function', `function "${text}" does not exist`)
    return exact.oid
  }

  display(kind: RegKind, oid: number): string {
    const { names } = this.#session
    const context = this.#context
    switch (kind) {
      case 'regclass': {
        const relation = systemRelation(oid)?.descriptor ?? names.catalog.relation(oid)
        if (relation === undefined) return String(oid)
        const name = quoteIdentifier(relation.name)
        return relationVisible(names, relation)
          ? name
          : `${quoteIdentifier(schemaName(names, relation.schema))}.${name}`
      }
      case 'regtype':
        return known(() => names.catalog.type(oid) ?? context.types.types.type(oid))
          ? formatType(context, oid, -2)
          : String(oid)
      case 'regnamespace':
        return quoteIdentifier(schemaName(names, oid))
      case 'regrole':
        return quoteIdentifier(names.catalog.role(oid)?.name ?? String(oid))
      case 'regproc':
      case 'regprocedure': {
        const row = functionRow(context, oid)
        if (row === undefined) return String(oid)
        const name = quoteIdentifier(row.name)
        // Qualified where the name alone would not find this one (regproc) or no overload of it at all (regprocedure).
        const found = candidatesNamed(context, [row.name])
        const plain = kind === 'regproc' ? found.length === 1 && found[0].oid === oid : found.some((f) => f.oid === oid)
        const schema = plain
          ? ''
          : `${quoteIdentifier(schemaName(names, names.catalog.function(oid)?.schema ?? pgCatalog))}.`
        return kind === 'regproc'
          ? `${schema}${name}`
          : `${schema}${name}(${row.args.map((t) => formatType(context, t, -2)).join(',')})`
      }
      case 'regoper':
      case 'regoperator': {
        const row = operatorByOid(oid)
        if (row === undefined) return String(oid)
        if (kind === 'regoper') return operatorsByName(row.name).length === 1 ? row.name : `pg_catalog.${row.name}`
        return `${row.name}(${row.left === 0 ? 'NONE' : formatType(context, row.left, -2)},${formatType(context, row.right, -2)})`
      }
      case 'regcollation':
        return oid === 100 ? '"default"' : oid === 950 ? '"C"' : oid === 951 ? '"POSIX"' : String(oid)
      default:
        return String(oid)
    }
  }
}

function known(find: () => unknown): boolean {
  try {
    return find() !== undefined
  } catch {
    return false
  }
}

function typeOid(context: ReturnType<Session['bindContext']>, text: string): number {
  const quick = findType(context, splitName(text))
  if (quick !== undefined) return quick
  const [raw] = parse(`SELECT NULL::${text}`)
  const cast = (raw.node as any).SelectStmt?.targetList?.[0].ResTarget.val.TypeCast
  if (cast === undefined) throw new DbError('syntax_error', `invalid type name "${text}"`)
  try {
    return resolveTypeName(context, cast.typeName).type
  } catch (error) {
    if (error instanceof DbError) error.position = undefined
    throw error
  }
}

/** a.b."C d" as its parts; unquoted ones in lower case. */
export function splitName(text: string): string[] {
  const out: string[] = []
  for (const m of text.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^".]+))\s*(?:\.|$)/g)) {
    out.push(m[1] !== undefined ? m[1].replaceAll('""', '"') : m[2].trim().toLowerCase())
  }
  return out.length === 0 ? [text] : out
}
