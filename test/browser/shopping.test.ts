/**
 * The example of examples/shopping: two people in browsers of their own go on while the server is down, and see the same
 * list once it is back. Screenshots are in .tmp/browser.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { type ModuleServer, serveModules } from '../../examples/module-server.ts'
import { shoppingPage } from '../../examples/shopping/page.ts'
import { type NodeProcess, startNode } from '../cluster/node-process.ts'
import { launch, screenshots, withoutChromium } from './chromium.ts'

const root = mkdtempSync(join(tmpdir(), 'lattice-shopping-'))
let server: ModuleServer
let browser: Browser
let node: NodeProcess
let httpPort: number

before(async () => {
  if (withoutChromium) return
  server = await serveModules(0, shoppingPage)
  httpPort = await freePort()
  await start()
  await fetch(`http://127.0.0.1:${httpPort}/db/shopping`, { method: 'PUT' })
  browser = await launch()
})
after(async () => {
  await browser?.close()
  await node?.end()
  await server?.close()
  rmSync(root, { recursive: true, force: true })
})

/** Always at the same port: pages keep its address. */
async function start(): Promise<void> {
  const config = join(root, 'config.json')
  writeFileSync(config, JSON.stringify({ cors: [server.url] }))
  node = await startNode(join(root, 'data'), { args: ['--config', config, '--http', `127.0.0.1:${httpPort}`] })
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const taken = createServer().listen(0, '127.0.0.1', () => {
      const { port } = taken.address() as { port: number }
      taken.close(() => resolve(port))
    })
  })
}

async function person(name: string, colorScheme: 'light' | 'dark', errors: string[]): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 430, height: 860 }, deviceScaleFactor: 2, colorScheme })
  const page = await context.newPage()
  page.on('pageerror', (error) => errors.push(String(error.stack)))
  const db = `http://127.0.0.1:${httpPort}/db/shopping`
  await page.goto(`${server.url}/?name=${name}&db=${encodeURIComponent(db)}`)
  await page.getByRole('heading', { name: 'Sunday picnic' }).waitFor()
  return page
}

async function add(page: Page, ...names: string[]): Promise<void> {
  for (const name of names) {
    await page.getByRole('textbox').fill(name)
    await page.keyboard.press('Enter')
    await page.locator('li', { hasText: name }).waitFor()
  }
}

const names = (page: Page) => page.locator('li .name').allTextContents()
const saying = (page: Page, text: string | RegExp) => page.getByRole('status').filter({ hasText: text }).waitFor()
const picture = (page: Page, name: string) => page.screenshot({ path: join(screenshots, `shopping-${name}.png`) })

test('two people shop on while the server is down, and have one list when it is back', {
  skip: withoutChromium,
}, async () => {
  const errors: string[] = []
  const [ann, bob] = [await person('Ann', 'light', errors), await person('Bob', 'dark', errors)]
  await add(ann, 'Sourdough bread', 'Tomatoes', 'Strawberries', 'Lemonade')
  await bob.locator('li', { hasText: 'Lemonade' }).waitFor()
  await bob.getByRole('button', { name: 'Check Tomatoes' }).click()
  await ann.getByRole('region', { name: 'In the basket' }).getByText('Tomatoes').waitFor()
  for (const page of [ann, bob]) await saying(page, 'Everything is in sync')
  await picture(ann, '1-together-ann')

  await node.end('SIGKILL')
  for (const page of [ann, bob]) await saying(page, /^Offline/)
  await add(ann, 'Olives', 'Picnic blanket')
  await ann.getByRole('button', { name: 'Check Sourdough bread' }).click()
  await ann.getByRole('button', { name: 'Remove Lemonade' }).click()
  await add(bob, 'Elderflower syrup')
  await bob.getByRole('button', { name: 'Check Strawberries' }).click()
  await bob.getByRole('button', { name: 'Put Tomatoes back' }).click()
  await saying(ann, 'Offline. 4 changes to send later')
  await saying(bob, 'Offline. 3 changes to send later')
  assert.notDeepEqual(await names(ann), await names(bob))
  await picture(ann, '2-offline-ann')
  await picture(bob, '2-offline-bob')
  // A reload needs nothing but the page's files: the list is this browser's own.
  await bob.reload()
  await bob.locator('li', { hasText: 'Elderflower syrup' }).waitFor()

  await start()
  await ann.locator('li', { hasText: 'Elderflower syrup' }).waitFor()
  await bob.locator('li', { hasText: 'Picnic blanket' }).waitFor()
  for (const page of [ann, bob]) await saying(page, 'Everything is in sync')
  await bob.locator('li', { hasText: 'Lemonade' }).waitFor({ state: 'detached' })
  const list = await names(ann)
  assert.deepEqual(await names(bob), list)
  assert.deepEqual(list.toSorted(), [
    'Elderflower syrup',
    'Olives',
    'Picnic blanket',
    'Sourdough bread',
    'Strawberries',
    'Tomatoes',
  ])
  for (const page of [ann, bob]) {
    const basket = page.getByRole('region', { name: 'In the basket' }).locator('.name')
    assert.deepEqual((await basket.allTextContents()).toSorted(), ['Sourdough bread', 'Strawberries'])
  }
  await picture(ann, '3-again-ann')
  await picture(bob, '3-again-bob')
  assert.deepEqual(errors, [])
})
