/** Trees come through in pieces as they were, whatever lists are in them; errors keep position and hint. */
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { parseText, statementsOf } from './parse-job.ts'
import { loadParser, longestText, parse } from './parser.ts'
import { cutTree } from './tree-pieces.ts'

before(loadParser)

const list = (element: (i: number) => string, count: number, between = ',') =>
  Array.from({ length: count }, (_, i) => element(i)).join(between)

/** What the loop makes of what a worker sends, and in how many turns. */
function through(text: string) {
  const steps = statementsOf(structuredClone(parseText(text)))
  let turns = 0
  for (;;) {
    const step = steps.next()
    if (step.done) return { statements: step.value, turns }
    turns++
  }
}

const texts: Record<string, string> = {
  'one statement': 'select 1',
  'no statement': ' -- nothing',
  'a long list': `select 1 where 1 in (${list(String, 20_000)})`,
  'lists in lists': `select ${list((i) => `array[${list((j) => `${i * j}`, 300)}]`, 300)}`,
  'many conditions': `select 1 where ${list((i) => `a = ${i} and b in (${list(String, 300)})`, 300, ' or ')}`,
  'rows of values': `insert into t values ${list((i) => `(${i}, 'row ''${i}'' é', null)`, 10_000)}`,
  'many statements': list((i) => `insert into t values (${i})`, 3000, ';\n'),
  'characters of several bytes': list((i) => `select 'ü€😀', ${i}`, 2000, ' ;  '),
}

for (const [name, text] of Object.entries(texts))
  test(`${name}: the same as parsed at once`, () => {
    const { statements, turns } = through(text)
    assert.deepEqual(statements, parse(text, longestText))
    // The longer ones come in turns: the loop is given back in between.
    assert.ok(turns >= Math.floor(JSON.stringify(statements).length / 400_000), `${turns} turns`)
  })

test('statements are cut out of a text by characters, not bytes', () => {
  const text = "select 'ü€😀';  select '😀😀' as b; select 3"
  assert.deepEqual(
    parse(text).map(({ start, length }) => text.slice(start, start + length).trim()),
    ["select 'ü€😀'", "select '😀😀' as b", 'select 3'],
  )
})

test('errors come through with code, position and hint', () => {
  const wrong = `select 'ü', ${list(String, 1000)} from from`
  for (const text of [wrong, `select ${'('.repeat(50_000)}1${')'.repeat(50_000)}`]) {
    const raised = (body: () => unknown) => {
      try {
        body()
      } catch (error) {
        assert.ok(error instanceof DbError)
        const { code, message, hint, position } = error
        return { code, message, hint, position }
      }
      return assert.fail('nothing was raised')
    }
    assert.deepEqual(
      raised(() => through(text)),
      raised(() => parse(text)),
    )
  }
})

test('a tree that would take too much memory is refused', () => {
  const tree = { statements: parse(texts['rows of values']) }
  assert.throws(() => cutTree(tree, 100_000), { code: 'program_limit_exceeded', message: /more terms/ })
})
