/**
 * Writes down what PostgreSQL answers, for the tests to compare with where there is no PostgreSQL:
 *
 *   PGURL=postgres://… node test/sql/catalog/record.ts
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { kept } from './compare.ts'
import { definitionsOf } from './definitions.ts'
import { runAll } from './run.ts'
import { load } from './statements.ts'

const url = process.env.PGURL
if (url === undefined) throw new Error('PGURL must name a PostgreSQL 15 server')
const here = import.meta.dirname
const answers = await runAll(url, load(join(here, 'statements.json')))
writeFileSync(join(here, 'expected.json'), `[\n${answers.map((a) => JSON.stringify(kept(a))).join(',\n')}\n]\n`)
writeFileSync(join(here, 'expected-definitions.json'), `${JSON.stringify(await definitionsOf(url), undefined, 1)}\n`)
