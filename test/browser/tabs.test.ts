/** `latticedb/events` in tabs of real Chromium: one store for all of them, that outlives each, and meets a server. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { importMap, type ModuleServer, serveModules } from '../../examples/module-server.ts'
import { openTestPort, type TestPort } from '../events/port.ts'
import { launch, withoutChromium } from './chromium.ts'

/** What the page defines: the store, and what tests ask of it. */
const script = `
import { EventStore, view } from 'latticedb/events'
const total = view()({ name: 'total', version: 1, initial: 0, reduce: (sum, e) => sum + e.value })
window.opening = EventStore.open('numbers').then((store) => (window.store = store))
window.total = async () => (await (await window.opening).view(total)).get()
window.values = async () => {
  const values = []
  for await (const { value } of (await window.opening).changes({ live: false })) values.push(value)
  return values
}`
const html = `<!doctype html><title>tab</title><link rel="icon" href="data:,">
<script type="importmap">${JSON.stringify(importMap)}</script><script type="module">${script}</script>`

let server: ModuleServer
let browser: Browser
let port: TestPort

before(async () => {
  if (withoutChromium) return
  server = await serveModules(0, (path) => (path === '/' ? html : undefined))
  port = await openTestPort({ origins: [server.url] })
  await port.databases.create('numbers', {})
  browser = await launch()
})
after(async () => {
  await browser?.close()
  await server?.close()
  await port?.close()
})

declare const window: any

async function open(context: BrowserContext): Promise<Page> {
  const page = await context.newPage()
  await page.goto(server.url)
  await page.waitForFunction(() => window.opening !== undefined)
  await page.evaluate(() => window.opening.then(() => undefined))
  return page
}

const append = (page: Page, value: number) => page.evaluate((v) => window.store.append(v), value)
const values = (page: Page): Promise<number[]> => page.evaluate(() => window.values())

test('tabs share one store; the tab that has it may go at any time', { skip: withoutChromium }, async () => {
  const context = await browser.newContext()
  const [one, two] = [await open(context), await open(context)]
  const three = await open(context)
  const identities = await Promise.all([one, two, three].map((page) => page.evaluate(() => window.store.identity)))
  assert.deepEqual(identities[1], identities[0])
  await Promise.all([append(one, 1), append(two, 2), append(three, 3)])
  for (const page of [one, two, three]) assert.deepEqual((await values(page)).sort(), [1, 2, 3])
  const late = append(three, 4)
  await one.close()
  await late
  await append(two, 5)
  for (const page of [two, three]) assert.deepEqual((await values(page)).sort(), [1, 2, 3, 4, 5])
  await two.close()
  await three.close()
  const again = await open(context)
  assert.deepEqual((await values(again)).sort(), [1, 2, 3, 4, 5])
  assert.deepEqual(await again.evaluate(() => window.store.identity), identities[0])
  await context.close()
})

test('views go on after a reload', { skip: withoutChromium }, async () => {
  const context = await browser.newContext()
  const page = await open(context)
  await append(page, 20)
  await append(page, 22)
  assert.equal(await page.evaluate(() => window.total()), 42)
  await page.reload()
  assert.equal(await page.evaluate(() => window.total()), 42)
  await append(page, -2)
  assert.equal(await page.evaluate(() => window.total()), 40)
  await context.close()
})

test('two browsers meet at a server, once and live, whichever tab asks', { skip: withoutChromium }, async () => {
  const [ann, bob] = [await browser.newContext(), await browser.newContext()]
  const [a, b] = [await open(ann), await open(bob)]
  const second = await open(bob)
  const url = `${port.url}/db/numbers`
  await append(a, 1)
  assert.equal(await a.evaluate(async (url) => (await window.store.sync(url)).sent, url), 1)
  // The tab that asks is not the one that has the store.
  await second.evaluate((url) => void window.store.sync(url, { live: true }), url)
  await b.waitForFunction(() => window.store.count === 1)
  await append(b, 2)
  await a.evaluate((url) => void window.store.sync(url, { live: true }), url)
  await a.waitForFunction(() => window.store.count === 2)
  await append(a, 3)
  for (const page of [b, second]) await page.waitForFunction(() => window.store.count === 3)
  // The tab that had the store goes: the other one of that browser takes the sync over.
  await b.close()
  await append(a, 4)
  await second.waitForFunction(() => window.store.count === 4)
  assert.deepEqual((await values(second)).sort(), [1, 2, 3, 4])
  await ann.close()
  await bob.close()
})
