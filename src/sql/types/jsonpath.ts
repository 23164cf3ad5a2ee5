/**
 * The value of jsonpath: the tree of a SQL/JSON path expression, and its text form.
 *
 * A path is a head (a variable, a literal, an expression) and steps; predicates and arithmetic are heads too.
 *
 *   $.a[*] ? (@ > 2)     head $ · key a · any element · filter( > (head @, number 2))
 *
 * Source: SQL:2016 part 2, 9.39; PostgreSQL manual 9.16.2. Not here: reading (jsonpath-parser.ts), running
 * (functions/jsonpath.ts).
 */
import type { ByteWriter } from '../../encoding/index.ts'
import { BaseType, type TypeFacts } from './base-type.ts'
import { decodeUtf8 } from './code-points.ts'
import { quoteJson } from './jsonb.ts'
import { parseJsonPath } from './jsonpath-parser.ts'
import { formatNumeric, type Numeric } from './numeric.ts'

export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%'
export type ComparisonOperator = '==' | '<>' | '<' | '<=' | '>' | '>='

export type PathHead =
  | { readonly kind: 'root' | 'current' | 'last' | 'null' | 'true' | 'false' }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'number'; readonly value: Numeric }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'arithmetic'; readonly operator: ArithmeticOperator; readonly left: Path; readonly right: Path }
  | { readonly kind: 'sign'; readonly operator: '+' | '-'; readonly argument: Path }
  | { readonly kind: 'compare'; readonly operator: ComparisonOperator; readonly left: Path; readonly right: Path }
  | { readonly kind: 'and' | 'or'; readonly left: Path; readonly right: Path }
  | { readonly kind: 'not' | 'unknown' | 'exists'; readonly argument: Path }
  | { readonly kind: 'starts'; readonly left: Path; readonly right: Path }
  | { readonly kind: 'regex'; readonly argument: Path; readonly pattern: string; readonly flags: string }

export type PathMethod = 'type' | 'size' | 'abs' | 'floor' | 'ceiling' | 'double' | 'keyvalue'

export type PathStep =
  | { readonly kind: 'key'; readonly name: string }
  | { readonly kind: 'anyKey' | 'anyElement' }
  | { readonly kind: 'elements'; readonly ranges: readonly { readonly from: Path; readonly to: Path | undefined }[] }
  /** `.**{from to last}`; Infinity is the last level. */
  | { readonly kind: 'descendants'; readonly from: number; readonly to: number }
  | { readonly kind: 'method'; readonly name: PathMethod }
  | { readonly kind: 'datetime'; readonly template: string | undefined }
  | { readonly kind: 'filter'; readonly condition: Path }

export interface Path {
  readonly head: PathHead
  readonly steps: readonly PathStep[]
}

export interface JsonPath {
  readonly strict: boolean
  readonly path: Path
}

function priority(path: Path): number {
  if (path.steps.length > 0) return 6
  switch (path.head.kind) {
    case 'or':
      return 0
    case 'and':
      return 1
    case 'compare':
    case 'starts':
      return 2
    case 'arithmetic':
      return path.head.operator === '+' || path.head.operator === '-' ? 3 : 4
    case 'sign':
      return 5
    default:
      return 6
  }
}

function infix(path: Path, left: Path, operator: string, right: Path, brackets: boolean): string {
  const own = priority({ head: path.head, steps: [] })
  const text = `${format(left, priority(left) <= own)} ${operator} ${format(right, priority(right) <= own)}`
  return brackets ? `(${text})` : text
}

function formatHead(path: Path, brackets: boolean): string {
  const head = path.head
  const followed = path.steps.length > 0
  switch (head.kind) {
    case 'root':
      return '$'
    case 'current':
      return '@'
    case 'last':
    case 'null':
    case 'true':
    case 'false':
      return head.kind
    case 'string':
      return quoteJson(head.text)
    case 'number':
      return followed ? `(${formatNumeric(head.value)})` : formatNumeric(head.value)
    case 'variable':
      return `$${quoteJson(head.name)}`
    case 'arithmetic':
    case 'compare':
      return infix(path, head.left, head.operator === '<>' ? '!=' : head.operator, head.right, brackets || followed)
    case 'and':
      return infix(path, head.left, '&&', head.right, brackets || followed)
    case 'or':
      return infix(path, head.left, '||', head.right, brackets || followed)
    case 'starts':
      return infix(path, head.left, 'starts with', head.right, brackets || followed)
    case 'sign': {
      const text = head.operator + format(head.argument, priority(head.argument) <= 5)
      return brackets || followed ? `(${text})` : text
    }
    case 'not':
      return `!(${format(head.argument, false)})`
    case 'unknown':
      return `(${format(head.argument, false)}) is unknown`
    case 'exists':
      return `exists (${format(head.argument, false)})`
    case 'regex': {
      const flags = head.flags === '' ? '' : ` flag ${quoteJson(head.flags)}`
      const text = `${format(head.argument, priority(head.argument) <= 6 && priority(head.argument) < 6)} like_regex ${quoteJson(head.pattern)}${flags}`
      return brackets || followed ? `(${text})` : text
    }
  }
}

function level(value: number): string {
  return value === Number.POSITIVE_INFINITY ? 'last' : String(value)
}

function formatStep(step: PathStep): string {
  switch (step.kind) {
    case 'key':
      return `.${quoteJson(step.name)}`
    case 'anyKey':
      return '.*'
    case 'anyElement':
      return '[*]'
    case 'elements': {
      const ranges = step.ranges.map(({ from, to }) => {
        return to === undefined ? format(from, false) : `${format(from, false)} to ${format(to, false)}`
      })
      return `[${ranges.join(',')}]`
    }
    case 'descendants':
      if (step.from === 0 && step.to === Number.POSITIVE_INFINITY) return '.**'
      if (step.from === step.to) return `.**{${level(step.from)}}`
      return `.**{${level(step.from)} to ${level(step.to)}}`
    case 'method':
      return `.${step.name}()`
    case 'datetime':
      return `.datetime(${step.template === undefined ? '' : quoteJson(step.template)})`
    case 'filter':
      return `?(${format(step.condition, false)})`
  }
}

function format(path: Path, brackets: boolean): string {
  return formatHead(path, brackets) + path.steps.map(formatStep).join('')
}

function formatJsonPath(value: JsonPath): string {
  return (value.strict ? 'strict ' : '') + format(value.path, true)
}

/** jsonpath has no order; it is stored and sent as a version byte (1) and its text. */
export class JsonPathType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bytes')
  }

  override get ordered(): boolean {
    return false
  }

  override get hashable(): boolean {
    return false
  }

  parse(text: string): JsonPath {
    return parseJsonPath(text)
  }

  format(value: JsonPath): string {
    return formatJsonPath(value)
  }

  encode(value: JsonPath, out: ByteWriter): void {
    out.u8(1)
    out.utf8(formatJsonPath(value))
  }

  decode(bytes: Uint8Array, start: number, end: number): JsonPath {
    return parseJsonPath(decodeUtf8(bytes, start + 1, end))
  }
}
