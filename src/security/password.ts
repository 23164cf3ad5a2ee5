/**
 * SASLprep (RFC 4013): two ways to type one password must give one byte string. As PostgreSQL does, a password that the
 * profile forbids is used as it stands.
 *
 * Not here: strength rules, storage.
 */

/** Code points, as ranges "first-last" in hex. */
function codePoints(ranges: string): RegExp {
  const alternatives = ranges.split(' ').map((range) => {
    const [first, last] = range.split('-')
    return last === undefined ? `\\u{${first}}` : `[\\u{${first}}-\\u{${last}}]`
  })
  return new RegExp(alternatives.join('|'), 'gu')
}

/** Mapped to nothing (RFC 3454, table B.1). */
const vanishing = codePoints('ad 34f 1806 180b-180d 200b-200d 2060 fe00-fe0f feff')
/** Non-ASCII spaces (table C.1.2). */
const spaces = codePoints('a0 1680 2000-200b 202f 205f 3000')
/** Controls, private use, non-characters, surrogates, display properties, tagging (tables C.2 to C.9). */
const forbidden = codePoints(
  '0-1f 7f-9f 340-341 6dd 70f 180e 200e-200f 2028-202e 2061-2063 206a-206f d800-dfff e000-f8ff fdd0-fdef fff9-ffff ' +
    '1d173-1d17a e0001 e0020-e007f f0000-10ffff',
)

/** The password as it goes into the hash. */
export function preparePassword(password: string): string {
  if (/^[\x20-\x7e]*$/.test(password)) return password
  const mapped = password.replace(spaces, ' ').replace(vanishing, '').normalize('NFKC')
  if (mapped === '' || mapped.search(forbidden) >= 0) return password
  return mapped
}
