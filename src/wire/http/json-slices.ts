/**
 * The elements of a JSON array as they were written: numbers beyond a double's precision, order of members and all, so that
 * what a client appends is what others read.
 *
 *   [ {"a":1}, 12345678901234567890 , "x,]" ]   →   {"a":1}  12345678901234567890  "x,]"
 *
 * Not here: whether the text is JSON; the caller has parsed it.
 */

/** @param array text of a JSON array, valid. */
export function elementsOf(array: string): string[] {
  const elements: string[] = []
  let depth = 0
  let start = array.indexOf('[') + 1
  for (let i = start - 1; i < array.length; i++) {
    const c = array.charCodeAt(i)
    if (c === 0x22) {
      i = endOfString(array, i)
    } else if (c === 0x5b || c === 0x7b) {
      depth++
    } else if (c === 0x5d || c === 0x7d) {
      depth--
      if (depth === 0) break
    } else if (c === 0x2c && depth === 1) {
      elements.push(array.slice(start, i).trim())
      start = i + 1
    }
  }
  const last = array.slice(start, array.lastIndexOf(']')).trim()
  if (last !== '') elements.push(last)
  return elements
}

/** Where the string that opens at `open` closes. */
function endOfString(text: string, open: number): number {
  for (let i = open + 1; ; i++) {
    const c = text.charCodeAt(i)
    if (c === 0x5c) i++
    else if (c === 0x22) return i
  }
}
