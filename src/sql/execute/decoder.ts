/**
 * Row tuples into registers: the columns that a plan reads of one table, decoded for each row without allocation.
 *
 * Rows of the current layout go through code made for exactly these columns; older ones take the general way.
 */
import type { RowLayout } from '../../encoding/index.ts'
import { readInt64 } from '../../encoding/index.ts'
import type { Value } from '../types/type.ts'
import type { TableAccess } from './tables.ts'

type Decode = (r: Value[], bytes: Uint8Array, view: DataView, start: number) => void

export class RowDecoder {
  readonly access: TableAccess
  readonly columns: readonly number[]
  readonly registers: readonly number[]
  readonly #current: Decode
  readonly #currentId: number

  /** @param columns attribute numbers; `registers[i]` receives column i. */
  constructor(access: TableAccess, columns: readonly number[], registers: readonly number[]) {
    this.access = access
    this.columns = columns
    this.registers = registers
    this.#current = makeDecode(
      access.current,
      columns.map((n) => access.positions[n - 1]),
      registers,
    )
    this.#currentId = access.current.id
  }

  decode(r: Value[], bytes: Uint8Array, view: DataView, start: number): void {
    if (((bytes[start] << 8) | bytes[start + 1]) === this.#currentId) {
      this.#current(r, bytes, view, start)
      return
    }
    for (let i = 0; i < this.columns.length; i++)
      r[this.registers[i]] = this.access.read(this.columns[i], bytes, view, start)
  }
}

const made = new Map<string, (codecs: readonly unknown[], int64: typeof readInt64) => Decode>()

/** Straight-line code for these columns of this layout; shared by plans that read the same ones alike. */
function makeDecode(layout: RowLayout, positions: readonly number[], registers: readonly number[]): Decode {
  const lines: string[] = []
  const codecs: unknown[] = []
  for (let i = 0; i < positions.length; i++) {
    const p = positions[i]
    const offset = layout.offsets[p]
    const target = `r[${registers[i]}]`
    const isNull = `(b[s + ${2 + (p >> 3)}] & ${1 << (p & 7)}) !== 0`
    lines.push(`${target} = ${isNull} ? null : ${reader(layout, p, offset, codecs)};`)
  }
  const source = lines.join('\n')
  let make = made.get(source)
  if (make === undefined) {
    make = new Function('codecs', 'int64', `return function decode(r, b, v, s) {\n${source}\n}`) as never
    if (made.size > 2000) made.clear()
    made.set(source, make!)
  }
  return make!(codecs, readInt64)
}

function reader(layout: RowLayout, p: number, offset: number, codecs: unknown[]): string {
  switch (layout.kinds[p]) {
    case 'i32':
      return `v.getInt32(s + ${offset})`
    case 'u32':
      return `v.getUint32(s + ${offset})`
    case 'i16':
      return `v.getInt16(s + ${offset})`
    case 'bool':
      return `b[s + ${offset}] !== 0`
    case 'i64':
      return `int64(v, s + ${offset})`
    case 'f64':
      return `v.getFloat64(s + ${offset})`
    case 'f32':
      return `v.getFloat32(s + ${offset})`
    case 'bytes': {
      const codec = codecs.push(layout.codecs[p]) - 1
      const end = layout.endsStart + 4 * offset
      const base = layout.variableStart
      const from = offset === 0 ? `s + ${base}` : `s + ${base} + v.getUint32(s + ${end - 4})`
      return `codecs[${codec}].decode(b, ${from}, s + ${base} + v.getUint32(s + ${end}))`
    }
    default: {
      const codec =
        codecs.push((bytes: Uint8Array, view: DataView, start: number) => layout.read(p, bytes, view, start)) - 1
      return `codecs[${codec}](b, v, s)`
    }
  }
}
