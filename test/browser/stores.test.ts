/**
 * The tests of stores, syncs, views and shared tabs, as they are, in real Chromium; but for the long ones on IndexedDB where
 * they have a map in memory in Node.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { importMap, type ModuleServer, serveModules } from '../../examples/module-server.ts'
import { launch, withoutChromium } from './chromium.ts'
import type { Result } from './node-test.ts'

const suites: readonly (readonly [path: string, on: 'indexeddb' | 'memory'])[] = [
  ['/test/browser/indexed-db.page.ts', 'indexeddb'],
  ['/src/model/events/mapped-event-store.test.ts', 'indexeddb'],
  ['/src/model/events/sync.test.ts', 'memory'],
  ['/src/model/events/views/views.test.ts', 'memory'],
  ['/src/model/events/views/views-work.test.ts', 'memory'],
  ['/src/model/events/views/definition.test.ts', 'memory'],
  ['/src/client/events/shared-events.test.ts', 'indexeddb'],
]

const imports = {
  ...importMap.imports,
  'node:test': '/test/browser/node-test.ts',
  'node:assert': '/test/browser/node-assert.ts',
  'node:assert/strict': '/test/browser/node-assert.ts',
  'fast-check': '/packages/fast-check/lib/fast-check.js',
  'pure-rand/': '/packages/pure-rand/lib/esm/',
}
const onIndexedDb = { ...imports, '/src/model/events/memory-map.ts': '/test/browser/indexed-memory-map.ts' }
const html = (map: object) =>
  `<!doctype html><title>tests</title><link rel="icon" href="data:,"><script type="importmap">${JSON.stringify({ imports: map })}</script>`
const pages: Record<string, string> = { '/memory': html(imports), '/indexeddb': html(onIndexedDb) }

let server: ModuleServer
let browser: Browser

before(async () => {
  if (withoutChromium) return
  server = await serveModules(0, (path) => pages[path])
  browser = await launch()
})
after(async () => {
  await browser?.close()
  await server?.close()
})

async function newPage(on: string, errors: string[]): Promise<Page> {
  const page = await browser.newPage()
  page.on('pageerror', (error) => errors.push(String(error.stack)))
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text())
  })
  await page.goto(`${server.url}/${on}`)
  return page
}

for (const [suite, on] of suites) {
  test(`${suite} on ${on}`, { skip: withoutChromium }, async (context) => {
    const errors: string[] = []
    const page = await newPage(on, errors)
    const results = await page.evaluate(async (path): Promise<Result[]> => {
      await import(path)
      const { runTests } = await import('/test/browser/node-test.ts' as string)
      return runTests()
    }, suite)
    for (const { name, error } of results) {
      await context.test(name, () => assert.equal(error, undefined))
    }
    assert.ok(results.length > 0)
    assert.deepEqual(errors, [])
    await page.close()
  })
}

test('a failing test in a page is a failing test here', { skip: withoutChromium }, async () => {
  const page = await newPage('memory', [])
  const results = await page.evaluate(async (): Promise<Result[]> => {
    const { test, runTests } = await import('/test/browser/node-test.ts' as string)
    const { default: assert } = await import('/test/browser/node-assert.ts' as string)
    test('equal', () => assert.deepEqual({ a: [1] }, { a: [2] }))
    test('rejects', () => assert.rejects(Promise.resolve()))
    test('code', () => assert.rejects(Promise.reject(Object.assign(new Error('x'), { code: 'a' })), { code: 'b' }))
    test('fine', () => assert.deepEqual(new Uint8Array([1]), new Uint8Array([1])))
    return runTests()
  })
  assert.deepEqual(
    results.map((r) => r.error === undefined),
    [false, false, false, true],
  )
  await page.close()
})
