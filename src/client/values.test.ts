import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RowMaker } from './rows.ts'
import { fragment, identifier, renderTemplate } from './sql-template.ts'
import { formatCopyValue, formatValue, parseArray, parserOf } from './values.ts'

test('integers of any size, floats, bytes, json', () => {
  const int8 = parserOf(20)
  assert.equal(int8('9007199254740991'), 9007199254740991)
  assert.equal(int8('9007199254740992'), 9007199254740992n)
  assert.equal(int8('-9223372036854775808'), -(2n ** 63n))
  assert.equal(parserOf(701)('-Infinity'), Number.NEGATIVE_INFINITY)
  assert.deepEqual(parserOf(17)('\\x00ff'), Buffer.from([0, 255]))
  assert.deepEqual(parserOf(17)('a\\000\\\\'), Buffer.from('a\0\\'))
  assert.deepEqual(parserOf(3802)('{"a": [null]}'), { a: [null] })
  assert.equal(parserOf(999_999)('anything'), 'anything')
})

test('timestamps with a zone', () => {
  const parse = parserOf(1184)
  const iso = (text: string) => (parse(text) as { toISOString(): string }).toISOString()
  assert.equal(iso('2024-02-29 23:59:59.999999+00'), '2024-02-29T23:59:59.999Z')
  assert.equal(iso('2024-02-29 00:00:00-05:30'), '2024-02-29T05:30:00.000Z')
  assert.equal(iso('1850-01-01 00:00:00+00:53:28'), '1849-12-31T23:06:32.000Z')
  assert.equal(iso('0044-03-15 12:00:00+00 BC'), '-000043-03-15T12:00:00.000Z')
  assert.equal(parse('infinity'), Number.POSITIVE_INFINITY)
  assert.equal(parse('294276-12-31 23:59:59+00'), '294276-12-31 23:59:59+00')
})

test('arrays: what is written is read back', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.string({ unit: 'binary' })), { maxLength: 6 }), (items) => {
      assert.deepEqual(parseArray(formatValue(items, 0) as string, String), items)
    }),
  )
  assert.deepEqual(parseArray('[0:1]={{1,2},{3,NULL}}', Number), [
    [1, 2],
    [3, null],
  ]) // prettier-ignore
  assert.deepEqual(parseArray('{}', Number), [])
  for (const bad of ['', '{', '{1', '{"a}', '{1}x{'.slice(0, 2)])
    assert.throws(() => parseArray(bad, String), { code: 'invalid_text_representation' }) // prettier-ignore
  assert.equal(formatValue([1, [2n, true], null, 'a"\\'], 0), '{1,{2,true},NULL,"a\\"\\\\"}')
})

test('parameters', () => {
  assert.equal(formatValue(undefined, 0), null)
  assert.equal(formatValue({ toISOString: () => 'now' }, 0), 'now')
  assert.equal(formatValue({ a: 1 }, 0), '{"a":1}')
  assert.equal(formatValue([1, 2], 3802), '[1,2]')
  assert.equal(formatValue('[1]', 3802), '[1]')
  assert.equal(formatValue(Temporal.PlainDate.from('2024-02-29'), 1082), '2024-02-29')
  assert.equal(
    formatValue(Temporal.ZonedDateTime.from('2024-02-29T12:00+01:00[Europe/Paris]'), 1184),
    '2024-02-29T11:00:00Z',
  )
  assert.throws(() => formatValue(Symbol('x'), 0), { code: 'invalid_parameter_value' })
  assert.equal(formatCopyValue('a\tb\\c\nd', 25), 'a\\tb\\\\c\\nd')
  assert.equal(formatCopyValue(null, 25), '\\N')
  assert.equal(formatCopyValue(Buffer.from([1]), 17), '\\\\x01')
})

test('templates', () => {
  const tag = (strings: TemplateStringsArray, ...values: unknown[]) => renderTemplate(strings, values)
  assert.deepEqual(
    tag`select ${1} from ${identifier('s', 'a"b')} ${fragment`where x = ${2} ${fragment`or y = ${[3]}`}`} limit ${4}`,
    {
      text: 'select $1 from "s"."a""b" where x = $2 or y = $3 limit $4',
      values: [1, 2, [3], 4],
    },
  )
})

test('a column may have any name', () => {
  const field = (name: string) => ({
    name,
    tableID: 0,
    columnID: 0,
    dataTypeID: 23,
    dataTypeSize: 4,
    dataTypeModifier: -1,
  })
  const row = new RowMaker([field('__proto__'), field('constructor')], 'objects').make([1, 2]) as object
  assert.deepEqual(Object.entries(row), [
    ['__proto__', 1],
    ['constructor', 2],
  ]) // prettier-ignore
  assert.equal(Object.getPrototypeOf(row), Object.prototype)
})
