/**
 * PostgreSQL's functions, operators, casts, aggregates and operator classes as its catalogs state them, looked up by
 * name and oid. The big tables are indexed at first use and their rows built when asked for.
 *
 * Not here: code (registry.ts), resolution of overloads (bind/calls.ts).
 */
import pgAggregate from '../catalog/data/pg_aggregate.json' with { type: 'json' }
import pgAmop from '../catalog/data/pg_amop.json' with { type: 'json' }
import pgAmproc from '../catalog/data/pg_amproc.json' with { type: 'json' }
import pgCast from '../catalog/data/pg_cast.json' with { type: 'json' }
import pgOpclass from '../catalog/data/pg_opclass.json' with { type: 'json' }
import pgOperator from '../catalog/data/pg_operator.json' with { type: 'json' }
import pgProc from '../catalog/data/pg_proc.json' with { type: 'json' }
import { type CatalogFile, catalogCells, columnPositions, oidList } from '../types/catalog-table.ts'
import { builtinTypes } from '../types/registry.ts'
import type { FunctionRow } from './function.ts'

/** A reader of named columns of one file's rows. */
function reader(file: CatalogFile, names: string): (row: string) => (string | null)[] {
  const at = columnPositions(file, names.split(' '))
  return (row) => {
    const cells = catalogCells(row)
    return at.map((i) => cells[i])
  }
}

const readProc = reader(
  pgProc,
  'oid proname proargtypes prorettype provariadic prokind proisstrict provolatile proretset pronargdefaults prosrc ' +
    'proargnames proargmodes proallargtypes prolang proargdefaults',
)

const sqlLanguage = '14'

/** Functions written in SQL have no name of code; theirs is made up: "age(timestamptz)". */
function sourceOf(name: string, args: readonly number[], source: string, language: string): string {
  if (language !== sqlLanguage) return source
  return `${name}(${args.map((oid) => builtinTypes.get(oid)?.name ?? oid).join(',')})`
}

/** The text of a default: '{}'::jsonb, false, 0.0. */
function literalText(expression: string): string {
  return /^'(.*)'::/.exec(expression)?.[1] ?? expression
}

function makeFunction(line: string): FunctionRow {
  const [
    oid,
    name,
    args,
    result,
    variadic,
    kind,
    strict,
    volatility,
    set,
    defaults,
    source,
    names,
    modes,
    all,
    language,
    defaultTexts,
  ] = readProc(line) as string[]
  const argTypes = oidList(args)
  const argNames = names === null ? undefined : names.split(' ')
  const argModes = modes === null ? undefined : modes.split(' ')
  const allTypes = all === null ? argTypes : oidList(all)
  const outs = argModes?.flatMap((mode, i) => (mode === 'o' || mode === 'b' || mode === 't' ? [i] : []))
  return {
    oid: Number(oid),
    name,
    args: argTypes,
    result: Number(result),
    variadic: Number(variadic),
    kind: kind as FunctionRow['kind'],
    strict: strict === 't',
    volatility: volatility as FunctionRow['volatility'],
    returnsSet: set === 't',
    defaults: Number(defaults),
    source: sourceOf(name, argTypes, source, language),
    outNames: outs?.map((i) => argNames?.[i] ?? ''),
    outTypes: outs?.map((i) => allTypes[i]),
    defaultTexts: defaultTexts === null ? undefined : defaultTexts.split(', ').map(literalText),
    argNames: argNames?.filter((_, i) => argModes === undefined || /[ibv]/.test(argModes[i])),
  }
}

interface Index<R> {
  readonly byName: Map<string, (string | R)[]>
  readonly byOid: Map<number, string>
  readonly rows: Map<number, R>
}

/** Indexes lines by their first two cells, oid and name. */
function indexOf<R>(file: CatalogFile): Index<R> {
  const byName = new Map<string, (string | R)[]>()
  const byOid = new Map<number, string>()
  for (const line of file.rows) {
    const first = line.indexOf('\t')
    const second = line.indexOf('\t', first + 1)
    const name = line.slice(first + 1, second)
    byOid.set(Number(line.slice(0, first)), line)
    const list = byName.get(name)
    if (list === undefined) byName.set(name, [line])
    else list.push(line)
  }
  return { byName, byOid, rows: new Map() }
}

function rowOf<R>(index: Index<R>, oid: number, make: (line: string) => R): R | undefined {
  let row = index.rows.get(oid)
  if (row !== undefined) return row
  const line = index.byOid.get(oid)
  if (line === undefined) return undefined
  row = make(line)
  index.rows.set(oid, row)
  return row
}

function rowsNamed<R extends { readonly oid: number }>(
  index: Index<R>,
  name: string,
  make: (line: string) => R,
): readonly R[] {
  const lines = index.byName.get(name)
  if (lines === undefined) return []
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]
    if (typeof line === 'string') lines[i] = rowOf(index, Number(line.slice(0, line.indexOf('\t'))), make)!
  }
  return lines as R[]
}

let functionIndex: Index<FunctionRow> | undefined

function functions(): Index<FunctionRow> {
  functionIndex ??= indexOf(pgProc)
  return functionIndex
}

export function functionsByName(name: string): readonly FunctionRow[] {
  return rowsNamed(functions(), name, makeFunction)
}

export function functionByOid(oid: number): FunctionRow | undefined {
  return rowOf(functions(), oid, makeFunction)
}

/** Every built-in function, built on demand. */
export function* allFunctions(): Iterable<FunctionRow> {
  for (const oid of functions().byOid.keys()) yield functionByOid(oid)!
}

export interface OperatorRow {
  readonly oid: number
  readonly name: string
  /** 'l' prefix, 'b' infix. */
  readonly kind: 'l' | 'b'
  /** 0 for a prefix operator. */
  readonly left: number
  readonly right: number
  readonly result: number
  /** pg_proc oid. */
  readonly code: number
  /** Operator oids, 0 for none. */
  readonly commutator: number
  readonly negator: number
  /** Names of the selectivity estimators ("eqsel"), '-' for none. */
  readonly restrict: string
  readonly join: string
  readonly canMerge: boolean
  readonly canHash: boolean
}

const readOperator = reader(
  pgOperator,
  'oid oprname oprkind oprleft oprright oprresult oprcode oprcom oprnegate oprrest oprjoin oprcanmerge oprcanhash',
)

function makeOperator(line: string): OperatorRow {
  const c = readOperator(line) as string[]
  return {
    oid: Number(c[0]),
    name: c[1],
    kind: c[2] as OperatorRow['kind'],
    left: Number(c[3]),
    right: Number(c[4]),
    result: Number(c[5]),
    code: Number(c[6]),
    commutator: Number(c[7]),
    negator: Number(c[8]),
    restrict: c[9],
    join: c[10],
    canMerge: c[11] === 't',
    canHash: c[12] === 't',
  }
}

let operatorIndex: Index<OperatorRow> | undefined

function operators(): Index<OperatorRow> {
  operatorIndex ??= indexOf(pgOperator)
  return operatorIndex
}

export function operatorsByName(name: string): readonly OperatorRow[] {
  return rowsNamed(operators(), name, makeOperator)
}

export function operatorByOid(oid: number): OperatorRow | undefined {
  return rowOf(operators(), oid, makeOperator)
}

export function* allOperators(): Iterable<OperatorRow> {
  for (const oid of operators().byOid.keys()) yield operatorByOid(oid)!
}

export interface CastRow {
  readonly oid: number
  readonly source: number
  readonly target: number
  /** pg_proc oid, 0 for methods 'i' and 'b'. */
  readonly func: number
  /** 'i' implicit, 'a' assignment, 'e' explicit. */
  readonly context: 'i' | 'a' | 'e'
  /** 'f' function, 'i' through text, 'b' same representation. */
  readonly method: 'f' | 'i' | 'b'
}

const readCast = reader(pgCast, 'oid castsource casttarget castfunc castcontext castmethod')
const casts = new Map<number, Map<number, CastRow>>()
for (const line of pgCast.rows) {
  const [oid, source, target, func, context, method] = readCast(line) as string[]
  const row: CastRow = {
    oid: Number(oid),
    source: Number(source),
    target: Number(target),
    func: Number(func),
    context: context as CastRow['context'],
    method: method as CastRow['method'],
  }
  const from = casts.get(row.source)
  if (from === undefined) casts.set(row.source, new Map([[row.target, row]]))
  else from.set(row.target, row)
}

export function castBetween(source: number, target: number): CastRow | undefined {
  return casts.get(source)?.get(target)
}

export interface AggregateRow {
  readonly func: number
  /** 'n' ordinary, 'o' ordered-set, 'h' hypothetical-set. */
  readonly kind: 'n' | 'o' | 'h'
  readonly directArgs: number
  readonly transition: string
  readonly final: string
  /** Operator that an index can answer the aggregate by (min, max), or 0. */
  readonly sortOperator: number
  readonly initial: string | undefined
}

const aggregates = new Map<number, AggregateRow>()
const readAggregate = reader(
  pgAggregate,
  'aggfnoid aggkind aggnumdirectargs aggtransfn aggfinalfn aggsortop agginitval',
)
for (const line of pgAggregate.rows) {
  const [func, kind, direct, transition, final, sort, initial] = readAggregate(line)
  aggregates.set(Number(func), {
    func: Number(func),
    kind: kind as AggregateRow['kind'],
    directArgs: Number(direct),
    transition: transition!,
    final: final!,
    sortOperator: Number(sort),
    initial: initial ?? undefined,
  })
}

/** The pg_aggregate row of an aggregate function. */
export function aggregateRow(func: number): AggregateRow | undefined {
  return aggregates.get(func)
}

export interface OperatorClassRow {
  readonly oid: number
  /** Access method oid: 403 btree, 405 hash, 783 gist, 2742 gin, 3580 brin, 4000 spgist. */
  readonly method: number
  readonly name: string
  readonly family: number
  readonly input: number
  readonly isDefault: boolean
  /** Type of the stored key where it differs, else 0. */
  readonly key: number
}

const readClass = reader(pgOpclass, 'oid opcmethod opcname opcfamily opcintype opcdefault opckeytype')
export const operatorClasses: readonly OperatorClassRow[] = pgOpclass.rows.map((line) => {
  const c = readClass(line) as string[]
  return {
    oid: Number(c[0]),
    method: Number(c[1]),
    name: c[2],
    family: Number(c[3]),
    input: Number(c[4]),
    isDefault: c[5] === 't',
    key: Number(c[6]),
  }
})

/** The default operator class of a type for an access method; domains, arrays and enums have their own generic ones. */
export function defaultOperatorClass(method: number, type: number): OperatorClassRow | undefined {
  return operatorClasses.find((row) => row.isDefault && row.method === method && row.input === type)
}

export function operatorClassNamed(method: number, name: string): OperatorClassRow | undefined {
  return operatorClasses.find((row) => row.method === method && row.name === name)
}

export interface FamilyOperatorRow {
  readonly family: number
  readonly left: number
  readonly right: number
  /** btree: 1 <, 2 <=, 3 =, 4 >=, 5 >. */
  readonly strategy: number
  readonly operator: number
  readonly method: number
}

const readAmop = reader(pgAmop, 'amopfamily amoplefttype amoprighttype amopstrategy amopopr amopmethod')
const amopByOperator = new Map<number, FamilyOperatorRow[]>()
const amopByKey = new Map<string, FamilyOperatorRow>()
for (const line of pgAmop.rows) {
  const [family, left, right, strategy, operator, method] = (readAmop(line) as string[]).map(Number)
  const row: FamilyOperatorRow = { family, left, right, strategy, operator, method }
  const list = amopByOperator.get(operator)
  if (list === undefined) amopByOperator.set(operator, [row])
  else list.push(row)
  amopByKey.set(`${family},${left},${right},${strategy}`, row)
}

/** Which families an operator belongs to, and as what. */
export function familiesOf(operator: number): readonly FamilyOperatorRow[] {
  return amopByOperator.get(operator) ?? []
}

export function familyOperator(family: number, left: number, right: number, strategy: number): number | undefined {
  return amopByKey.get(`${family},${left},${right},${strategy}`)?.operator
}

const readAmproc = reader(pgAmproc, 'amprocfamily amproclefttype amprocrighttype amprocnum amproc')
const supportFunctions = new Map<string, number>()
const inRange = new Map<string, number>()
for (const line of pgAmproc.rows) {
  const [family, left, right, number, func] = (readAmproc(line) as string[]).map(Number)
  supportFunctions.set(`${family},${left},${right},${number}`, func)
  if (number === 3 && operatorClasses.some((row) => row.family === family && row.method === 403)) {
    inRange.set(`${left},${right}`, func)
  }
}

/** A support function of a family (btree 1 is the comparison), as a pg_proc oid. */
export function supportFunction(family: number, left: number, right: number, number: number): number | undefined {
  return supportFunctions.get(`${family},${left},${right},${number}`)
}

/** The in_range function for RANGE frames: ordered by `key`, with offsets of `offset`. */
export function inRangeFunction(key: number, offset: number): number | undefined {
  return inRange.get(`${key},${offset}`)
}
