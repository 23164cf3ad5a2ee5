/**
 * information_schema's relations about tables: columns, constraints and their use, views, schemas, sequences.
 *
 * As the standard wants, they show what the current role owns or has a privilege on.
 *
 * Not here: routines, domains, grants and the constant relations (information-objects.ts).
 */

import { quoteIdentifier } from '../../bind/type-name.ts'
import { constraintText, deparserOver, viewDefinition } from '../../deparse/definitions.ts'
import { deparse } from '../../deparse/expression.ts'
import type { Session } from '../../session/session.ts'
import type { Column, Constraint, RelationDescriptor } from '../descriptors.ts'
import { pgToast, schemaName } from '../names.ts'
import { mayTouch } from '../privileges.ts'
import { systemRelations } from '../system-schema.ts'
import { type Cells, define } from './relation.ts'
import { collationCells, dataType, typedCells, typeMeasures, typeSchema } from './standard-types.ts'

/** Relations that rows are about, the system's included: tables, views and what looks like them. */
export function* visibleRelations(s: Session, kinds = 'rv'): Iterable<RelationDescriptor> {
  for (const { descriptor } of systemRelations()) if (kinds.includes(descriptor.relkind)) yield descriptor
  for (const r of s.catalog.relations()) {
    const foreignTemporary = r.persistence === 't' && r.schema !== s.temporarySchema
    if (kinds.includes(r.relkind) && r.schema !== pgToast && !foreignTemporary && mayTouch(s, r)) yield r
  }
}

export const yes = (value: boolean): string => (value ? 'YES' : 'NO')

/** The three columns that name a relation. */
export function named(s: Session, r: RelationDescriptor, prefix = 'table'): Cells {
  return {
    [`${prefix}_catalog`]: s.databaseName,
    [`${prefix}_schema`]: schemaName(s.names, r.schema),
    [`${prefix}_name`]: r.name,
  }
}

function columnRow(s: Session, r: RelationDescriptor, c: Column, number: number): Cells {
  const d = deparserOver(s, r, false)
  const sequence = c.identitySequence === undefined ? undefined : s.catalog.relation(c.identitySequence)?.sequence
  const domainNotNull = s.catalog.type(c.type)?.notNull === true
  return {
    ...named(s, r),
    column_name: c.name,
    ordinal_position: number,
    column_default: c.default === undefined || c.generated !== undefined ? null : deparse(d, c.default),
    is_nullable: yes(!(c.notNull || domainNotNull)),
    ...typedCells(s, c.type, c.typmod),
    ...collationCells(s, c.collation),
    dtd_identifier: String(c.number),
    is_self_referencing: 'NO',
    is_identity: yes(c.identity !== undefined),
    identity_generation: c.identity === 'a' ? 'ALWAYS' : c.identity === 'd' ? 'BY DEFAULT' : null,
    identity_start: sequence?.start ?? null,
    identity_increment: sequence?.increment ?? null,
    identity_maximum: sequence?.max ?? null,
    identity_minimum: sequence?.min ?? null,
    identity_cycle: yes(sequence?.cycle === true),
    is_generated: c.generated === undefined ? 'NEVER' : 'ALWAYS',
    generation_expression: c.generated === undefined ? null : deparse(d, c.generated),
    is_updatable: yes(r.relkind === 'r'),
  }
}

function* constraints(s: Session): Iterable<{ r: RelationDescriptor; c: Constraint; own: Cells }> {
  for (const r of visibleRelations(s, 'r')) {
    const schema = schemaName(s.names, r.schema)
    for (const c of r.constraints)
      yield { r, c, own: { constraint_catalog: s.databaseName, constraint_schema: schema, constraint_name: c.name } }
  }
}

/** A NOT NULL column has a check in the standard's eyes, named by object ids. */
function* notNulls(s: Session): Iterable<{ r: RelationDescriptor; column: Column; own: Cells }> {
  for (const r of visibleRelations(s, 'r')) {
    for (const column of r.columns) {
      if (!column.notNull || column.dropped) continue
      yield {
        r,
        column,
        own: {
          constraint_catalog: s.databaseName,
          constraint_schema: schemaName(s.names, r.schema),
          constraint_name: `${r.schema}_${r.oid}_${column.number}_not_null`,
        },
      }
    }
  }
}

const types = { p: 'PRIMARY KEY', u: 'UNIQUE', c: 'CHECK', f: 'FOREIGN KEY' }

function* tableConstraints(s: Session): Iterable<Cells> {
  for (const { r, c, own } of constraints(s)) {
    const nulls = c.type === 'u' ? yes(s.catalog.relation(c.index ?? 0)?.index?.nullsNotDistinct !== true) : null
    yield {
      ...own,
      ...named(s, r),
      constraint_type: types[c.type],
      is_deferrable: yes(c.deferrable),
      initially_deferred: yes(c.deferred),
      enforced: 'YES',
      nulls_distinct: nulls,
    }
  }
  for (const { r, own } of notNulls(s))
    yield {
      ...own,
      ...named(s, r),
      constraint_type: 'CHECK',
      is_deferrable: 'NO',
      initially_deferred: 'NO',
      enforced: 'YES',
    }
}

function* keyColumns(s: Session): Iterable<Cells> {
  for (const { r, c, own } of constraints(s)) {
    if (c.type === 'c') continue
    const unique =
      c.foreign === undefined ? undefined : s.catalog.relation(c.index ?? 0)?.index?.columns.map((x) => x.column)
    for (const [i, n] of c.columns.entries()) {
      const position = unique === undefined ? null : unique.indexOf(c.foreign!.columns[i]) + 1
      yield {
        ...own,
        ...named(s, r),
        column_name: r.columns[n - 1].name,
        ordinal_position: i + 1,
        position_in_unique_constraint: position,
      }
    }
  }
}

/** Columns that a check reads, by their place in the JSON of the expression. */
function checkColumns(c: Constraint): number[] {
  const out = new Set<number>()
  JSON.stringify(c.check, (_key, value) => {
    if (value?.kind === 'var' && value.column > 0) out.add(value.column)
    return value
  })
  return [...out].sort((a, b) => a - b)
}

function* constraintColumns(s: Session): Iterable<Cells> {
  for (const { r, c, own } of constraints(s)) {
    const table = c.foreign === undefined ? r : s.catalog.relationOf(c.foreign.table)
    const columns = c.foreign?.columns ?? (c.type === 'c' ? checkColumns(c) : c.columns)
    for (const n of columns) yield { ...named(s, table), column_name: table.columns[n - 1].name, ...own }
  }
}

const rules = { a: 'NO ACTION', r: 'RESTRICT', c: 'CASCADE', n: 'SET NULL', d: 'SET DEFAULT' }

function* references(s: Session): Iterable<Cells> {
  for (const { c, own } of constraints(s)) {
    if (c.foreign === undefined) continue
    const target = s.catalog.relationOf(c.foreign.table)
    const unique = target.constraints.find((x) => x.type !== 'f' && x.index === c.index && c.index !== undefined)
    yield {
      ...own,
      unique_constraint_catalog: unique === undefined ? null : s.databaseName,
      unique_constraint_schema: unique === undefined ? null : schemaName(s.names, target.schema),
      unique_constraint_name: unique?.name ?? null,
      match_option: c.foreign.match === 'f' ? 'FULL' : 'NONE',
      update_rule: rules[c.foreign.onUpdate],
      delete_rule: rules[c.foreign.onDelete],
    }
  }
}

function* checks(s: Session): Iterable<Cells> {
  for (const { r, c, own } of constraints(s))
    if (c.type === 'c')
      yield { ...own, check_clause: /^CHECK \(([\s\S]*?)\)(?: NOT VALID)?$/.exec(constraintText(s, r, c, false))![1] }
  for (const t of s.catalog.types()) {
    for (const c of t.checks ?? []) {
      yield {
        constraint_catalog: s.databaseName,
        constraint_schema: schemaName(s.names, t.schema),
        constraint_name: c.name,
        check_clause: deparse(deparserOver(s, undefined, false), c.check),
      }
    }
  }
  for (const { column, own } of notNulls(s))
    yield { ...own, check_clause: `${quoteIdentifier(column.name)} IS NOT NULL` }
}

/** What a view reads, through its stored query: relation oid to columns (0: the relation is read, whatever the column). */
function viewUses(view: RelationDescriptor): Map<number, Set<number>> {
  const out = new Map<number, Set<number>>()
  JSON.stringify(view.view, (_key, value) => {
    if (value?.kind === 'relation' && typeof value.relation === 'number' && !out.has(value.relation))
      out.set(value.relation, new Set())
    if (value?.table !== undefined && value.column !== undefined && out.has(value.table))
      out.get(value.table)!.add(value.column)
    return value
  })
  return out
}

function defineUses(): void {
  define('information_schema.view_table_usage', function* (s) {
    for (const v of visibleRelations(s, 'v')) {
      for (const oid of v.view === undefined ? [] : viewUses(v).keys()) {
        const table = s.catalog.relation(oid)
        if (table !== undefined) yield { ...named(s, v, 'view'), ...named(s, table) }
      }
    }
  })
  define('information_schema.view_column_usage', function* (s) {
    for (const v of visibleRelations(s, 'v')) {
      for (const [oid, columns] of v.view === undefined ? [] : viewUses(v)) {
        const table = s.catalog.relation(oid)
        for (const n of columns)
          if (table?.columns[n - 1] !== undefined)
            yield { ...named(s, v, 'view'), ...named(s, table), column_name: table.columns[n - 1].name }
      }
    }
  })
}

/** Object ids of a key that a stored tree mentions. */
function mentioned(tree: unknown, key: 'func' | 'column'): number[] {
  const out = new Set<number>()
  JSON.stringify(tree, (_key, value) => {
    const kind = key === 'column' ? value?.kind === 'var' : true
    if (kind && typeof value?.[key] === 'number' && value[key] > 0) out.add(value[key])
    return value
  })
  return [...out]
}

function defineColumnUses(): void {
  define('information_schema.column_column_usage', function* (s) {
    for (const r of visibleRelations(s, 'r')) {
      for (const c of r.columns) {
        if (c.dropped || c.generated === undefined) continue
        for (const n of mentioned(c.generated, 'column'))
          yield { ...named(s, r), column_name: r.columns[n - 1].name, dependent_column: c.name }
      }
    }
  })
  define('information_schema.view_routine_usage', function* (s) {
    for (const v of visibleRelations(s, 'v')) {
      for (const oid of v.view === undefined ? [] : mentioned(v.view, 'func')) {
        const f = s.catalog.function(oid)
        if (f === undefined) continue
        yield {
          ...named(s, v),
          specific_catalog: s.databaseName,
          specific_schema: schemaName(s.names, f.schema),
          specific_name: `${f.name}_${f.oid}`,
        }
      }
    }
  })
}

function defineNames(): void {
  define('information_schema.information_schema_catalog_name', (s) => [{ catalog_name: s.databaseName }])
  define('information_schema.schemata', function* (s) {
    const owner = (oid: number) => s.catalog.role(oid)?.name ?? ''
    for (const name of ['pg_toast', 'pg_catalog', 'information_schema'])
      yield { catalog_name: s.databaseName, schema_name: name, schema_owner: owner(10) }
    for (const n of s.catalog.schemas())
      if (mayTouch(s, n, 'UC'))
        yield { catalog_name: s.databaseName, schema_name: n.name, schema_owner: owner(n.owner) }
  })
  define('information_schema.sequences', function* (s) {
    for (const r of visibleRelations(s, 'S')) {
      const q = r.sequence!
      if (q.identity === true) continue
      const m = typeMeasures(s, q.type, -1)
      yield {
        ...named(s, r, 'sequence'),
        data_type: dataType(s, q.type),
        numeric_precision: m.numeric_precision,
        numeric_precision_radix: 2,
        numeric_scale: 0,
        start_value: q.start,
        minimum_value: q.min,
        maximum_value: q.max,
        increment: q.increment,
        cycle_option: yes(q.cycle),
      }
    }
  })
}

export function defineInformationSchema(): void {
  define('information_schema.tables', function* (s) {
    for (const r of visibleRelations(s)) {
      const temporary = r.persistence === 't'
      yield {
        ...named(s, r),
        table_type: temporary ? 'LOCAL TEMPORARY' : r.relkind === 'v' ? 'VIEW' : 'BASE TABLE',
        is_insertable_into: yes(r.relkind === 'r'),
        is_typed: 'NO',
        commit_action: temporary ? 'PRESERVE' : null,
      }
    }
  })
  define('information_schema.columns', function* (s) {
    for (const r of visibleRelations(s)) for (const c of r.columns) if (!c.dropped) yield columnRow(s, r, c, c.number)
  })
  define('information_schema.views', function* (s) {
    for (const r of visibleRelations(s, 'v')) {
      yield {
        ...named(s, r),
        view_definition: viewDefinition(s, r.oid, false) ?? null,
        check_option: 'NONE',
        is_updatable: 'NO',
        is_insertable_into: 'NO',
        is_trigger_updatable: 'NO',
        is_trigger_deletable: 'NO',
        is_trigger_insertable_into: 'NO',
      }
    }
  })
  define('information_schema.table_constraints', tableConstraints)
  define('information_schema.key_column_usage', keyColumns)
  define('information_schema.constraint_column_usage', constraintColumns)
  define('information_schema.constraint_table_usage', function* (s) {
    for (const { r, c, own } of constraints(s))
      if (c.type !== 'c')
        yield { ...named(s, c.foreign === undefined ? r : s.catalog.relationOf(c.foreign.table)), ...own }
  })
  define('information_schema.referential_constraints', references)
  define('information_schema.check_constraints', checks)
  define('information_schema.column_udt_usage', function* (s) {
    for (const r of s.catalog.relations()) {
      if (!'rv'.includes(r.relkind) || !mayTouch(s, r)) continue
      for (const c of r.columns) {
        if (c.dropped) continue
        const cells = typedCells(s, c.type, c.typmod)
        yield {
          udt_catalog: s.databaseName,
          udt_schema: cells.udt_schema,
          udt_name: cells.udt_name,
          ...named(s, r),
          column_name: c.name,
        }
      }
    }
  })
  define('information_schema.column_domain_usage', function* (s) {
    for (const r of s.catalog.relations()) {
      for (const c of r.columns) {
        const domain = c.dropped ? undefined : s.catalog.type(c.type)
        if (domain?.form === 'domain')
          yield {
            domain_catalog: s.databaseName,
            domain_schema: typeSchema(s, domain.oid),
            domain_name: domain.name,
            ...named(s, r),
            column_name: c.name,
          }
      }
    }
  })
  defineUses()
  defineColumnUses()
  defineNames()
}
