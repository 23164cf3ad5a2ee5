/**
 * Functions that read the catalog: definitions as text, names of objects, visibility, comments, sizes.
 *
 * Not here: privileges (privilege-functions.ts), relations of pg_catalog (catalog/system).
 */
import { DbError } from '../../base/index.ts'
import { functionRow } from '../bind/calls.ts'
import { ParameterTypes } from '../bind/context.ts'
import { formatType, quoteIdentifier } from '../bind/type-name.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'
import { effectivePath, findRelation, pgCatalog, relationVisible, schemaName } from '../catalog/names.ts'
import { commentOn, predefinedRoles } from '../catalog/system/cluster.ts'
import { systemKeyDefinition } from '../catalog/system/constraints.ts'
import { type Fact, factsOf } from '../catalog/system/facts.ts'
import { derivedOid } from '../catalog/system/relations.ts'
import { systemRelation } from '../catalog/system-schema.ts'
import {
  constraintDefinition,
  deparserOver,
  expressionText,
  functionArguments,
  functionDefinition,
  functionResult,
  indexDefinition,
  ruleDefinition,
  triggerDefinition,
  viewDefinition,
} from '../deparse/definitions.ts'
import { deparse } from '../deparse/expression.ts'
import { storageSpan } from '../execute/tables.ts'
import { aggregateRow, functionByOid, operatorByOid, registerCode } from '../functions/registry.ts'
import { SqlRecord } from '../types/record.ts'
import { builtinType, builtinTypeNamed, builtinTypeNamespace } from '../types/registry.ts'
import type { RegKind, TypeContext, Value } from '../types/type.ts'
import { splitName } from './reg-names.ts'
import type { Session } from './session.ts'
import { sessionFunction, sessionOf } from './session-functions.ts'

const contextOf = (s: Session) => s.bindContext('', new ParameterTypes([], false))

export function registerCatalogFunctions(): void {
  definitions()
  functions()
  names()
  visibility()
  comments()
  sizes()
  sequences()
  describe()
}

/** Answers NULL where the first argument is NULL although PostgreSQL's function is not strict. */
function definitions(): void {
  for (const [suffix, pretty] of [
    ['', false],
    ['_ext', true],
  ] as const) {
    const flag = (given: boolean | undefined) => (pretty ? given === true : false)
    sessionFunction(`pg_get_expr${suffix}`, (s, tree: string, relation: number, p?: boolean) =>
      expressionText(s, tree, relation, flag(p)),
    )
    sessionFunction(
      `pg_get_constraintdef${suffix}`,
      (s, oid: number, p?: boolean) => constraintDefinition(s, oid, flag(p)) ?? systemKeyDefinition(oid) ?? null,
    )
    sessionFunction(`pg_get_viewdef${suffix}`, (s, oid: number, p?: boolean) => viewDefinition(s, oid, flag(p)) ?? null)
    sessionFunction(
      `pg_get_viewdef_name${suffix}`,
      (s, name: string, p?: boolean) => viewDefinition(s, s.types.names.lookup('regclass', name), flag(p)) ?? null,
    )
    sessionFunction(`pg_get_ruledef${suffix}`, (s, oid: number, p?: boolean) => {
      for (const r of s.catalog.relations())
        if (r.view !== undefined && derivedOid(r.oid, 0) === oid) return ruleDefinition(s, r, flag(p))
      return null
    })
    sessionFunction(`pg_get_triggerdef${suffix}`, (s, oid: number, p?: boolean) => {
      const t = s.catalog.trigger(oid)
      return t === undefined ? null : triggerDefinition(s, t, flag(p))
    })
  }
  sessionFunction('pg_get_viewdef_wrap', (s, oid: number) => viewDefinition(s, oid, true) ?? null)
  sessionFunction('pg_get_indexdef', (s, oid: number) => indexDefinition(s, oid, 0, false) ?? null)
  sessionFunction(
    'pg_get_indexdef_ext',
    (s, oid: number, column: number, pretty: boolean) => indexDefinition(s, oid, column, pretty) ?? null,
  )
  // Tables have no partitions, and statistics over several columns do not exist.
  for (const source of [
    'pg_get_partkeydef',
    'pg_get_partition_constraintdef',
    'pg_get_statisticsobjdef',
    'pg_get_statisticsobjdef_columns',
    'pg_get_statisticsobjdef_expressions',
  ]) {
    sessionFunction(source, () => null)
  }
}

let procFacts: Map<string, Fact> | undefined

/** The arguments of a built-in function as its declaration would have them. */
function builtinArguments(s: Session, oid: number, defaults: boolean): string | null {
  procFacts ??= new Map(factsOf('pg_proc').map((f) => [f.oid!, f]))
  const f = procFacts.get(String(oid))
  if (f === undefined) return null
  const types = (f.proallargtypes ?? f.proargtypes ?? '').split(' ').filter((t) => t !== '')
  const modes = f.proargmodes?.split(' ')
  const names = f.proargnames?.split(' ')
  const values = (f.proargdefaults ?? '').split(', ')
  const inputs = Number(f.pronargs)
  // Defaults belong to the last inputs.
  const first = inputs - Number(f.pronargdefaults)
  let input = 0
  const parts: string[] = []
  types.forEach((type, i) => {
    const mode = modes?.[i] ?? 'i'
    const isInput = mode !== 'o' && mode !== 't'
    const value =
      isInput && input >= first && values.length === inputs - first ? ` DEFAULT ${values[input - first]}` : ''
    if (isInput) input++
    if (mode === 't') return
    const word = { o: 'OUT ', b: 'INOUT ', v: 'VARIADIC ' }[mode] ?? ''
    const name = names?.[i] ? `${quoteIdentifier(names[i])} ` : ''
    parts.push(`${word}${name}${formatType(contextOf(s), Number(type), -2)}${defaults ? value : ''}`)
  })
  const aggregate = aggregateRow(oid)
  if (aggregate === undefined || aggregate.kind === 'n') return parts.join(', ')
  // The aggregated arguments of an ordered set; a variadic one stands on both sides.
  const direct = parts.slice(0, aggregate.directArgs)
  const ordered = parts.length > direct.length ? parts.slice(direct.length) : parts.slice(-1)
  return `${direct.join(', ')}${direct.length > 0 ? ' ' : ''}ORDER BY ${ordered.join(', ')}`
}

function functions(): void {
  sessionFunction('pg_get_function_arguments', (s, oid: number) => {
    const f = s.catalog.function(oid)
    if (f !== undefined) return functionArguments(s, f, false)
    return builtinArguments(s, oid, true)
  })
  sessionFunction('pg_get_function_identity_arguments', (s, oid: number) => {
    const f = s.catalog.function(oid)
    return f !== undefined ? functionArguments(s, f, true) : builtinArguments(s, oid, false)
  })
  sessionFunction('pg_get_function_result', (s, oid: number) => {
    const f = s.catalog.function(oid)
    if (f !== undefined) return functionResult(s, f)
    const row = functionByOid(oid)
    return row === undefined ? null : `${row.returnsSet ? 'SETOF ' : ''}${formatType(contextOf(s), row.result, -2)}`
  })
  sessionFunction('pg_get_functiondef', (s, oid: number) => {
    const f = s.catalog.function(oid)
    return f === undefined ? null : functionDefinition(s, f)
  })
  sessionFunction('pg_get_function_sqlbody', () => null)
  sessionFunction('pg_get_function_arg_default', (s, oid: number, n: number) => {
    const a = s.catalog.function(oid)?.args[n - 1]
    return a?.default === undefined ? null : deparse(deparserOver(s, undefined, false), a.default)
  })
}

/** to_reg*: NULL instead of an error when there is no such object. */
function lookup(kind: RegKind): (s: Session, text: string) => Value {
  return (s, text) => {
    try {
      if (/^\d+$/.test(text)) return Number(text)
      return s.types.names.lookup(kind, text)
    } catch (error) {
      if (
        error instanceof DbError &&
        [
          'undefined_table',
          'undefined_object',
          'undefined_function',
          'ambiguous_function',
          'invalid_schema_name',
          'syntax_error',
        ].includes(error.code)
      )
        return null
      throw error
    }
  }
}

const encodings = [
  'SQL_ASCII',
  'EUC_JP',
  'EUC_CN',
  'EUC_KR',
  'EUC_TW',
  'EUC_JIS_2004',
  'UTF8',
  'MULE_INTERNAL',
  'LATIN1',
  'LATIN2',
  'LATIN3',
  'LATIN4',
  'LATIN5',
  'LATIN6',
  'LATIN7',
  'LATIN8',
  'LATIN9',
  'LATIN10',
  'WIN1256',
  'WIN1258',
  'WIN866',
  'WIN874',
  'KOI8R',
  'WIN1251',
  'WIN1252',
  'ISO_8859_5',
  'ISO_8859_6',
  'ISO_8859_7',
  'ISO_8859_8',
  'WIN1250',
  'WIN1253',
  'WIN1254',
  'WIN1255',
  'WIN1257',
  'KOI8U',
  'SJIS',
  'BIG5',
  'GBK',
  'UHC',
  'GB18030',
  'JOHAB',
  'SHIFT_JIS_2004',
]

function names(): void {
  registerCode('format_type', () => (type: number | null, typmod: number | null, types: TypeContext) => {
    if (type === null) return null
    const s = sessionOf(types)
    return formatType(contextOf(s), type, typmod ?? -2)
  })
  sessionFunction(
    'pg_get_userbyid',
    (s, oid: number) => s.catalog.role(oid)?.name ?? predefinedRoles.get(oid) ?? `unknown (OID=${oid})`,
  )
  sessionFunction('PG_encoding_to_char', (_s, encoding: number) => encodings[encoding] ?? '')
  sessionFunction('PG_char_to_encoding', (_s, name: string) => {
    const plain = name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '')
    return encodings.findIndex((e) => e.replaceAll('_', '') === (plain === 'UNICODE' ? 'UTF8' : plain))
  })
  sessionFunction('pg_client_encoding', (s) => s.settings.get('client_encoding'))
  sessionFunction('getdatabaseencoding', () => 'UTF8')
  sessionFunction('pg_encoding_max_length_sql', (_s, encoding: number) =>
    encodings[encoding] === 'UTF8' ? 4 : encodings[encoding] === undefined ? null : 1,
  )
  sessionFunction('text_regclass', (s, text: string) => s.types.names.lookup('regclass', text))
  for (const kind of [
    'regclass',
    'regtype',
    'regproc',
    'regprocedure',
    'regoper',
    'regoperator',
    'regnamespace',
    'regrole',
    'regcollation',
  ] as const) {
    sessionFunction(`to_${kind}`, lookup(kind))
  }
}

function typeVisible(s: Session, oid: number): boolean | null {
  const type = s.catalog.type(oid)
  if (type === undefined) {
    const namespace = builtinTypeNamespace.get(oid)
    return namespace === undefined ? null : effectivePath(s.names).includes(namespace)
  }
  for (const schema of effectivePath(s.names)) {
    const found = schema === pgCatalog ? builtinTypeNamed(type.name) : s.catalog.typeNamed(schema, type.name)?.oid
    if (found !== undefined) return found === oid
  }
  return false
}

function visibility(): void {
  sessionFunction('pg_table_is_visible', (s, oid: number) => {
    const r = s.catalog.relation(oid) ?? systemRelation(oid)?.descriptor
    if (r !== undefined) return relationVisible(s.names, r)
    return factsOf('pg_index').some((f) => f.indexrelid === String(oid)) ? true : null
  })
  sessionFunction('pg_type_is_visible', typeVisible)
  sessionFunction('pg_function_is_visible', (s, oid: number) => {
    const f = s.catalog.function(oid)
    if (f === undefined) return functionByOid(oid) === undefined ? null : true
    for (const schema of effectivePath(s.names)) {
      if (schema === f.schema) return true
      const same = s.catalog
        .functionsNamed(f.name)
        .some(
          (o) =>
            o.schema === schema &&
            JSON.stringify(o.args.map((a) => a.type)) === JSON.stringify(f.args.map((a) => a.type)),
        )
      if (same) return false
    }
    return false
  })
  sessionFunction('pg_operator_is_visible', (_s, oid: number) => (operatorByOid(oid) === undefined ? null : true))
  // Of these kinds there are built-in ones only, all of pg_catalog.
  for (const kind of [
    'opclass',
    'opfamily',
    'conversion',
    'collation',
    'statistics_obj',
    'ts_config',
    'ts_dict',
    'ts_parser',
    'ts_template',
  ]) {
    sessionFunction(`pg_${kind}_is_visible`, (_s, oid: number) => oid < 16384)
  }
  sessionFunction(
    'pg_is_other_temp_schema',
    (s, oid: number) => oid !== s.temporarySchema && (s.catalog.schema(oid)?.name.startsWith('pg_temp_') ?? false),
  )
}

function comments(): void {
  const text = (s: Session, oid: number, sub: number, catalog?: string): Value => {
    const c = commentOn(s, oid, sub)
    if (c === undefined) return null
    const relation = catalog === undefined ? undefined : findRelation(s.names, 'pg_catalog', catalog)
    return relation === undefined || relation.oid === c.classOid ? c.text : null
  }
  sessionFunction('obj_description(oid,name)', (s, oid: number, catalog: string) => text(s, oid, 0, catalog))
  sessionFunction('obj_description(oid)', (s, oid: number) => text(s, oid, 0))
  sessionFunction('shobj_description(oid,name)', (s, oid: number, catalog: string) => text(s, oid, 0, catalog))
  sessionFunction('col_description(oid,int4)', (s, oid: number, column: number) =>
    column === 0 ? null : text(s, oid, column, 'pg_class'),
  )
}

/** Bytes of a relation by the engine's estimate. */
function bytesOf(s: Session, r: RelationDescriptor | undefined): number {
  if (r === undefined || r.storage === 0 || r.relkind === 'v' || r.relkind === 'c') return 0
  // A table that is stored in the order of its primary key shares the key's storage.
  if (r.index !== undefined && s.catalog.relation(r.index.table)?.storage === r.storage) return 0
  return s.database.store.engine.estimate(storageSpan(r.storage)).bytes
}

function sizes(): void {
  const indexBytes = (s: Session, r: RelationDescriptor | undefined) =>
    (r?.indexes ?? []).reduce((n, i) => n + bytesOf(s, s.catalog.relation(i)), 0)
  const known = (s: Session, oid: number, size: (r: RelationDescriptor | undefined) => number): Value => {
    const r = s.catalog.relation(oid)
    return r === undefined && systemRelation(oid) === undefined ? null : size(r)
  }
  sessionFunction('pg_relation_size(regclass)', (s, oid: number) => known(s, oid, (r) => bytesOf(s, r)))
  sessionFunction('pg_relation_size', (s, oid: number, fork: string) =>
    known(s, oid, (r) => (fork === 'main' ? bytesOf(s, r) : 0)),
  )
  sessionFunction('pg_table_size', (s, oid: number) => known(s, oid, (r) => bytesOf(s, r)))
  sessionFunction('pg_indexes_size', (s, oid: number) => known(s, oid, (r) => indexBytes(s, r)))
  sessionFunction('pg_total_relation_size', (s, oid: number) => known(s, oid, (r) => bytesOf(s, r) + indexBytes(s, r)))
  const database = (s: Session): number => {
    let n = 0
    for (const r of s.catalog.relations()) n += bytesOf(s, r)
    return n
  }
  sessionFunction('pg_database_size_oid', (s, oid: number) =>
    oid === s.databaseOid ? database(s) : s.catalog.database(oid) === undefined ? null : 0,
  )
  sessionFunction('pg_database_size_name', (s, name: string) => {
    const d = s.catalog.databaseNamed(name)
    if (d === undefined) throw new DbError('invalid_catalog_name', `database "${name}" does not exist`)
    return d.oid === s.databaseOid ? database(s) : 0
  })
  sessionFunction('pg_tablespace_size_oid', (s) => database(s))
  sessionFunction('pg_tablespace_size_name', (s) => database(s))
  sessionFunction('pg_tablespace_location', () => '')
  sessionFunction('pg_relation_filenode', (s, oid: number) => s.catalog.relation(oid)?.storage || null)
  sessionFunction('pg_relation_filepath', () => null)
  registerCode('pg_column_size', (site, context) => {
    const type = context.types.type(site.argTypes[0])
    return (value: Value) =>
      value === null ? null : type.length > 0 ? type.length : Buffer.byteLength(type.format(value, context)) + 1
  })
}

function sequences(): void {
  sessionFunction('pg_get_serial_sequence', (s, table: string, column: string) => {
    const parts = splitName(table)
    const r = findRelation(s.names, parts.length > 1 ? parts[parts.length - 2] : undefined, parts[parts.length - 1])
    if (r === undefined) throw new DbError('undefined_table', `relation "${parts.join('.')}" does not exist`)
    const c = r.columns.find((x) => x.name === column && !x.dropped)
    if (c === undefined)
      throw new DbError('undefined_column', `column "${column}" of relation "${r.name}" does not exist`)
    for (const q of s.catalog.relations()) {
      const owned = q.sequence !== undefined && q.sequence.ownedTable === r.oid && q.sequence.ownedColumn === c.number
      if (owned || c.identitySequence === q.oid)
        return `${quoteIdentifier(schemaName(s.names, q.schema))}.${quoteIdentifier(q.name)}`
    }
    return null
  })
  sessionFunction('pg_sequence_parameters', (s, oid: number) => {
    const q = s.catalog.relation(oid)?.sequence
    if (q === undefined) throw new DbError('undefined_table', `relation with OID ${oid} does not exist`)
    const types = [20, 20, 20, 20, 16, 20, 26].map(builtinType)
    const n = (text: string) => types[0].parse(text, -1, s.types)
    return new SqlRecord(
      types,
      [n(q.start), n(q.min), n(q.max), n(q.increment), q.cycle, n(q.cache), q.type],
      ['start_value', 'minimum_value', 'maximum_value', 'increment', 'cycle_option', 'cache_size', 'data_type'],
    )
  })
  sessionFunction('pg_sequence_last_value', (s, oid: number) => {
    const r = s.catalog.relation(oid)
    if (r === undefined) throw new DbError('undefined_table', `could not open relation with OID ${oid}`)
    if (r.sequence === undefined) throw new DbError('wrong_object_type', `"${r.name}" is not a sequence`)
    const { last, called } = s.sequences.current(r)
    return called ? last : null
  })
}

const catalogs = {
  relation: 1259,
  type: 1247,
  namespace: 2615,
  proc: 1255,
  constraint: 2606,
  attrdef: 2604,
  rewrite: 2618,
  trigger: 2620,
  role: 1260,
  database: 1262,
  extension: 3079,
}

/** pg_describe_object and pg_identify_object: what an object is called in messages. */
function describe(): void {
  sessionFunction('pg_describe_object', (s, classOid: number, oid: number, sub: number) => {
    if (oid === 0) return null
    const found = identify(s, classOid, oid, sub)
    return found === undefined ? null : found.description
  })
  sessionFunction('pg_identify_object', (s, classOid: number, oid: number, sub: number) => {
    const types = [25, 25, 25, 25].map(builtinType)
    const f = identify(s, classOid, oid, sub)
    return new SqlRecord(types, f === undefined ? [null, null, null, null] : [f.type, f.schema, f.name, f.identity], [
      'type',
      'schema',
      'name',
      'identity',
    ])
  })
  sessionFunction('pg_relation_is_publishable', (s, oid: number) => {
    const r = s.catalog.relation(oid)
    return r === undefined
      ? systemRelation(oid) === undefined
        ? null
        : false
      : r.relkind === 'r' && r.persistence === 'p'
  })
  sessionFunction(
    'pg_get_replica_identity_index',
    (s, oid: number) => s.catalog.relation(oid)?.constraints.find((c) => c.type === 'p')?.index ?? null,
  )
}

interface Identity {
  readonly type: string
  readonly schema: string | null
  readonly name: string | null
  readonly identity: string
  readonly description: string
}

const relationKinds = { r: 'table', v: 'view', m: 'materialized view', S: 'sequence', i: 'index', c: 'composite type' }

function identify(s: Session, classOid: number, oid: number, sub: number): Identity | undefined {
  const qualified = (schema: number, name: string) =>
    `${quoteIdentifier(schemaName(s.names, schema))}.${quoteIdentifier(name)}`
  switch (classOid) {
    case catalogs.relation: {
      const r = s.catalog.relation(oid) ?? systemRelation(oid)?.descriptor
      if (r === undefined) return undefined
      const kind = relationKinds[r.relkind]
      const shown = relationVisible(s.names, r) ? quoteIdentifier(r.name) : qualified(r.schema, r.name)
      const column = sub === 0 ? undefined : r.columns[sub - 1]?.name
      return {
        type: column === undefined ? kind : `${kind} column`,
        schema: schemaName(s.names, r.schema),
        name: column === undefined ? r.name : null,
        identity: `${qualified(r.schema, r.name)}${column === undefined ? '' : `.${quoteIdentifier(column)}`}`,
        description:
          column === undefined ? `${kind} ${shown}` : `column ${quoteIdentifier(column)} of ${kind} ${shown}`,
      }
    }
    case catalogs.type: {
      const name = formatType(contextOf(s), oid, -1)
      return {
        type: 'type',
        schema: schemaName(s.names, s.catalog.type(oid)?.schema ?? pgCatalog),
        name,
        identity: name,
        description: `type ${name}`,
      }
    }
    case catalogs.namespace: {
      const name = schemaName(s.names, oid)
      return { type: 'schema', schema: null, name, identity: quoteIdentifier(name), description: `schema ${name}` }
    }
    case catalogs.proc: {
      const row = functionRow(contextOf(s), oid)
      if (row === undefined) return undefined
      const signature = s.types.names.display('regprocedure', oid)
      return {
        type: 'function',
        schema: schemaName(s.names, s.catalog.function(oid)?.schema ?? pgCatalog),
        name: null,
        identity: signature,
        description: `function ${signature}`,
      }
    }
    case catalogs.constraint:
      for (const r of s.catalog.relations()) {
        const c = r.constraints.find((x) => x.oid === oid)
        if (c === undefined) continue
        const on = relationVisible(s.names, r) ? quoteIdentifier(r.name) : qualified(r.schema, r.name)
        return {
          type: 'table constraint',
          schema: schemaName(s.names, r.schema),
          name: null,
          identity: `${quoteIdentifier(c.name)} on ${qualified(r.schema, r.name)}`,
          description: `constraint ${quoteIdentifier(c.name)} on table ${on}`,
        }
      }
      return undefined
    case catalogs.attrdef:
    case catalogs.rewrite:
      for (const r of s.catalog.relations()) {
        const on = qualified(r.schema, r.name)
        if (classOid === catalogs.rewrite && r.view !== undefined && derivedOid(r.oid, 0) === oid) {
          return {
            type: 'rule',
            schema: null,
            name: null,
            identity: `"_RETURN" on ${on}`,
            description: `rule _RETURN on view ${quoteIdentifier(r.name)}`,
          }
        }
        const c = classOid === catalogs.attrdef ? r.columns.find((x) => derivedOid(r.oid, x.number) === oid) : undefined
        if (c !== undefined)
          return {
            type: 'default value',
            schema: null,
            name: null,
            identity: `for ${on}.${quoteIdentifier(c.name)}`,
            description: `default value for column ${quoteIdentifier(c.name)} of table ${quoteIdentifier(r.name)}`,
          }
      }
      return undefined
    default: {
      const named =
        classOid === catalogs.role
          ? s.catalog.role(oid)
          : classOid === catalogs.database
            ? s.catalog.database(oid)
            : classOid === catalogs.extension
              ? s.catalog.extension(oid)
              : s.catalog.trigger(oid)
      const type = {
        [catalogs.role]: 'role',
        [catalogs.database]: 'database',
        [catalogs.extension]: 'extension',
        [catalogs.trigger]: 'trigger',
      }[classOid]
      return named === undefined || type === undefined
        ? undefined
        : {
            type,
            schema: null,
            name: named.name,
            identity: quoteIdentifier(named.name),
            description: `${type} ${named.name}`,
          }
    }
  }
}
