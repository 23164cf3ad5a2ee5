/**
 * json, which keeps its text as written, and jsonb, which keeps the document.
 *
 * A jsonb is stored and sent as a version byte (1) and its text.
 * Not here: operators and functions (functions/json*.ts).
 */
import { DbError } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import { BaseType, type TypeFacts } from './base-type.ts'
import { decodeUtf8 } from './code-points.ts'
import { checkJson, parseJson } from './json-parser.ts'
import { compareJsonb, encodeJsonbKey, formatJsonb, type Jsonb, skipJsonbKey } from './jsonb.ts'
import { TextType } from './text.ts'

export class JsonType extends TextType {
  override get ordered(): boolean {
    return false
  }

  override get hashable(): boolean {
    return false
  }

  override parse(text: string): string {
    checkJson(text)
    return text
  }
}

export class JsonbType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bytes')
  }

  parse(text: string): Jsonb {
    return parseJson(text)
  }

  format(value: Jsonb): string {
    return formatJsonb(value)
  }

  encode(value: Jsonb, out: ByteWriter): void {
    out.u8(1)
    out.utf8(formatJsonb(value))
  }

  decode(bytes: Uint8Array, start: number, end: number): Jsonb {
    if (bytes[start] !== 1) {
      throw new DbError('internal_error', `unsupported jsonb version number ${bytes[start]}`)
    }
    return parseJson(decodeUtf8(bytes, start + 1, end))
  }

  override compare(a: Jsonb, b: Jsonb): number {
    return compareJsonb(a, b)
  }

  override key(value: Jsonb): string {
    const writer = new ByteWriter(64)
    encodeJsonbKey(value, writer)
    return writer.bytes.toString('latin1')
  }

  override encodeKey(value: Jsonb, out: ByteWriter): void {
    encodeJsonbKey(value, out)
  }

  override skipKey(bytes: Uint8Array, start: number): number {
    return skipJsonbKey(bytes, start)
  }
}
