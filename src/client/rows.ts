/**
 * Makes the rows that a caller gets: objects by column name, or arrays.
 *
 * Not here: values (values.ts).
 */
import type { FieldInfo } from './client.ts'
import { parserOf, type ValueParser } from './values.ts'

/** Objects by name, arrays of values, or arrays of the text that the server sent. */
export type RowManner = 'objects' | 'arrays' | 'text'

const asText: ValueParser = (text) => text

export class RowMaker {
  readonly fields: FieldInfo[]
  readonly parsers: ValueParser[]
  readonly #names: string[]
  readonly #arrays: boolean

  constructor(fields: FieldInfo[], manner: RowManner) {
    this.fields = fields
    this.parsers = fields.map((field) => (manner === 'text' ? asText : parserOf(field.dataTypeID)))
    this.#names = fields.map((field) => field.name)
    this.#arrays = manner !== 'objects'
  }

  /** A row of values in the order of the fields. Of columns with one name the last one shows. */
  make(values: unknown[]): unknown {
    if (this.#arrays) return values
    const row: Record<string, unknown> = {}
    const names = this.#names
    for (let i = 0; i < names.length; i++) {
      // A column may be called __proto__.
      if (names[i] === '__proto__') Object.defineProperty(row, names[i], { value: values[i], enumerable: true })
      else row[names[i]] = values[i]
    }
    return row
  }
}

/** The count at the end of a command tag, 0 when there is none. */
export function rowCountOf(tag: string): number {
  const match = /(\d+)$/.exec(tag)
  return match === null ? 0 : Number(match[1])
}

/** The words of a command tag. */
export function commandOf(tag: string): string {
  return tag.replace(/[ \d]+$/, '')
}
