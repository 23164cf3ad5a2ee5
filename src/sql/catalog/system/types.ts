/**
 * pg_type, pg_enum and pg_proc: users' types with their array types, enum labels, functions and aggregates.
 *
 * Not here: the built-in rows (facts.ts), how values of the types behave (types/).
 */

import { deparseAlone } from '../../deparse/definitions.ts'
import type { Session } from '../../session/session.ts'
import { arrayOf } from '../../types/array.ts'
import type { FunctionDescriptor, TypeDescriptor } from '../descriptors.ts'
import { procNamed } from './facts.ts'
import { aclArray, type Cells, define, textArray, vector } from './relation.ts'
import { layoutOf, nodeTree } from './relations.ts'

const inputs: Record<TypeDescriptor['form'], readonly [string, string, string, string]> = {
  enum: ['enum_in', 'enum_out', 'enum_recv', 'enum_send'],
  domain: ['domain_in', 'domain_out', 'domain_recv', 'domain_send'],
  composite: ['record_in', 'record_out', 'record_recv', 'record_send'],
  array: ['array_in', 'array_out', 'array_recv', 'array_send'],
}

function typeRow(s: Session, t: TypeDescriptor): Cells {
  const type = s.types.types.type(t.oid)
  const layout = layoutOf(s, t.oid)
  const [input, output, receive, send] = inputs[t.form].map(procNamed)
  return {
    oid: t.oid,
    typname: t.name,
    typnamespace: t.schema,
    typowner: t.owner,
    typlen: layout.length,
    typbyval: layout.byValue,
    typtype: { enum: 'e', domain: 'd', composite: 'c', array: 'b' }[t.form],
    typcategory: type.category,
    typisdefined: true,
    typdelim: type.delimiter,
    typrelid: t.relation ?? 0,
    typsubscript: t.form === 'array' ? procNamed('array_subscript_handler') : 0,
    typelem: t.element ?? 0,
    typarray: t.array,
    typinput: input,
    typoutput: output,
    typreceive: receive,
    typsend: send,
    typanalyze: t.form === 'array' ? procNamed('array_typanalyze') : 0,
    typalign: layout.align,
    typstorage: layout.storage,
    typnotnull: t.notNull === true,
    typbasetype: t.base ?? 0,
    typtypmod: t.typmod ?? -1,
    typndims: t.form === 'domain' && type.category === 'A' ? 1 : 0,
    typcollation: t.form === 'domain' || t.form === 'array' ? layout.collation : 0,
    typdefaultbin: t.default === undefined ? null : nodeTree(t.default),
    typdefault: t.default === undefined ? null : deparseAlone(s, t.default),
  }
}

const plpgsqlOid = 13563

/** The catalog's ids of languages; procedural ones come after the built-in three. */
export function languageOid(language: string): number {
  return { internal: 12, c: 13, sql: 14, plpgsql: plpgsqlOid }[language] ?? 14
}

function procRow(f: FunctionDescriptor): Cells {
  const inputArgs = f.args.filter((a) => a.mode === 'i' || a.mode === 'b' || a.mode === 'v')
  const allIn = inputArgs.length === f.args.length && !f.args.some((a) => a.mode !== 'i')
  const named = f.args.some((a) => a.name !== '')
  const defaults = inputArgs.filter((a) => a.default !== undefined)
  const variadic = f.args.find((a) => a.mode === 'v')
  return {
    oid: f.oid,
    proname: f.name,
    pronamespace: f.schema,
    proowner: f.owner,
    prolang: languageOid(f.language),
    procost: f.cost ?? 100,
    prorows: f.rows ?? (f.returnsSet ? 1000 : 0),
    provariadic: variadic === undefined ? 0 : variadic.type,
    prokind: f.prokind,
    prosecdef: f.securityDefiner,
    proisstrict: f.strict,
    proretset: f.returnsSet,
    provolatile: f.volatility,
    proparallel: f.parallel[0],
    pronargs: inputArgs.length,
    pronargdefaults: defaults.length,
    prorettype: f.result,
    proargtypes: vector(
      26,
      inputArgs.map((a) => a.type),
    ),
    proallargtypes: allIn
      ? null
      : arrayOf(
          26,
          f.args.map((a) => a.type),
        ),
    proargmodes: allIn
      ? null
      : arrayOf(
          18,
          f.args.map((a) => a.mode),
        ),
    proargnames: named
      ? arrayOf(
          25,
          f.args.map((a) => a.name),
        )
      : null,
    proargdefaults: defaults.length === 0 ? null : nodeTree(defaults.map((a) => a.default)),
    prosrc: f.body,
    proconfig: textArray(f.settings),
    proacl: aclArray(undefined),
  }
}

export function defineTypes(): void {
  define('pg_type', function* (s) {
    for (const t of s.catalog.types()) yield typeRow(s, t)
  })
  define('pg_enum', function* (s) {
    for (const t of s.catalog.types()) {
      for (const l of t.labels ?? []) yield { oid: l.oid, enumtypid: t.oid, enumsortorder: l.order, enumlabel: l.label }
    }
  })
  define('pg_proc', function* (s) {
    for (const f of s.catalog.functions()) yield procRow(f)
  })
  define('pg_aggregate', function* (s) {
    for (const f of s.catalog.functions()) {
      if (f.aggregate === undefined) continue
      yield {
        aggfnoid: f.oid,
        aggkind: 'n',
        aggtransfn: f.aggregate.step,
        aggfinalfn: f.aggregate.final,
        aggtranstype: f.aggregate.state,
        aggfinalmodify: 'r',
        aggmfinalmodify: 'r',
        agginitval: f.aggregate.initial ?? null,
      }
    }
  })
  define('pg_language', () => [
    {
      oid: plpgsqlOid,
      lanname: 'plpgsql',
      lanowner: 10,
      lanispl: true,
      lanpltrusted: true,
      lanplcallfoid: 13560,
      laninline: 13561,
      lanvalidator: 13562,
    },
  ])
}
