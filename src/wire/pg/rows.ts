/**
 * Result rows: RowDescription and DataRow.
 *
 *   'T' length │ columns u16 │ { name\0 table u32 column u16 type u32 typlen i16 typmod i32 format u16 }…
 *   'D' length │ columns u16 │ { length i32 (-1 = NULL) bytes }…
 *
 * What can be known before the first row is kept in a `RowShape`, made once per list of fields and format: the bytes of
 * the description, and for each column how its value is written. Integers and strings, which most columns are, are
 * written here without a call through `Type`.
 *
 * Not here: which rows there are (the portal), when they leave (outbox.ts).
 */
import type { ByteWriter } from '../../encoding/index.ts'
import { ByteWriter as Writer } from '../../encoding/index.ts'
import type { Field } from '../../sql/session-api.ts'
import type { Type, TypeContext, TypeLookup, Value } from '../../sql/types/type.ts'
import { backend, binaryFormat } from './protocol.ts'
import { begin, end } from './server-messages.ts'

const integer = 0
const string = 1
const otherText = 2
const binary = 3

/** int8, int2, int4, oid: their text form is the number's. */
const integerTypes = new Set([20, 21, 23, 26])
/** text, varchar, name, json, unknown: their text form is the string itself. */
const stringTypes = new Set([25, 1043, 19, 114, 705])

export class RowShape {
  readonly fields: readonly Field[]
  /** The whole RowDescription message. */
  readonly description: Uint8Array
  readonly #slots: number[]
  readonly #types: Type[]
  readonly #manners: number[]
  readonly #count: number

  constructor(fields: readonly Field[], formats: readonly number[], types: TypeLookup) {
    this.fields = fields
    this.#count = fields.length
    this.#slots = fields.map((field) => field.slot)
    this.#types = fields.map((field) => field.type)
    this.#manners = fields.map((field, i) => {
      if (formatOf(formats, i) === binaryFormat) return binary
      return integerTypes.has(field.type.oid) ? integer : stringTypes.has(field.type.oid) ? string : otherText
    })
    this.description = describe(fields, formats, types)
  }

  /** Appends one DataRow. */
  write(registers: readonly Value[], out: ByteWriter, context: TypeContext): void {
    const count = this.#count
    const slots = this.#slots
    const manners = this.#manners
    out.reserve(7 + 16 * count)
    const start = out.length
    out.buffer[start] = backend.dataRow
    out.length = start + 5
    out.u16(count)
    for (let i = 0; i < count; i++) {
      const value = registers[slots[i]]
      if (value === null) {
        out.u32(-1)
        continue
      }
      const at = out.length
      out.u32(0)
      const manner = manners[i]
      if (manner === integer) writeInteger(value, out)
      else if (manner === string) out.utf8(value)
      else if (manner === otherText) this.#types[i].writeText(value, out, context)
      else this.#types[i].encode(value, out)
      out.u32At(at, out.length - at - 4)
    }
    out.u32At(start + 1, out.length - start - 1)
  }
}

function formatOf(formats: readonly number[], column: number): number {
  return formats.length === 0 ? 0 : formats.length === 1 ? formats[0] : formats[column]
}

function describe(fields: readonly Field[], formats: readonly number[], types: TypeLookup): Uint8Array {
  const out = new Writer(64 + fields.length * 32)
  const at = begin(out, backend.rowDescription)
  out.u16(fields.length)
  fields.forEach((field, i) => {
    // A domain is shown as the type under it, as PostgreSQL does: clients know only how to read that.
    let type = field.type
    while (type.kind === 'd') type = types.type(type.base)
    out.cstring(field.name)
    out.u32(field.tableOid)
    out.u16(field.columnNumber)
    out.u32(type.oid)
    out.u16(type.length)
    out.u32(field.typmod)
    out.u16(formatOf(formats, i))
  })
  end(out, at)
  return out.copy()
}

/** The decimal digits of a safe integer or bigint. */
export function writeInteger(value: number | bigint, out: ByteWriter): void {
  if (typeof value !== 'number' || value > 0xffffffff || value < -0xffffffff) {
    out.utf8(String(value))
    return
  }
  out.reserve(11)
  const b = out.buffer
  let at = out.length
  if (value < 0) {
    b[at++] = 0x2d
    value = -value
  }
  let digits = 1
  for (let bound = 10; value >= bound && digits < 10; bound *= 10) digits++
  out.length = at + digits
  for (let i = at + digits - 1; i >= at; i--) {
    const quotient = Math.floor(value / 10)
    b[i] = 0x30 + (value - quotient * 10)
    value = quotient
  }
}

const allText: readonly number[] = []
const allBinary: readonly number[] = [binaryFormat]

/** The shapes of a connection's results, so that a plan's second run finds its description written. */
export class RowShapes {
  readonly #types: TypeLookup
  readonly #text = new WeakMap<readonly Field[], RowShape>()
  readonly #binary = new WeakMap<readonly Field[], RowShape>()

  constructor(types: TypeLookup) {
    this.#types = types
  }

  /** `formats`: empty = all text, one = for all, else one a column. */
  of(fields: readonly Field[], formats: readonly number[]): RowShape {
    if (formats.length > 1) return new RowShape(fields, formats, this.#types)
    const inBinary = formats.length === 1 && formats[0] === binaryFormat
    const known = inBinary ? this.#binary : this.#text
    let shape = known.get(fields)
    if (shape === undefined) {
      shape = new RowShape(fields, inBinary ? allBinary : allText, this.#types)
      known.set(fields, shape)
    }
    return shape
  }
}
