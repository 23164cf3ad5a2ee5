/**
 * The reference pages say what the code has: settings, metrics, commands and routes that are missing in them fail here.
 *
 *   UPDATE=1 node --test test/sql/reference/reference.test.ts     writes them
 */
import assert from 'node:assert/strict'
import { globSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { settingFacts } from '../../../src/sql/session/settings.ts'
import { blocks, commandNames, documentedSettings, root } from './blocks.ts'

const folder = join(root, 'docs/reference')
const pages = readdirSync(folder).filter((f) => f.endsWith('.md'))
const mark = /<!-- from the code: ([\w ]+) -->\n[\s\S]*?<!-- end -->/g
const text = (page: string) => readFileSync(join(folder, page), 'utf8')

for (const page of pages) {
  test(`${page} is what the code has`, () => {
    const before = text(page)
    const now = before.replace(mark, (_, name: string) => {
      assert.ok(blocks[name], `there is a block ${name}`)
      return `<!-- from the code: ${name} -->\n${blocks[name]()}\n<!-- end -->`
    })
    if (process.env.UPDATE !== undefined) writeFileSync(join(folder, page), now)
    else assert.equal(before, now)
  })
}

test('every block is on a page, and every page is linked', () => {
  const all = pages.map(text).join('\n')
  for (const name of Object.keys(blocks)) assert.ok(all.includes(`<!-- from the code: ${name} -->`), name)
  const index = text('README.md')
  for (const page of pages) if (page !== 'README.md') assert.ok(index.includes(`](${page})`), page)
})

test('links lead somewhere', () => {
  for (const page of pages) {
    for (const [, target] of text(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g))
      assert.equal(globSync(join(folder, target)).length, 1, `${page}: ${target}`)
  }
})

test('settings that are read somewhere are in a table', () => {
  const documented = documentedSettings()
  const sources = globSync('src/sql/**/*.ts', { cwd: root }).map((f) => readFileSync(join(root, f), 'utf8'))
  for (const source of sources) {
    for (const [, name] of source.matchAll(/settings\.(?:get|on|number)\('([\w.]+)'/g))
      assert.ok(documented.has(name.toLowerCase()), name)
  }
  for (const name of documented) assert.ok(settingFacts.has(name), name)
})

test('metrics that a node exposes, and commands, are in a table', () => {
  const monitoring = text('monitoring.md')
  const source = ['node-metrics', 'cluster-metrics'].map((f) => readFileSync(join(root, `src/node/${f}.ts`), 'utf8'))
  const names = source.join('\n').match(/'lattice_\w+'/g)!
  assert.ok(names.length > 25)
  for (const name of names) assert.ok(monitoring.includes(name.slice(1, -1)), name)
  assert.ok(commandNames().length >= 7)
  const routes = readFileSync(join(root, 'src/node/http-server.ts'), 'utf8').matchAll(/app\.(?:get|post)\('(\/\w+)'/g)
  for (const [, path] of routes) assert.ok(text('http.md').includes(path), path)
})
