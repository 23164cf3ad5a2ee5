/**
 * Rows of cells as bytes; equal rows have equal bytes, so that their hashes say whether two places agree.
 *
 *   row       format u8 1 │ time │ alive u8 │ columns │ (column text │ cell)…           by column, ascending
 *   time      timestamp, 8 bytes big-endian │ origin text
 *   register  1 │ time │ value block
 *   counter   2 │ epoch time │ origins │ (origin text │ plus │ minus)…                  by origin
 *   set       3 │ epoch time │ elements │ (element text │ origins │ (origin text │ added 8 │ removed 8)…)…
 *
 * Counts and lengths are varints, texts UTF-8 behind their length, plus and minus are big-endian behind their length.
 *
 * Not here: what cells mean (cells.ts, cell-row.ts).
 */
import { DbError } from '../../base/index.ts'
import { ByteInput } from './byte-input.ts'
import { ByteOutput } from './byte-output.ts'
import type { CellRow } from './cell-row.ts'
import type { CellTime, Count, Presence, RowCell } from './cells.ts'

const format = 1
const registerTag = 1
const counterTag = 2
const setTag = 3
/** A counter of 2^512 has counted for longer than there is time. */
const maxCountBytes = 64

export function encodeCellRow({ life, cells }: CellRow): Uint8Array {
  const out = new ByteOutput()
  out.u8(format)
  writeTime(out, life.at)
  out.u8(life.alive ? 1 : 0)
  writeMap(out, cells, writeCell)
  return out.bytes
}

/** Errors: incompatible_format, protocol_violation (malformed). */
export function decodeCellRow(bytes: Uint8Array): CellRow {
  const input = new ByteInput(bytes)
  const found = input.u8()
  if (found !== format) {
    throw new DbError('incompatible_format', `the row has format ${found}, not ${format}`, {
      hint: 'Use the version of the program that wrote it.',
    })
  }
  const at = readTime(input)
  const alive = input.u8()
  if (alive > 1) throw new DbError('protocol_violation', `a row that lives ${alive}`, order)
  const life = { at, alive: alive === 1 }
  const cells = readMap(input, 10, () => readCell(input))
  input.end()
  return { life, cells }
}

function writeTime(out: ByteOutput, { timestamp, origin }: CellTime): void {
  out.safe(timestamp)
  out.text(origin)
}
function readTime(input: ByteInput): CellTime {
  return { timestamp: input.safe(), origin: input.text() }
}

function writeMap<V>(out: ByteOutput, map: ReadonlyMap<string, V>, write: (out: ByteOutput, value: V) => void): void {
  out.varint(map.size)
  for (const [key, value] of [...map].sort(([a], [b]) => (a < b ? -1 : 1))) {
    out.text(key)
    write(out, value)
  }
}
function readMap<V>(input: ByteInput, least: number, read: () => V): Map<string, V> {
  const out = new Map<string, V>()
  let last: string | undefined
  for (let left = input.count(least); left > 0; left--) {
    const key = input.text()
    // Equal rows have equal bytes only when there is one way to write them.
    if (last !== undefined && key <= last) throw new DbError('protocol_violation', 'a row is not in order', order)
    last = key
    out.set(key, read())
  }
  return out
}
const order = { hint: 'Nothing between the sender and here may change the bytes.' }

function writeCell(out: ByteOutput, cell: RowCell): void {
  switch (cell.kind) {
    case 'register':
      out.u8(registerTag)
      writeTime(out, cell.at)
      out.block(cell.value)
      return
    case 'counter':
      out.u8(counterTag)
      writeTime(out, cell.epoch)
      writeMap(out, cell.counts, writeCount)
      return
    case 'set':
      out.u8(setTag)
      writeTime(out, cell.epoch)
      writeMap(out, cell.elements, (o, presences) => writeMap(o, presences, writePresence))
  }
}

function readCell(input: ByteInput): RowCell {
  const tag = input.u8()
  if (tag === registerTag) return { kind: 'register', at: readTime(input), value: input.block().slice() }
  if (tag === counterTag) {
    const epoch = readTime(input)
    return { kind: 'counter', epoch, counts: readMap(input, 3, () => readCount(input)) }
  }
  if (tag !== setTag) throw new DbError('protocol_violation', `a cell of kind ${tag} is none`, order)
  const epoch = readTime(input)
  const elements = readMap(input, 2, () => readMap(input, 17, () => readPresence(input)))
  return { kind: 'set', epoch, elements }
}

function writeCount(out: ByteOutput, { plus, minus }: Count): void {
  writeBig(out, plus)
  writeBig(out, minus)
}
function readCount(input: ByteInput): Count {
  return { plus: readBig(input), minus: readBig(input) }
}

function writePresence(out: ByteOutput, { added, removed }: Presence): void {
  out.safe(added)
  out.safe(removed)
}
function readPresence(input: ByteInput): Presence {
  return { added: input.safe(), removed: input.safe() }
}

function writeBig(out: ByteOutput, value: bigint): void {
  const bytes: number[] = []
  for (let rest = value; rest > 0n; rest >>= 8n) bytes.push(Number(rest & 0xffn))
  out.block(Uint8Array.from(bytes.reverse()))
}
function readBig(input: ByteInput): bigint {
  const bytes = input.block()
  if (bytes.length > maxCountBytes || bytes[0] === 0) {
    throw new DbError('protocol_violation', 'a counter is not written as counters are', order)
  }
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return value
}
