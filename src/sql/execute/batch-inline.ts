/**
 * Functions that code for batches computes in place, by the name that pg_proc gives them.
 *
 * Each has an expression over doubles, and a test that says when its result may not be used: then the row tier computes
 * the row again, and raises the error or finds the value that a double cannot hold. Tests may say so too often.
 *
 * Not here: the functions as the row tier runs them (functions/integer.ts, float.ts), which these must agree with.
 */
import type { Form } from './batch-expression.ts'

export interface Inline {
  readonly form: Form
  /** Pure; the arguments are names, or constants in parentheses. */
  readonly code: (a: string, b: string) => string
  /** Over the result as well; undefined: always usable. Not asked when an argument is NULL. */
  readonly unusable?: (result: string, a: string, b: string) => string
}

const between = (least: number, most: number) => (t: string) => `${t} > ${most} || ${t} < ${least}`
const int2 = between(-32768, 32767)
const int4 = between(-2147483648, 2147483647)
const int8 = between(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
const infinite = (t: string) => `${t} - ${t} !== 0`

export const inlines = new Map<string, Inline>()

function number(name: string, code: Inline['code'], unusable?: Inline['unusable']): void {
  inlines.set(name, { form: 'number', code, unusable })
}

function boolean(name: string, code: Inline['code']): void {
  inlines.set(name, { form: 'boolean', code })
}

const plus = (a: string, b: string) => `${a} + ${b}`
const minus = (a: string, b: string) => `${a} - ${b}`
// Integers have no negative zero.
const times = (a: string, b: string) => `${a} * ${b} + 0`
const remainder = (a: string, b: string) => `${a} % ${b} + 0`

for (const [names, range] of [
  [['int2'], int2],
  [['int4', 'int24', 'int42'], int4],
  [['int8', 'int48', 'int84', 'int28', 'int82'], int8],
] as const) {
  for (const name of names) {
    number(`${name}pl`, plus, range)
    number(`${name}mi`, minus, range)
    number(`${name}mul`, times, range)
    number(
      `${name}div`,
      (a, b) => `(${a} - ${a} % ${b}) / ${b} + 0`,
      (t, _a, b) => `${b} === 0 || ${range(t)}`,
    )
  }
}
for (const name of ['int2', 'int4', 'int8']) {
  const range = { int2, int4, int8 }[name]!
  number(`${name}mod`, remainder, (_t, _a, b) => `${b} === 0`)
  number(`${name}um`, (a) => `0 - ${a}`, range)
  number(`${name}up`, (a) => a)
  number(`${name}abs`, (a) => `Math.abs(${a})`, range)
}

const smallest = (t: string, a: string) => `${infinite(t)} || (${t} === 0 && ${a} !== 0)`
for (const name of ['float8', 'float48', 'float84']) {
  number(`${name}pl`, plus, infinite)
  number(`${name}mi`, minus, infinite)
  number(`${name}mul`, (a, b) => `${a} * ${b}`, smallest)
  number(`${name}div`, (a, b) => `${a} / ${b}`, smallest)
}
number('float8um', (a) => `-${a}`)
number('float8up', (a) => a)
number('float8abs', (a) => `Math.abs(${a})`)

for (const name of ['i2toi4', 'int28', 'int48', 'i2tod', 'i4tod', 'i8tod', 'ftod', 'oidtoi8']) number(name, (a) => a)
number('int84', (a) => a, int4)
number('int82', (a) => a, int2)
number('i4toi2', (a) => a, int2)
boolean('int4_bool', (a) => `${a} !== 0`)
number('bool_int4', (a) => `(${a} ? 1 : 0)`)

const comparisons = { eq: '===', ne: '!==', lt: '<', le: '<=', gt: '>', ge: '>=' }
const compared = [
  ...['2', '4', '8', '24', '42', '28', '82', '48', '84'].map((size) => `int${size}`),
  ...['float4', 'float8', 'float48', 'float84', 'oid', 'date_', 'time_', 'timestamp_'],
]
for (const prefix of compared) {
  for (const [suffix, operator] of Object.entries(comparisons))
    boolean(`${prefix}${suffix}`, (a, b) => `${a} ${operator} ${b}`)
}
boolean('booleq', (a, b) => `${a} === ${b}`)
boolean('boolne', (a, b) => `${a} !== ${b}`)

/** Equality of numbers: what IN (…) can look up in a set. */
export const equalities = new Set(compared.map((prefix) => `${prefix}eq`))
