/**
 * boolean: true before nothing, after false.
 *
 * Not here: the operators (functions/boolean.ts).
 */
import type { ByteWriter } from '../../encoding/index.ts'
import { BaseType, expectLength, invalidSyntax, type TypeFacts } from './base-type.ts'

/** The words that boolean input takes, and every unambiguous prefix of them. */
const words: readonly (readonly [word: string, least: number, value: boolean])[] = [
  ['true', 1, true],
  ['false', 1, false],
  ['yes', 1, true],
  ['no', 1, false],
  ['on', 2, true],
  ['off', 2, false],
  ['1', 1, true],
  ['0', 1, false],
]

/** undefined when the text is no boolean. */
function parseBool(text: string): boolean | undefined {
  const word = text.trim().toLowerCase()
  for (const [full, least, value] of words) {
    if (word.length >= least && full.startsWith(word)) return value
  }
  return undefined
}

export class BoolType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bool')
  }

  parse(text: string): boolean {
    if (text === 't') return true
    if (text === 'f') return false
    const value = parseBool(text)
    if (value === undefined) throw invalidSyntax('boolean', text)
    return value
  }

  format(value: boolean): string {
    return value ? 't' : 'f'
  }

  override writeText(value: boolean, out: ByteWriter): void {
    out.u8(value ? 0x74 : 0x66)
  }

  encode(value: boolean, out: ByteWriter): void {
    out.u8(value ? 1 : 0)
  }

  decode(bytes: Uint8Array, start: number, end: number): boolean {
    expectLength(start, end, 1)
    return bytes[start] !== 0
  }

  override compare(a: boolean, b: boolean): number {
    return a === b ? 0 : a ? 1 : -1
  }

  override encodeKey(value: boolean, out: ByteWriter): void {
    out.u8(value ? 1 : 0)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 1
  }
}
