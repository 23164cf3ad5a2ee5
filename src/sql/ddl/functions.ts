/** CREATE FUNCTION in SQL and PL/pgSQL, CREATE AGGREGATE, CREATE LANGUAGE (a formality), ALTER FUNCTION, DO. */
import { DbError } from '../../base/index.ts'
import { coerce } from '../bind/coerce.ts'
import { bindExpr } from '../bind/expression.ts'
import { QueryScope } from '../bind/scope.ts'
import { nameParts, resolveTypeName } from '../bind/type-name.ts'
import type { FunctionDescriptor } from '../catalog/descriptors.ts'
import { functionsByName } from '../functions/registry.ts'
import { parse } from '../parse/parser.ts'
import { runBlock } from '../plpgsql/interpreter.ts'
import { parseBlock } from '../plpgsql/parser.ts'
import { stripped } from './columns.ts'
import { type Command, type CommandTable, contextOf, type Session } from './context.ts'
import { functionOf } from './rename.ts'
import { placeOf } from './types.ts'

export const functionCommands: CommandTable = {
  CreateFunctionStmt: { transactional: 'inside', writes: true, run: create },
  DefineStmt: { transactional: 'inside', writes: true, run: define },
  CreatePLangStmt: { transactional: 'inside', writes: true, run: language },
  AlterFunctionStmt: { transactional: 'inside', writes: true, run: alter },
  DoStmt: { transactional: 'inside', writes: false, run: runDo },
}

const modes: Record<string, FunctionDescriptor['args'][number]['mode']> = {
  FUNC_PARAM_IN: 'i',
  FUNC_PARAM_OUT: 'o',
  FUNC_PARAM_INOUT: 'b',
  FUNC_PARAM_VARIADIC: 'v',
  FUNC_PARAM_TABLE: 't',
  FUNC_PARAM_DEFAULT: 'i',
}

function* create(session: Session, node: any): Command {
  const context = contextOf(session)
  const tag = node.is_procedure ? 'CREATE PROCEDURE' : 'CREATE FUNCTION'
  const { schema, name } = placeOf(session, nameParts(node.funcname))
  const args = ((node.parameters ?? []) as any[]).map((p) => {
    const param = p.FunctionParameter
    const { type } = resolveTypeName(context, param.argType)
    const scope = new QueryScope(context, undefined)
    scope.clause = 'default'
    const value =
      param.defexpr === undefined
        ? undefined
        : stripped(coerce(context, bindExpr(scope, param.defexpr), type, -1, 'assignment'))
    return { name: param.name ?? '', type, mode: modes[param.mode] ?? 'i', default: value }
  })
  const options = new Map(((node.options ?? []) as any[]).map((o) => [o.DefElem.defname as string, o.DefElem.arg]))
  const languageName = (options.get('language')?.String?.sval ?? 'sql').toLowerCase()
  if (languageName !== 'sql' && languageName !== 'plpgsql')
    throw new DbError(
      languageName === 'c' || languageName === 'internal' ? 'feature_not_supported' : 'undefined_object',
      `language "${languageName}" does not exist`,
    )
  const isTrigger = node.returnType !== undefined && resolveTypeName(context, node.returnType).type === 2279
  if (isTrigger) throw new DbError('feature_not_supported', 'trigger functions are not supported')
  if (node.sql_body)
    throw new DbError('feature_not_supported', 'SQL-standard function bodies are not supported', {
      hint: 'Write the body as a string: AS $$ … $$.',
    })
  const body: string = options.get('as')?.List?.items?.[0]?.String?.sval ?? ''
  const outs = args.filter((a) => a.mode === 'o' || a.mode === 'b' || a.mode === 't')
  const result =
    node.returnType === undefined
      ? outs.length === 0
        ? 2278
        : outs.length === 1
          ? outs[0].type
          : 2249
      : resolveTypeName(context, node.returnType).type
  const isTable = args.some((a) => a.mode === 't')
  const inputs = args.filter((a) => a.mode !== 'o' && a.mode !== 't')
  const before = session.catalog.functionsNamed(name).find((f) => {
    const own = f.args.filter((a) => a.mode !== 'o' && a.mode !== 't')
    return f.schema === schema && own.length === inputs.length && own.every((a, i) => a.type === inputs[i].type)
  })
  if (before !== undefined && !node.replace)
    throw new DbError('duplicate_function', `function "${name}" already exists with same argument types`)
  if (before !== undefined && before.result !== (isTable && outs.length > 1 ? 2249 : result)) {
    throw new DbError('invalid_function_definition', 'cannot change return type of existing function', {
      hint: `Use DROP FUNCTION ${name} first.`,
    })
  }
  const oid = before?.oid ?? session.newOid()
  const volatility = options.get('volatility')?.String?.sval
  const descriptor: FunctionDescriptor = {
    kind: 'function',
    oid,
    name,
    owner: session.role,
    schema,
    prokind: node.is_procedure ? 'p' : 'f',
    language: languageName,
    args,
    result: isTable && outs.length > 1 ? 2249 : result,
    returnsSet: node.returnType?.setof === true || isTable,
    strict: options.get('strict')?.Boolean?.boolval === true,
    volatility: volatility === 'immutable' ? 'i' : volatility === 'stable' ? 's' : 'v',
    body,
    securityDefiner: options.get('security')?.Boolean?.boolval === true,
    parallel: options.get('parallel')?.String?.sval ?? 'unsafe',
  }
  if (session.settings.on('check_function_bodies')) {
    if (languageName === 'plpgsql') parseBlock(body)
    else parse(body)
  }
  session.change('function', oid, descriptor)
  return { tag }
}

/** CREATE AGGREGATE name (types) (SFUNC = …, STYPE = …). */
function* define(session: Session, node: any): Command {
  if (node.kind !== 'OBJECT_AGGREGATE')
    throw new DbError('feature_not_supported', `CREATE ${String(node.kind).slice('OBJECT_'.length)} is not supported`)
  const context = contextOf(session)
  const { schema, name } = placeOf(session, nameParts(node.defnames))
  const params = (node.args?.[0]?.List?.items ?? []) as any[]
  const args = params.map((p) => ({
    name: p.FunctionParameter.name ?? '',
    type: resolveTypeName(context, p.FunctionParameter.argType).type,
    mode: 'i' as const,
  }))
  const options = new Map(
    ((node.definition ?? []) as any[]).map((o) => [String(o.DefElem.defname).toLowerCase(), o.DefElem.arg]),
  )
  const typeOption = (key: string) =>
    options.get(key)?.TypeName === undefined ? undefined : resolveTypeName(context, options.get(key).TypeName).type
  const state = typeOption('stype')
  if (state === undefined || !options.has('sfunc'))
    throw new DbError('invalid_function_definition', 'aggregate sfunc and stype must be specified')
  const functionNamed = (key: string, types: readonly number[]): number => {
    const parts = nameParts(options.get(key).TypeName?.names ?? options.get(key).List?.items)
    const wanted = parts[parts.length - 1]
    const user = session.catalog
      .functionsNamed(wanted)
      .find((f) => f.args.length === types.length && f.args.every((a, i) => a.type === types[i]))
    const builtin = functionsByName(wanted).find(
      (f) => f.args.length === types.length && f.args.every((a, i) => a === types[i]),
    )
    const found = user?.oid ?? builtin?.oid
    if (found === undefined) throw new DbError('undefined_function', `function ${parts.join('.')} does not exist`)
    return found
  }
  const step = functionNamed('sfunc', [state, ...args.map((a) => a.type)])
  const final = options.has('finalfunc') ? functionNamed('finalfunc', [state]) : 0
  const result =
    final === 0
      ? state
      : (session.catalog.function(final)?.result ??
        functionsByName(nameParts(options.get('finalfunc').TypeName.names).at(-1)!).find((f) => f.oid === final)!
          .result)
  const oid = session.newOid()
  session.change('function', oid, {
    kind: 'function',
    oid,
    name,
    owner: session.role,
    schema,
    prokind: 'a',
    language: 'internal',
    args,
    result,
    returnsSet: false,
    strict: false,
    volatility: 'i',
    body: 'aggregate_dummy',
    securityDefiner: false,
    parallel: 'unsafe',
    aggregate: { step, state, final, initial: options.get('initcond')?.String?.sval },
  })
  return { tag: 'CREATE AGGREGATE' }
}

function* language(session: Session, node: any): Command {
  if (node.plname !== 'plpgsql')
    throw new DbError('feature_not_supported', `language "${node.plname}" is not available`)
  if (!node.replace) throw new DbError('duplicate_object', 'language "plpgsql" already exists')
  void session
  return { tag: 'CREATE LANGUAGE' }
}

function* alter(session: Session, node: any): Command {
  let f = functionOf(session, node.func)
  for (const a of (node.actions ?? []) as any[]) {
    const { defname, arg } = a.DefElem
    if (defname === 'strict') f = { ...f, strict: arg.Boolean.boolval === true }
    else if (defname === 'volatility')
      f = { ...f, volatility: arg.String.sval === 'immutable' ? 'i' : arg.String.sval === 'stable' ? 's' : 'v' }
    else if (defname === 'security') f = { ...f, securityDefiner: arg.Boolean.boolval === true }
  }
  session.change('function', f.oid, f)
  return { tag: 'ALTER FUNCTION' }
}

function* runDo(session: Session, node: any): Command {
  const options = new Map(((node.args ?? []) as any[]).map((o) => [o.DefElem.defname as string, o.DefElem.arg]))
  const languageName = options.get('language')?.String?.sval ?? 'plpgsql'
  if (languageName !== 'plpgsql')
    throw new DbError('feature_not_supported', `language "${languageName}" does not support inline code execution`)
  yield* runBlock(session, options.get('as')?.String?.sval ?? '')
  return { tag: 'DO' }
}
