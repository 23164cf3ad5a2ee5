import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { TableMeta } from '../table-meta.ts'
import { type Pick, pickCompaction } from './pick.ts'

const rules = { level0Tables: 3, baseBytes: 1000, garbageShare: 0.25 }

/** `a-f 400` is a table of 400 bytes over [a, f); `!50` makes half of it collectable from timestamp 50 on. */
function levelsOf(text: string): TableMeta[][] {
  let number = 100
  const levels = text.split('|').map((level) =>
    level
      .trim()
      .split(/ +(?=[a-z]-)/)
      .filter((table) => table !== '')
      .map((table): TableMeta => {
        const [, start, end, bytes, collectable] = /^([a-z])-([a-z]) ([0-9]+)(?: !([0-9]+))?$/.exec(table)!
        number--
        return {
          number,
          age: number,
          bytes: Number(bytes),
          entries: 10,
          deletions: 0,
          superseded: collectable ? 5 : 0,
          oldest: 1,
          newest: 99,
          collectable: collectable ? Number(collectable) : Number.MAX_SAFE_INTEGER,
          start: Buffer.from(start),
          end: Buffer.from(end),
        }
      }),
  )
  while (levels.length < 7) levels.push([])
  return levels
}

function show(pick: Pick | undefined): string {
  if (pick === undefined) return 'nothing'
  const names = (tables: readonly TableMeta[]) =>
    tables.map((table) => `${Buffer.from(table.start)}-${Buffer.from(table.end)}`).join(' ')
  const verb = pick.move ? 'move' : 'merge'
  const lower = pick.lower.length > 0 ? ` with ${names(pick.lower)}` : ''
  return `${verb} ${pick.level}→${pick.outputLevel}: ${names(pick.upper)}${lower}`
}

const script: [what: string, levels: string, collected: number, expected: string][] = [
  ['an empty store', '', 0, 'nothing'],
  ['few tables in level 0', 'a-c 10 a-c 10', 0, 'nothing'],
  ['level 0 over nothing: the oldest moves', 'a-c 10 b-d 10 c-z 10', 0, 'move 0→1: c-z'],
  ['level 0 over level 1', 'a-c 10 b-d 10 c-f 10 | a-b 99 b-e 99 f-g 99', 0, 'merge 0→1: a-c b-d c-f with a-b b-e'],
  [
    'a level above its limit: the cheapest table',
    '| a-f 600 f-m 600 | a-c 500 c-e 500 g-h 90',
    0,
    'merge 1→2: f-m with g-h',
  ],
  ['nothing beneath it: it moves', '| a-f 600 f-m 600 | a-e 500', 0, 'move 1→2: f-m'],
  ['level 0 before deeper levels', 'a-b 1 a-b 1 a-b 1 | a-z 5000', 0, 'merge 0→1: a-b a-b a-b with a-z'],
  ['garbage that is not old enough', '| a-f 10 !50', 49, 'nothing'],
  ['garbage with nothing beneath: in place', '| a-f 10 !50', 50, 'merge 1→1: a-f'],
  ['garbage above something: downwards', '| a-f 10 !50 | | b-c 10', 50, 'merge 1→2: a-f'],
  ['garbage in level 0: all of it', 'a-f 10 !50 c-d 10', 50, 'move 0→1: c-d'],
]

for (const [what, levels, collected, expected] of script) {
  test(`compaction picks: ${what}`, () => {
    assert.equal(show(pickCompaction(levelsOf(levels), collected, rules)), expected)
  })
}
