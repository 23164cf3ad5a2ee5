/**
 * What values of a typed store may be: a Standard Schema (zod, valibot, arktype, …), which checks for itself, or a JSON
 * Schema, which ajv compiles. Types of values are derived from either.
 *
 *   schema: z.object({ item: z.string() })                                  { item: string }
 *   schema: { type: 'object', properties: { item: { type: 'string' } },     { item: string }
 *             required: ['item'] } as const
 *
 * Source: standardschema.dev, json-schema.org (2020-12; draft-07 where $schema says so).
 * Not here: when values are checked (typed-store.ts).
 */
import type { ErrorObject, ValidateFunction } from 'ajv'
import { DbError } from '../../base/index.ts'

/** The part of the Standard Schema interface that is used here. */
export interface StandardSchema<In = unknown, Out = In> {
  readonly '~standard': {
    readonly version: 1
    readonly validate: (value: unknown) => StandardResult<Out> | Promise<StandardResult<Out>>
    readonly types?: { readonly input: In; readonly output: Out } | undefined
  }
}

type StandardResult<Out> =
  | { readonly value: Out; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

export type JsonSchema = { readonly [keyword: string]: unknown }
export type Schema = StandardSchema<any, any> | JsonSchema

/** What is appended. */
export type InputOf<S> = S extends StandardSchema<infer In, any> ? In : FromJsonSchema<S>
/** What is read: the schema may have filled in defaults. */
export type OutputOf<S> = S extends StandardSchema<any, infer Out> ? Out : FromJsonSchema<S>

/** TypeScript's type of a JSON Schema given `as const`; unknown where it has no counterpart. */
export type FromJsonSchema<S> = S extends { readonly const: infer C }
  ? C
  : S extends { readonly enum: readonly (infer E)[] }
    ? E
    : S extends { readonly anyOf: readonly (infer A)[] } | { readonly oneOf: readonly (infer A)[] }
      ? FromJsonSchema<A>
      : S extends { readonly type: readonly (infer T)[] }
        ? FromType<T, S>
        : S extends { readonly type: infer T }
          ? FromType<T, S>
          : unknown

type FromType<T, S> = T extends 'string'
  ? string
  : T extends 'number' | 'integer'
    ? number
    : T extends 'boolean'
      ? boolean
      : T extends 'null'
        ? null
        : T extends 'array'
          ? FromArray<S>
          : T extends 'object'
            ? FromObject<S>
            : unknown

type FromArray<S> = S extends { readonly items: infer I } ? FromJsonSchema<I>[] : unknown[]

type FromObject<S> = S extends { readonly properties: infer P extends object }
  ? Flat<
      { [K in keyof P as K extends Required<S> ? K : never]: FromJsonSchema<P[K]> } & {
        [K in keyof P as K extends Required<S> ? never : K]?: FromJsonSchema<P[K]>
      }
    >
  : { [member: string]: unknown }

type Required<S> = S extends { readonly required: readonly (infer K)[] } ? K : never
type Flat<T> = { [K in keyof T]: T[K] }

/** The value as it is stored. Raises event_schema_violation. */
export type ValueCheck = (value: unknown) => unknown

/** Raises invalid_schema_definition. */
export async function compileSchema(schema: Schema): Promise<ValueCheck> {
  const standard = (schema as StandardSchema)['~standard']
  return standard === undefined ? compileJsonSchema(schema as JsonSchema) : standardCheck(standard)
}

function standardCheck({ validate }: StandardSchema['~standard']): ValueCheck {
  const judge = (result: StandardResult<unknown>) => {
    if (result.issues === undefined) return result.value
    throw violation(result.issues.map(({ message, path }) => `${pointer(path)} ${message}`))
  }
  return (value) => {
    const result = validate(value)
    return result instanceof Promise ? result.then(judge) : judge(result)
  }
}

function pointer(path: StandardIssue['path']): string {
  const parts = (path ?? []).map((part) => String(typeof part === 'object' ? part.key : part))
  return parts.length === 0 ? 'the value:' : `/${parts.join('/')}:`
}

/** Answers at once, with the value itself. Raises invalid_schema_definition. */
export async function compileJsonSchema(schema: JsonSchema): Promise<(value: unknown) => unknown> {
  // Loaded here: most stores have no JSON Schema, and a page in a browser may do without a compiler of them.
  const old = typeof schema.$schema === 'string' && /draft-0[4-7]/.test(schema.$schema)
  const { default: Ajv } = old ? await import('ajv') : await import('ajv/dist/2020.js')
  const { default: addFormats } = await import('ajv-formats')
  let validate: ValidateFunction
  try {
    const ajv = new Ajv.default({ strict: false, allErrors: true, logger: false })
    addFormats.default(ajv as any)
    validate = ajv.compile(schema)
  } catch (error) {
    throw new DbError('invalid_schema_definition', `this is no JSON Schema: ${(error as Error).message}`, {
      cause: error,
    })
  }
  return (value) => {
    if (validate(value)) return value
    throw violation((validate.errors ?? []).map((e: ErrorObject) => `${e.instancePath || 'the value'}: ${e.message}`))
  }
}

const maxProblems = 20

function violation(problems: readonly string[]): DbError {
  return new DbError('event_schema_violation', 'the value is not what the schema asks for', {
    detail: problems.slice(0, maxProblems).join('\n'),
  })
}
