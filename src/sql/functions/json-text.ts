/**
 * A json value taken apart without losing its text: each node knows where it stands, so that json -> 'a' answers what
 * was written, blanks, number forms and repeated keys included.
 *
 * The text has been checked when it became a json value, so nothing is checked again.
 * Not here: jsonb (types/jsonb.ts), checking (types/json-parser.ts).
 */
export type JsonNodeKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null'

export interface JsonNode {
  readonly kind: JsonNodeKind
  readonly start: number
  readonly end: number
  /** Of an object, in written order, repeated ones too. */
  readonly keys: readonly string[]
  /** Of an object or array. */
  readonly items: readonly JsonNode[]
}

const scalarEnd = /[\s,\]}]|$/g
const stringBody = /"(?:[^"\\]|\\.)*"/gy
const none: readonly never[] = []

class NodeReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): JsonNode {
    this.#blanks()
    const start = this.#at
    switch (this.#text[start]) {
      case '{':
        return this.#object(start)
      case '[':
        return this.#array(start)
      case '"':
        this.#string()
        return { kind: 'string', start, end: this.#at, keys: none, items: none }
      default: {
        scalarEnd.lastIndex = start
        this.#at = scalarEnd.exec(this.#text)!.index
        const c = this.#text[start]
        const kind = c === 't' || c === 'f' ? 'boolean' : c === 'n' ? 'null' : 'number'
        return { kind, start, end: this.#at, keys: none, items: none }
      }
    }
  }

  #blanks(): void {
    while (' \t\n\r'.includes(this.#text[this.#at] ?? '-')) this.#at++
  }

  #string(): string {
    stringBody.lastIndex = this.#at
    const found = stringBody.exec(this.#text)![0]
    this.#at += found.length
    return found
  }

  #object(start: number): JsonNode {
    const keys: string[] = []
    const items: JsonNode[] = []
    this.#at++
    this.#blanks()
    while (this.#text[this.#at] !== '}') {
      keys.push(JSON.parse(this.#string()) as string)
      this.#blanks()
      this.#at++
      items.push(this.read())
      this.#separator()
    }
    this.#at++
    return { kind: 'object', start, end: this.#at, keys, items }
  }

  #array(start: number): JsonNode {
    const items: JsonNode[] = []
    this.#at++
    this.#blanks()
    while (this.#text[this.#at] !== ']') {
      items.push(this.read())
      this.#separator()
    }
    this.#at++
    return { kind: 'array', start, end: this.#at, keys: none, items }
  }

  #separator(): void {
    this.#blanks()
    if (this.#text[this.#at] === ',') {
      this.#at++
      this.#blanks()
    }
  }
}

export function readJsonText(text: string): JsonNode {
  return new NodeReader(text).read()
}

/** The node's text as written. */
export function sourceOf(text: string, node: JsonNode): string {
  return text.slice(node.start, node.end)
}

/** The node as SQL text: strings without quotes, null as NULL, everything else as written. */
export function textOf(text: string, node: JsonNode): string | null {
  if (node.kind === 'null') return null
  const source = sourceOf(text, node)
  return node.kind === 'string' ? (JSON.parse(source) as string) : source
}

/** The member of an object (the last one of that key), or undefined. */
export function memberOf(node: JsonNode, key: string): JsonNode | undefined {
  if (node.kind !== 'object') return undefined
  return node.items[node.keys.lastIndexOf(key)]
}

/** The element of an array, counted from the end when negative. */
export function elementOf(node: JsonNode, index: number): JsonNode | undefined {
  return node.kind === 'array' ? node.items.at(index) : undefined
}
