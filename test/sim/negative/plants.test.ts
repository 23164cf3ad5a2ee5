/**
 * Planted bugs have their places: a change of the source that moves one says so at once. Whether they are found takes
 * minutes: `npm run sim:negative`.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { replaceOnce } from './plant.ts'
import { plants } from './plants/index.ts'

const source = resolve(import.meta.dirname, '../../../src')

test('every planted bug has its place', () => {
  for (const { name, edits } of plants) {
    for (const { file, find, replace } of edits) {
      const text = readFileSync(`${source}/${file}`, 'utf8')
      assert.notEqual(replaceOnce(text, find, replace, `${name}: ${file}`), text, `${name} changes nothing`)
    }
  }
})

test('names are unique', () => {
  assert.equal(new Set(plants.map(({ name }) => name)).size, plants.length)
})

test('a place that is gone, or not the only one, is refused', () => {
  assert.throws(() => replaceOnce('a b', 'c', 'd', 'here'), /0 times/)
  assert.throws(() => replaceOnce('a a', 'a', 'd', 'here'), /2 times/)
  assert.equal(replaceOnce('a b', 'b', 'c', 'here'), 'a c')
})
