import { strict as assert } from 'node:assert'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { check } from './script.harness.ts'

const folder = join(import.meta.dirname, 'golden')
const scripts = readdirSync(folder).filter((f) => f.endsWith('.golden'))

test('there are scripts', () => assert.ok(scripts.length > 10))

for (const name of scripts.sort()) test(`golden ${name}`, () => check(join(folder, name)))
