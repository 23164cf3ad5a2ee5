/**
 * Rows written in COPY's text and CSV formats are read back as they were, however the bytes are cut into messages.
 * A failure prints fast-check's seed and path; `fc.assert(…, { seed, path })` replays it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ByteWriter } from '../../encoding/index.ts'
import { textOid } from '../types/oids.ts'
import { builtinType } from '../types/registry.ts'
import type { TypeContext } from '../types/type.ts'
import { type CopyOptions, CsvReader, copyOptions, RowWriterText, TextReader } from './format.ts'

type Cell = string | null
const text = copyOptions([])
const option = (defname: string, sval: string) => ({ DefElem: { defname, arg: { String: { sval } } } })

/** Reads `bytes` in pieces of the given lengths, plain records through `scan` when the reader has it. */
function read(options: CopyOptions, bytes: Uint8Array, cuts: readonly number[], scans: boolean): Cell[][] {
  const reader = options.format === 'csv' ? new CsvReader(options, ['a', 'b', 'c']) : new TextReader(options)
  const rows: Cell[][] = []
  const drain = () => {
    for (;;) {
      if (scans && reader instanceof TextReader && reader.scan()) {
        const cells: Cell[] = []
        for (let i = 0; i < reader.cells; i++) {
          const cell = reader.bytes.toString('latin1', reader.starts[i], reader.ends[i])
          cells.push(cell === options.null ? null : cell)
        }
        rows.push(cells)
        continue
      }
      const cells = reader.next()
      if (cells === undefined) return
      rows.push(cells)
    }
  }
  let at = 0
  for (const cut of cuts) {
    reader.push(bytes.subarray(at, at + cut))
    at = Math.min(bytes.length, at + cut)
    drain()
  }
  reader.push(bytes.subarray(at))
  drain()
  reader.end()
  drain()
  return rows
}

const special = fc.constantFrom('\\', '\t', '\n', '\r', '"', ',', '', '\\.', '\\N', 'é', '😀', 'plain', '0', 'N', '|')
const cell = fc.oneof(
  fc.constant(null),
  fc.array(special, { maxLength: 5 }).map((parts) => parts.join('')),
  fc.string({ unit: 'binary' }).map((s) => s.toWellFormed().replaceAll('\0', '')),
)
const rows = fc.array(fc.tuple(cell, cell, cell), { maxLength: 8 })
const cuts = fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 20 })
const formats: [name: string, options: CopyOptions][] = [
  ['text', text],
  ['text with a delimiter', copyOptions([option('delimiter', '|'), option('null', '')])],
  ['csv', copyOptions([option('format', 'csv')])],
  ['csv with an escape', copyOptions([option('format', 'csv'), option('escape', '\\'), option('quote', "'")])],
]

for (const [name, options] of formats) {
  test(`COPY's ${name} format reads what it wrote`, () => {
    const type = builtinType(textOid)
    fc.assert(
      fc.property(rows, cuts, fc.boolean(), (values, lengths, scans) => {
        // A NULL of '' in text format cannot be told from an empty text: PostgreSQL reads NULL too.
        const wanted = values.map((r) =>
          r.map((c) => (c === '' && options.format === 'text' && options.null === '' ? null : c)),
        )
        const writer = new RowWriterText(options, [type, type, type], ['a', 'b', 'c'], {} as TypeContext)
        const out = new ByteWriter()
        for (const row of values) writer.write(row, out)
        assert.deepEqual(read(options, out.bytes, lengths, scans), wanted)
      }),
      { numRuns: 500 },
    )
  })
}

test('numbers in escapes name bytes', () => {
  const rows = read(text, Buffer.from('\\303\\251\\x41\\101\t\\.x\t\\q\n\\.\nafter\n'), [], false)
  assert.deepEqual(rows, [['éAA', '.x', 'q']])
})
