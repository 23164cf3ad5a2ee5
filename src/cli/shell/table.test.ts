import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { formatError } from './error-text.ts'
import { formatTable, type TableFormat } from './table.ts'
import { textWidth } from './text-width.ts'

const columns = [
  { name: 'id', dataTypeID: 23 },
  { name: 'name', dataTypeID: 25 },
  { name: 'data', dataTypeID: 3802 },
]
const rows = [
  ['1', 'Ada', '{"a": 1}'],
  ['200', 'two\nlines', null],
  ['3', '漢字', '[]'],
]
const show = (format: TableFormat, terminalWidth = 80) =>
  formatTable(columns, rows, { format, terminalWidth, color: false })

test('aligned', () => {
  assert.equal(
    show('table'),
    [
      ' id  │ name  │   data',
      '─────┼───────┼──────────',
      '   1 │ Ada   │ {"a": 1}',
      ' 200 │ two  ↵│ NULL',
      '     │ lines │',
      '   3 │ 漢字  │ []',
      '(3 rows)',
      '',
    ].join('\n'),
  )
})

test('expanded, by itself when too wide', () => {
  const expected = [
    '─[ 1 ]─────────',
    'id   │ 1',
    'name │ Ada',
    'data │ {"a": 1}',
    '─[ 2 ]─────────',
    'id   │ 200',
    'name │ two',
    '     │ lines',
    'data │ NULL',
    '─[ 3 ]─────────',
    'id   │ 3',
    'name │ 漢字',
    'data │ []',
    '',
  ].join('\n')
  assert.equal(show('expanded'), expected)
  assert.equal(show('auto'), show('table'))
  assert.notEqual(show('auto', 15), show('table'))
})

test('for programs', () => {
  assert.equal(show('csv'), 'id,name,data\n1,Ada,"{""a"": 1}"\n200,"two\nlines",\n3,漢字,[]\n')
  assert.equal(
    show('json'),
    '{"id":1,"name":"Ada","data":{"a":1}}\n{"id":200,"name":"two\\nlines","data":null}\n{"id":3,"name":"漢字","data":[]}\n',
  )
})

test('control characters do not reach the terminal', () => {
  const shown = formatTable([columns[1]], [['a\x1b[31mb']], { format: 'table', terminalWidth: 80, color: false })
  assert.ok(shown.includes('a\\x1b[31mb'))
})

test('widths', () => {
  assert.deepEqual(['abc', '漢字', 'e\u0301', '👍', 'ｱ', '\u200b'].map(textWidth), [3, 4, 1, 2, 1, 0])
})

test('an error points at its place', () => {
  const error = new DbError('undefined_column', 'column "b" does not exist', { position: 15, hint: 'no' })
  assert.equal(
    formatError(error, 'select\n 漢, a, b\nfrom t'),
    'ERROR:  column "b" does not exist\nLINE 2:  漢, a, b\n                ^\nHINT:  no\n',
  )
  const long = formatError(new DbError('syntax_error', 'x', { position: 201 }), 'a'.repeat(200) + 'B' + 'c'.repeat(200))
  const [, line, caret] = long.split('\n')
  assert.equal(line[caret.length - 1], 'B')
  assert.ok(line.length < 80)
  assert.match(formatError(error, '', 'ERROR', true), /^ERROR: {2}42703: column/)
})
