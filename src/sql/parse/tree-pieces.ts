/**
 * Parse trees as texts in pieces, to bring them from a worker to the loop without holding the loop: copying a tree of
 * 100,000 terms as objects takes the receiver longer than parsing did the sender, and JSON in one text a tenth of a
 * second and more.
 *
 *   root   {"statements":[]}                     long lists cut out
 *   lists  statements            ["[{…},{…}]", "[{…}]"]          in pieces of about 64 KiB
 *          statements,0,node,…   ["[…]"]                          a list in a list comes after it
 *
 * Trees that nest too deeply to be walked do not come out of the grammar, so only lists make a tree large. One that would
 * take gigabytes once it is put together is refused.
 *
 * Not here: who parses where (parse-job.ts).
 */
import { DbError } from '../../base/index.ts'

export interface TreePieces {
  readonly root: string
  readonly lists: readonly CutList[]
}

interface CutList {
  /** The keys that lead to the list from the root. */
  readonly path: readonly (string | number)[]
  /** JSON arrays; together they are the list. */
  readonly pieces: readonly string[]
}

/** Shorter lists stay where they are. Elements. */
const longList = 256
/** A piece ends with the element that reaches this. Characters. */
const pieceLength = 64 * 1024

/** A tree takes about ten times this in memory. Characters. */
const largestTree = 256 * 1024 * 1024

/**
 * Takes the tree apart: it is of no use afterwards. Raises program_limit_exceeded, and RangeError for a tree that nests
 * too deeply.
 */
export function cutTree(tree: object, largest = largestTree): TreePieces {
  const lists: CutList[] = []
  let length = 0
  const path: (string | number)[] = []
  const cut = (node: Record<string | number, unknown>): void => {
    for (const key in node) {
      const child = node[key]
      if (typeof child !== 'object' || child === null) continue
      path.push(key)
      if (Array.isArray(child) && child.length > longList) {
        const pieces: string[] = []
        lists.push({ path: [...path], pieces })
        cut(child as unknown as Record<number, unknown>)
        length += inPieces(child, pieces)
        if (length > largest) throw tooManyTerms()
        node[key] = []
      } else cut(child as Record<string, unknown>)
      path.pop()
    }
  }
  cut(tree as Record<string, unknown>)
  return { root: JSON.stringify(tree), lists }
}

export function tooManyTerms(cause?: unknown): DbError {
  return new DbError('program_limit_exceeded', 'the statement has more terms than there is memory for', {
    hint: 'Load data with COPY, or send several statements.',
    cause,
  })
}

/** Returns how many characters they are. */
function inPieces(list: readonly unknown[], into: string[]): number {
  let parts: string[] = []
  let length = 0
  let total = 0
  for (const element of list) {
    const text = JSON.stringify(element)
    parts.push(text)
    length += text.length
    total += text.length
    if (length < pieceLength) continue
    into.push(`[${parts.join(',')}]`)
    parts = []
    length = 0
  }
  if (parts.length > 0) into.push(`[${parts.join(',')}]`)
  return total
}

/** Puts the tree together; yields after each piece, a few milliseconds of work at most. */
export function* joinTree(pieces: TreePieces): Generator<void, unknown, void> {
  const root = JSON.parse(pieces.root)
  for (const { path, pieces: texts } of pieces.lists) {
    let list = root
    for (const key of path) list = list[key]
    for (const text of texts) {
      yield
      for (const element of JSON.parse(text)) list.push(element)
    }
  }
  return root
}
