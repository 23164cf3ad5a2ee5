/** CREATE, ALTER SEQUENCE. A restart gives the sequence new storage, so that it is undone with its transaction. */
import { DbError } from '../../base/index.ts'
import { resolveTypeName } from '../bind/type-name.ts'
import type { RelationDescriptor, SequenceInfo } from '../catalog/descriptors.ts'
import { findRelation } from '../catalog/names.ts'
import * as oid from '../types/oids.ts'
import {
  type Command,
  type CommandTable,
  columnNamed,
  contextOf,
  openRelation,
  requireFree,
  type Session,
  targetSchema,
} from './context.ts'

export const sequenceCommands: CommandTable = {
  CreateSeqStmt: { transactional: 'inside', writes: true, run: create },
  AlterSeqStmt: { transactional: 'inside', writes: true, run: alter },
}

const limits: Record<number, [string, string]> = {
  [oid.int2Oid]: ['-32768', '32767'],
  [oid.int4Oid]: ['-2147483648', '2147483647'],
  [oid.int8Oid]: ['-9223372036854775808', '9223372036854775807'],
}

function numberOf(arg: any): string {
  if (arg.Integer) return String(arg.Integer.ival ?? 0)
  if (arg.Float) return arg.Float.fval
  throw new DbError('syntax_error', 'a number is expected')
}

/** Options of CREATE and ALTER SEQUENCE and of identity columns over `before`. */
export function sequenceOptions(
  session: Session,
  options: readonly any[],
  type: number = oid.int8Oid,
  before?: SequenceInfo,
): SequenceInfo {
  const seen = new Map<string, any>()
  for (const o of options) {
    const { defname, arg } = o.DefElem
    if (seen.has(defname)) throw new DbError('syntax_error', 'conflicting or redundant options')
    seen.set(defname, arg)
  }
  const as = seen.get('as')
  const dataType = as === undefined ? (before?.type ?? type) : resolveTypeName(contextOf(session), as.TypeName).type
  const bounds = limits[dataType]
  if (bounds === undefined)
    throw new DbError('invalid_parameter_value', 'sequence type must be smallint, integer, or bigint')
  const increment = seen.has('increment') ? numberOf(seen.get('increment')) : (before?.increment ?? '1')
  if (BigInt(increment) === 0n) throw new DbError('invalid_parameter_value', 'INCREMENT must not be zero')
  const ascending = BigInt(increment) > 0n
  const option = (name: string, kept: string | undefined, fallback: string): string => {
    if (!seen.has(name)) return kept ?? fallback
    const arg = seen.get(name)
    return arg === undefined ? fallback : numberOf(arg)
  }
  const sameType = before === undefined || before.type === dataType
  const max = option('maxvalue', sameType ? before?.max : undefined, ascending ? bounds[1] : '-1')
  const min = option('minvalue', sameType ? before?.min : undefined, ascending ? '1' : bounds[0])
  if (BigInt(max) > BigInt(bounds[1]) || BigInt(max) < BigInt(bounds[0]))
    throw new DbError(
      'invalid_parameter_value',
      `MAXVALUE (${max}) is out of range for sequence data type ${session.types.types.type(dataType).name}`,
    )
  if (BigInt(min) > BigInt(bounds[1]) || BigInt(min) < BigInt(bounds[0]))
    throw new DbError(
      'invalid_parameter_value',
      `MINVALUE (${min}) is out of range for sequence data type ${session.types.types.type(dataType).name}`,
    )
  if (BigInt(min) >= BigInt(max))
    throw new DbError('invalid_parameter_value', `MINVALUE (${min}) must be less than MAXVALUE (${max})`)
  const start = seen.has('start') ? numberOf(seen.get('start')) : (before?.start ?? (ascending ? min : max))
  if (BigInt(start) < BigInt(min))
    throw new DbError('invalid_parameter_value', `START value (${start}) cannot be less than MINVALUE (${min})`)
  if (BigInt(start) > BigInt(max))
    throw new DbError('invalid_parameter_value', `START value (${start}) cannot be greater than MAXVALUE (${max})`)
  const cache = seen.has('cache') ? numberOf(seen.get('cache')) : (before?.cache ?? '1')
  if (BigInt(cache) <= 0n) throw new DbError('invalid_parameter_value', `CACHE (${cache}) must be greater than zero`)
  const cycle = seen.has('cycle') ? (seen.get('cycle')?.Boolean?.boolval ?? false) : (before?.cycle ?? false)
  return {
    ...before,
    type: dataType,
    start,
    increment,
    min,
    max,
    cache,
    cycle,
    ...ownedBy(session, seen.get('owned_by')),
  }
}

function ownedBy(session: Session, arg: any): Partial<SequenceInfo> {
  if (arg === undefined) return {}
  const parts: string[] = arg.List.items.map((i: any) => i.String.sval)
  if (parts.length === 1 && parts[0] === 'none') return { ownedTable: undefined, ownedColumn: undefined }
  const column = parts[parts.length - 1]
  const table = findRelation(
    session.names,
    parts.length > 2 ? parts[parts.length - 3] : undefined,
    parts[parts.length - 2],
  )
  if (table === undefined)
    throw new DbError('undefined_table', `relation "${parts.slice(0, -1).join('.')}" does not exist`)
  return { ownedTable: table.oid, ownedColumn: columnNamed(table, column).number }
}

export function createSequence(
  session: Session,
  schema: number,
  name: string,
  info: SequenceInfo,
  temporary: boolean,
): number {
  requireFree(session, schema, name)
  const id = session.newOid()
  const descriptor: RelationDescriptor = {
    kind: 'relation',
    oid: id,
    name,
    owner: session.role,
    schema,
    relkind: 'S',
    persistence: temporary ? 't' : 'p',
    columns: [
      { number: 1, name: 'last_value', type: oid.int8Oid, typmod: -1, notNull: true, dropped: false, collation: 0 },
      { number: 2, name: 'log_cnt', type: oid.int8Oid, typmod: -1, notNull: true, dropped: false, collation: 0 },
      { number: 3, name: 'is_called', type: oid.boolOid, typmod: -1, notNull: true, dropped: false, collation: 0 },
    ],
    storage: id,
    layouts: [],
    constraints: [],
    indexes: [],
    rowType: 0,
    sequence: info,
  }
  session.change('relation', id, descriptor)
  return id
}

function* create(session: Session, node: any): Command {
  const { sequence } = node
  const temporary = sequence.relpersistence === 't'
  const schema = targetSchema(session, sequence.schemaname, temporary)
  if (node.if_not_exists && session.catalog.relationNamed(schema.oid, sequence.relname) !== undefined) {
    session.notice(`relation "${sequence.relname}" already exists, skipping`)
    return { tag: 'CREATE SEQUENCE' }
  }
  createSequence(session, schema.oid, sequence.relname, sequenceOptions(session, node.options ?? []), temporary)
  return { tag: 'CREATE SEQUENCE' }
}

function* alter(session: Session, node: any): Command {
  if (node.missing_ok && findRelation(session.names, node.sequence.schemaname, node.sequence.relname) === undefined) {
    session.notice(`relation "${node.sequence.relname}" does not exist, skipping`)
    return { tag: 'ALTER SEQUENCE' }
  }
  const relation = yield* openRelation(session, node.sequence)
  alterSequence(session, relation, node.options ?? [])
  return { tag: 'ALTER SEQUENCE' }
}

export function alterSequence(session: Session, relation: RelationDescriptor, options: readonly any[]): void {
  if (relation.sequence === undefined) throw new DbError('wrong_object_type', `"${relation.name}" is not a sequence`)
  const restart = options.find((o) => o.DefElem.defname === 'restart')
  const info = sequenceOptions(
    session,
    options.filter((o) => o !== restart),
    relation.sequence.type,
    relation.sequence,
  )
  let next: RelationDescriptor = { ...relation, sequence: info }
  if (restart !== undefined)
    next = restarted(session, next, restart.DefElem.arg === undefined ? info.start : numberOf(restart.DefElem.arg))
  session.change('relation', relation.oid, next)
}

/** The sequence with new storage that begins at a value. */
export function restarted(session: Session, relation: RelationDescriptor, at: string): RelationDescriptor {
  const storage = session.newOid()
  session.dropStorage(relation.storage)
  const info = relation.sequence!
  if (BigInt(at) < BigInt(info.min) || BigInt(at) > BigInt(info.max)) {
    throw new DbError('invalid_parameter_value', `RESTART value (${at}) is out of range (${info.min}..${info.max})`)
  }
  session.sequences.begin(session.transaction(), storage, BigInt(at))
  return { ...relation, storage }
}
