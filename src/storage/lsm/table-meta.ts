/**
 * What is known of a table without opening it: the manifest's row, and a table's properties.
 *
 * Not here: the file (table-file.ts).
 */
import type { Timestamp } from '../../base/index.ts'

/** What building a table tells about it. */
export interface TableProperties {
  readonly entries: number
  readonly deletions: number
  /** Entries that follow a newer version of their key in the table. */
  readonly superseded: number
  readonly oldest: Timestamp
  readonly newest: Timestamp
  /** The smallest collection threshold at which something in it could go; beyond every timestamp when nothing can. */
  readonly collectable: Timestamp
  readonly firstKey: Uint8Array
  readonly lastKey: Uint8Array
  /** Keys and values, without overhead. */
  readonly rawBytes: number
}

/** A table's place in a level: a file, or a range of one. */
export interface TableMeta {
  readonly number: number
  /** Orders the tables of level 0: what was added later is newer. */
  readonly age: number
  readonly bytes: number
  readonly entries: number
  readonly deletions: number
  readonly superseded: number
  readonly oldest: Timestamp
  readonly newest: Timestamp
  readonly collectable: Timestamp
  /** Keys in [start, end) are visible. */
  readonly start: Uint8Array
  readonly end: Uint8Array
}

export function metaOf(number: number, age: number, bytes: number, properties: TableProperties): TableMeta {
  const { entries, deletions, superseded, oldest, newest, collectable } = properties
  const end = new Uint8Array(properties.lastKey.length + 1)
  end.set(properties.lastKey)
  return {
    number,
    age,
    bytes,
    entries,
    deletions,
    superseded,
    oldest,
    newest,
    collectable,
    start: properties.firstKey,
    end,
  }
}

export function tableName(number: number): string {
  return `${String(number).padStart(10, '0')}.table`
}

/** The number in a table's file name, or undefined for another file. */
export function tableNumberOf(name: string): number | undefined {
  return /^[0-9]{10}\.table$/.test(name) ? Number(name.slice(0, 10)) : undefined
}
