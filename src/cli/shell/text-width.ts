/**
 * How many columns of a terminal a text takes: wide characters of East Asia and emoji take two, combining marks none.
 * Source: Unicode 15, EastAsianWidth.txt and general category Mn, in ranges.
 *
 * Not here: tables (table.ts).
 */

/** Even entries begin a range that takes two columns, odd ones end it (inclusive). */
const wide = [
  0x1100, 0x115f, 0x231a, 0x231b, 0x2329, 0x232a, 0x23e9, 0x23ec, 0x2e80, 0x303e, 0x3041, 0x33ff, 0x3400, 0x4dbf,
  0x4e00, 0x9fff, 0xa000, 0xa4cf, 0xa960, 0xa97f, 0xac00, 0xd7a3, 0xf900, 0xfaff, 0xfe30, 0xfe6f, 0xff00, 0xff60,
  0xffe0, 0xffe6, 0x1f300, 0x1f64f, 0x1f680, 0x1f6ff, 0x1f900, 0x1f9ff, 0x20000, 0x3fffd,
]

function isWide(code: number): boolean {
  if (code < wide[0]) return false
  for (let i = 0; i < wide.length; i += 2) if (code >= wide[i] && code <= wide[i + 1]) return true
  return false
}

export function textWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let width = 0
  for (const character of text) {
    const code = character.codePointAt(0)!
    if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code === 0x200b || code === 0x200d) continue
    if (/\p{Mn}/u.test(character)) continue
    width += isWide(code) ? 2 : 1
  }
  return width
}

export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - textWidth(text))) + text
}

export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - textWidth(text)))
}
