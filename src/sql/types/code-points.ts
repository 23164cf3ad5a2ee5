/**
 * Text as PostgreSQL counts it: in code points, ordered by code point (collation "C" over UTF-8). JavaScript counts
 * UTF-16 units, which differ only where there are surrogates, so that each operation first asks whether there are any.
 *
 * Not here: case mapping and functions of text (functions/text*.ts).
 */
const surrogate = /[\ud800-\udfff]/

/** Whether units and code points are the same in this text. */
export function isPlain(text: string): boolean {
  return !surrogate.test(text)
}

export function codePointLength(text: string): number {
  const units = text.length
  if (units === 0 || isPlain(text)) return units
  let count = units
  for (let i = 0; i < units; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) count--
  return count
}

/** The unit index of code point number `index` (clamped to the text's length). */
export function unitIndex(text: string, index: number): number {
  let at = 0
  for (let i = 0; i < index && at < text.length; i++) at += (text.charCodeAt(at) & 0xfc00) === 0xd800 ? 2 : 1
  return at
}

/** Code points from `start` (inclusive) to `end` (exclusive), both clamped. */
export function slicePoints(text: string, start: number, end: number): string {
  if (isPlain(text)) return text.slice(Math.max(start, 0), Math.max(end, 0))
  const from = unitIndex(text, Math.max(start, 0))
  return text.slice(from, unitIndex(text, Math.max(end, 0)))
}

/** Order by code point: UTF-16 order, but surrogates above the rest of the basic plane. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0
  const length = a.length < b.length ? a.length : b.length
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) {
      if (x >= 0xd800 && y >= 0xd800) return fix(x) - fix(y)
      return x - y
    }
  }
  return a.length - b.length
}

function fix(unit: number): number {
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000
}

/** Bytes of the text in UTF-8. */
export function utf8Length(text: string): number {
  return Buffer.byteLength(text)
}

const utf8Slice = Buffer.prototype.utf8Slice as (this: Uint8Array, start: number, end: number) => string

/** Decodes UTF-8; short ASCII text without leaving JavaScript. */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= 12) {
    let text = ''
    let i = start
    for (; i < end; i++) {
      const byte = bytes[i]
      if (byte > 0x7f) break
      text += String.fromCharCode(byte)
    }
    if (i === end) return text
  }
  return utf8Slice.call(bytes, start, end)
}
