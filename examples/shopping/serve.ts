/**
 * Starts the shopping list: a LatticeDB node with the database, and the page.
 *
 *   node examples/shopping/serve.ts [DIRECTORY]        data in .tmp/shopping when not said; ends with ^C
 *
 * Open the page twice, as Ann and as Bob, in two browsers. Stop this, go on shopping, start it again.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { serveModules } from '../module-server.ts'
import { shoppingPage } from './page.ts'

const root = resolve(import.meta.dirname, '../..')
const directory = resolve(process.argv[2] ?? join(root, '.tmp/shopping'))
const httpPort = 7480
const pagePort = 7490
const database = `http://127.0.0.1:${httpPort}/db/shopping`

const server = await serveModules(pagePort, shoppingPage)
mkdirSync(directory, { recursive: true })
const config = join(directory, 'config.json')
writeFileSync(config, JSON.stringify({ cors: [server.url] }))
const words = ['start', '--data', join(directory, 'data'), '--config', config, '--http', `127.0.0.1:${httpPort}`]
const node = spawn(join(root, 'bin/lattice'), words, { stdio: ['ignore', 'ignore', 'inherit'] })
node.once('exit', (status) => process.exit(status ?? 1))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => node.kill('SIGTERM'))

/** Until the node is ready to make it. */
async function makeDatabase(): Promise<void> {
  for (;;) {
    const answer = await fetch(database, { method: 'PUT' }).catch(() => undefined)
    if (answer?.ok) return
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
await makeDatabase()
for (const name of ['Ann', 'Bob']) console.log(`${name}: ${server.url}/?name=${name}`)
