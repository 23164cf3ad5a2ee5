/** The shell at a terminal made of streams: prompts, several lines, completion, cancel, history. */
import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { after, before, test } from 'node:test'
import { RawSession } from '../../client/index.ts'
import { nodeIo } from '../../io/node/index.ts'
import { PgServer } from '../../wire/index.ts'
import { FakeDatabase } from '../../wire/pg/fake-database.fixture.ts'
import { Runner } from './runner.ts'
import { runShell } from './shell.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet }
const io = nodeIo({ log: quiet })
const database = new FakeDatabase()
let server: PgServer

before(async () => {
  server = await PgServer.start({ io, database, host: '127.0.0.1', port: 0 })
})
after(async () => {
  await server.stop(100)
  await io.stop()
})

/** A terminal that remembers what it shows. */
class FakeTerminal {
  readonly input = new PassThrough()
  readonly output = new PassThrough()
  shown = ''
  #waiting: (() => void) | undefined

  constructor() {
    this.output.on('data', (chunk) => this.show(String(chunk)))
  }

  show(text: string): void {
    // The line editor moves the cursor about; that is not what is tested.
    this.shown += text.replace(/\x1b\[\d*[A-Za-z]/g, '')
    this.#waiting?.()
  }

  async until(text: string): Promise<string> {
    while (!this.shown.includes(text)) await new Promise<void>((resolve) => (this.#waiting = resolve))
    const at = this.shown.indexOf(text) + text.length
    const before = this.shown.slice(0, at)
    this.shown = this.shown.slice(at)
    return before
  }

  async type(text: string, until: string): Promise<string> {
    this.input.write(text)
    return this.until(until)
  }
}

test('a session at the terminal', async () => {
  const terminal = new FakeTerminal()
  const saved: string[][] = []
  const runner = await Runner.start({
    screen: {
      write: (text) => terminal.show(text),
      writeError: (text) => terminal.show(text),
      width: 80,
      color: false,
    },
    clock: io.clock,
    connect: (name) => RawSession.open(`postgres://ada@127.0.0.1:${server.port}/${name ?? 'shop'}`),
    readFile: async () => "select 'from a file' as f;",
    format: 'auto',
    timing: false,
    quiet: false,
    verbose: false,
  })
  const history = {
    load: async () => ['select 99 as old;'],
    save: async (lines: readonly string[]) => void saved.push([...lines]),
  }
  const shell = runShell(runner, terminal, history)
  await terminal.until('shop=> ')
  assert.match(await terminal.type('select 1 as one;\n', 'shop=> '), / one\r?\n─/)
  await terminal.type("select 'a\n", "shop'> ")
  await terminal.type("b' as two\n", 'shop-> ')
  assert.match(await terminal.type(';\n', 'shop=> '), /a +↵/)
  await terminal.type('begin;\n', 'shop=*> ')
  assert.match(await terminal.type('fail(unique_violation);\n', 'shop=!> '), /DETAIL: {2}a detail/)
  await terminal.type('rollback;\n', 'shop=> ')
  await terminal.type('\x1b[A'.repeat(6), 'select 99 as old;')
  await terminal.type('\n', '(1 row)')
  await terminal.until('shop=> ')
  assert.match(await terminal.type('\\timing\nselect 1;\n', 'Time: '), /Timing is on/)
  await terminal.until('shop=> ')
  await terminal.type('\\con', '\\con')
  await terminal.type('\t', 'ninfo')
  assert.match(await terminal.type('\n', 'shop=> '), /database "shop" as user "ada"/)
  assert.match(await terminal.type('\\i any.sql\n', 'shop=> '), /from a file/)
  await terminal.type('listen news;\n', 'shop=> ')
  assert.match(await terminal.type('notify news hello;\n', 'shop=> '), /Notification on "news" with payload "hello"/)
  await terminal.type('select (1,\n', 'shop(> ')
  await terminal.type('\x03', 'shop=> ')
  terminal.input.write('a line that nobody wants')
  await terminal.type('\x03', '^C')
  const next = await terminal.type("select 'a b' as kept;\n", 'kept')
  assert.doesNotMatch(next.slice(next.lastIndexOf('shop=> ')), /nobody wants/)
  const after = await terminal.until('shop=> ')
  assert.doesNotMatch(after, /nobody wants|syntax/)
  const { statements } = server.stats()
  terminal.input.write('forever;\n')
  while (server.stats().statements === statements) await io.tasks.yield()
  assert.match(await terminal.type('\x03', 'shop=> '), /canceling statement due to user request/)
  await terminal.type('\\c other\n', 'other=> ')
  terminal.input.write('\\q\n')
  await shell
  await runner.session.close()
  assert.ok(saved[0].includes("select 'a b' as two ;"), 'several lines are one entry')
  assert.ok(saved[0].includes('select 99 as old;'))
})
