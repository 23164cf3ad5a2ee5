import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkCalls, checkFile, checkImports, isTest, read, show, sources } from './rules.ts'

const files = sources().filter((f) => !isTest(f))

test('layers import only downwards, and only their packages', () => {
  const violations = files.flatMap((f) => checkImports(f, read(f)))
  assert.equal(violations.length, 0, `\n${show(violations)}`)
})

test('nothing but io/node reaches time, randomness, disk, network', () => {
  const violations = files.flatMap((f) => checkCalls(f, read(f)))
  assert.equal(violations.length, 0, `\n${show(violations)}`)
})

test('files are short and named for what they hold', () => {
  const violations = files.flatMap((f) => checkFile(f, read(f)))
  assert.equal(violations.length, 0, `\n${show(violations)}`)
})

test('a planted upward import is found, type imports included', () => {
  assert.equal(checkImports('src/storage/x.ts', "import { a } from '../sql/index.ts'\n").length, 1)
  assert.equal(checkImports('src/base/x.ts', "import type {\n  A,\n} from '../storage/engine.ts'\n").length, 1)
  assert.equal(checkImports('src/sql/x.ts', "export * from '../wire/index.ts'\n").length, 1)
  assert.equal(checkImports('src/sql/x.ts', "const m = await import('../node/index.ts')\n").length, 1)
  assert.equal(checkImports('src/sql/x.ts', "import { a } from '../storage/index.ts'\n").length, 0)
})

test('a planted package is found', () => {
  assert.equal(checkImports('src/base/x.ts', "import z from 'zod'\n").length, 1)
  assert.equal(checkImports('src/replication/x.ts', "import fs from 'node:fs'\n").length, 1)
})

test('planted calls are found, words in comments and strings are not', () => {
  for (const line of [
    'const a = Date.now()',
    'new Date()',
    'Math.random()',
    'setTimeout(() => {}, 1)',
    "import fs from 'node:fs'",
    'a.localeCompare(b)',
    'performance.now()',
    'new WeakRef(x)',
  ]) {
    assert.equal(checkCalls('src/sql/x.ts', `${line}\n`).length, 1, line)
  }
  assert.equal(checkCalls('src/sql/x.ts', '// Date.now() is banned\n/* Math.random() */\n').length, 0)
  assert.equal(checkCalls('src/io/node/x.ts', 'Date.now()\n').length, 0)
})

test('a planted long file and a planted empty name are found', () => {
  assert.equal(checkFile('src/sql/x.ts', 'a\n'.repeat(900)).length, 1)
  assert.equal(checkFile('src/sql/string-utils.ts', '').length, 1)
  assert.equal(checkFile('src/sql/helpers/x.ts', '').length, 1)
})
