/**
 * The built-in rows of the system catalogs: cut from the data files on first use, by column name, and kept for good.
 *
 *   "2050\tn\t0\tarray_larger…"  ──cells by the catalog's own column types──►  [2050, 'n', 0, 2247, …]
 *
 * Not here: rows of users' objects (relations.ts and its neighbours), how rows become relations (relation.ts).
 */

import { type CatalogFile, catalogCells } from '../../types/catalog-table.ts'
import pgAggregate from '../data/pg_aggregate.json' with { type: 'json' }
import pgAm from '../data/pg_am.json' with { type: 'json' }
import pgAmop from '../data/pg_amop.json' with { type: 'json' }
import pgAmproc from '../data/pg_amproc.json' with { type: 'json' }
import pgAttribute from '../data/pg_attribute.json' with { type: 'json' }
import pgCast from '../data/pg_cast.json' with { type: 'json' }
import pgClass from '../data/pg_class.json' with { type: 'json' }
import pgCollation from '../data/pg_collation.json' with { type: 'json' }
import pgConversion from '../data/pg_conversion.json' with { type: 'json' }
import pgIndex from '../data/pg_index.json' with { type: 'json' }
import pgKeywords from '../data/pg_keywords.json' with { type: 'json' }
import pgLanguage from '../data/pg_language.json' with { type: 'json' }
import pgOpclass from '../data/pg_opclass.json' with { type: 'json' }
import pgOperator from '../data/pg_operator.json' with { type: 'json' }
import pgOpfamily from '../data/pg_opfamily.json' with { type: 'json' }
import pgProc from '../data/pg_proc.json' with { type: 'json' }
import pgRange from '../data/pg_range.json' with { type: 'json' }
import pgTimezoneAbbrevs from '../data/pg_timezone_abbrevs.json' with { type: 'json' }
import pgTsConfig from '../data/pg_ts_config.json' with { type: 'json' }
import pgTsConfigMap from '../data/pg_ts_config_map.json' with { type: 'json' }
import pgTsDict from '../data/pg_ts_dict.json' with { type: 'json' }
import pgTsParser from '../data/pg_ts_parser.json' with { type: 'json' }
import pgTsTemplate from '../data/pg_ts_template.json' with { type: 'json' }
import pgType from '../data/pg_type.json' with { type: 'json' }

const files: Record<string, CatalogFile> = {
  pg_attribute: pgAttribute,
  pg_aggregate: pgAggregate,
  pg_am: pgAm,
  pg_amop: pgAmop,
  pg_amproc: pgAmproc,
  pg_cast: pgCast,
  pg_class: pgClass,
  pg_collation: pgCollation,
  pg_conversion: pgConversion,
  pg_index: pgIndex,
  pg_keywords: pgKeywords,
  pg_language: pgLanguage,
  pg_opclass: pgOpclass,
  pg_operator: pgOperator,
  pg_opfamily: pgOpfamily,
  pg_proc: pgProc,
  pg_range: pgRange,
  pg_timezone_abbrevs: pgTimezoneAbbrevs,
  pg_ts_config: pgTsConfig,
  pg_ts_config_map: pgTsConfigMap,
  pg_ts_dict: pgTsDict,
  pg_ts_parser: pgTsParser,
  pg_ts_template: pgTsTemplate,
  pg_type: pgType,
}

/** A built-in row as it is written: text by column name. */
export type Fact = Readonly<Record<string, string | null>>

const cut = new Map<string, readonly Fact[]>()

/** The rows of one data file. None for a catalog that has no built-in rows. */
export function factsOf(name: string): readonly Fact[] {
  let rows = cut.get(name)
  if (rows === undefined) {
    const file = files[name]
    rows =
      file === undefined
        ? []
        : file.rows.map((line) => {
            const cells = catalogCells(line)
            const row: Record<string, string | null> = {}
            for (let i = 0; i < cells.length; i++) row[file.columns[i]] = cells[i]
            return row
          })
    cut.set(name, rows)
  }
  return rows
}

const procs = new Map<string, number>()

/** The oid of a built-in function that is referred to by its name alone; 0 for '-'. */
export function procNamed(name: string): number {
  if (procs.size === 0)
    for (const f of factsOf('pg_proc')) if (!procs.has(f.proname!)) procs.set(f.proname!, Number(f.oid))
  return procs.get(name) ?? 0
}

export interface TypeLayout {
  readonly length: number
  readonly byValue: boolean
  readonly align: string
  readonly storage: string
  readonly collation: number
}

const layouts = new Map<number, TypeLayout>()

/** How PostgreSQL lays a built-in type out; undefined for a user's. */
export function builtinLayout(type: number): TypeLayout | undefined {
  if (layouts.size === 0) {
    for (const f of factsOf('pg_type')) {
      layouts.set(Number(f.oid), {
        length: Number(f.typlen),
        byValue: f.typbyval === 't',
        align: f.typalign!,
        storage: f.typstorage!,
        collation: Number(f.typcollation),
      })
    }
  }
  return layouts.get(type)
}
