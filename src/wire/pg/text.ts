/**
 * Text from the network: UTF-8 that is checked, since a byte string that is no text must never reach SQL.
 *
 * Decoding replaces what is malformed by U+FFFD; only a text that shows one is looked at byte by byte.
 * Source: Unicode 15, table 3-7 (well-formed UTF-8).
 *
 * Not here: other client encodings; the session refuses them.
 */
import { DbError } from '../../base/index.ts'

/** The text in bytes[start, end). Raises character_not_in_repertoire for malformed UTF-8 and for NUL. */
export function decodeText(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('utf8', start, end)
  if (text.includes('\ufffd') || text.includes('\0')) checkText(bytes, start, end)
  return text
}

function checkText(bytes: Buffer, start: number, end: number): void {
  let at = start
  while (at < end) {
    const width = wellFormed(bytes, at, end)
    if (width === 0) {
      const shown = Math.min(end, at + claimedWidth(bytes[at]))
      const hex = Array.from(bytes.subarray(at, shown), (b) => '0x' + b.toString(16).padStart(2, '0')).join(' ')
      throw new DbError('character_not_in_repertoire', `invalid byte sequence for encoding "UTF8": ${hex}`)
    }
    at += width
  }
}

function claimedWidth(first: number): number {
  if ((first & 0xe0) === 0xc0) return 2
  if ((first & 0xf0) === 0xe0) return 3
  if ((first & 0xf8) === 0xf0) return 4
  return 1
}

/** The width of the character at `at`, 0 when it is malformed. */
function wellFormed(b: Buffer, at: number, end: number): number {
  const first = b[at]
  if (first < 0x80) return first === 0 ? 0 : 1
  const width = claimedWidth(first)
  if (width === 1 || at + width > end) return 0
  for (let i = 1; i < width; i++) if ((b[at + i] & 0xc0) !== 0x80) return 0
  const second = b[at + 1]
  if (first < 0xc2 || first > 0xf4) return 0
  if (first === 0xe0 && second < 0xa0) return 0
  if (first === 0xed && second > 0x9f) return 0
  if (first === 0xf0 && second < 0x90) return 0
  if (first === 0xf4 && second > 0x8f) return 0
  return width
}
