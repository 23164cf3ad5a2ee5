/** The command line as a process: output, exit status, errors. Statements are canned; a real node is started elsewhere. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { nodeIo } from '../io/node/index.ts'
import { PgServer } from '../wire/index.ts'
import { FakeDatabase } from '../wire/pg/fake-database.fixture.ts'

const launcher = fileURLToPath(new URL('../../bin/lattice', import.meta.url))
const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet }
const io = nodeIo({ log: quiet })
const directory = mkdtempSync(join(tmpdir(), 'lattice-cli-'))
const database = new FakeDatabase()
let server: PgServer
let url: string

before(async () => {
  server = await PgServer.start({ io, database, host: '127.0.0.1', port: 0 })
  url = `postgres://ada@127.0.0.1:${server.port}/shop`
})
after(async () => {
  await server.stop(100)
  await io.stop()
  rmSync(directory, { recursive: true })
})

interface Ended {
  status: number | null
  out: string
  error: string
}

function lattice(args: readonly string[], input = ''): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(launcher, args, { cwd: directory, env: { ...process.env, NO_COLOR: '1', HOME: directory } })
    let out = ''
    let error = ''
    child.stdout.on('data', (chunk) => (out += chunk))
    child.stderr.on('data', (chunk) => (error += chunk))
    child.on('close', (status) => resolve({ status, out, error }))
    child.stdin.end(input)
  })
}

test('help and misuse', async () => {
  const help = await lattice(['--help'])
  assert.equal(help.status, 0)
  for (const command of ['start', 'demo', 'sql', 'status', 'cert'])
    assert.match(help.out, new RegExp(`^  ${command} `, 'm'))
  assert.equal((await lattice(['fly'])).status, 2)
  assert.equal((await lattice(['start', '--colour'])).status, 2)
})

test('sql: commands, formats, exit status', async () => {
  const table = await lattice(['sql', url, '-c', "select 1 as one, 'x' as two"])
  assert.deepEqual(table, { status: 0, out: ' one │ two\n─────┼─────\n   1 │ x\n(1 row)\n', error: '' })
  assert.equal((await lattice(['sql', url, '--format', 'csv', '-c', 'rows(2)'])).out, 'id,label\n0,row 1\n1,row 2\n')
  const failed = await lattice(['sql', url, '-c', 'select 1; fail(unique_violation); select 2'])
  assert.equal(failed.status, 1)
  assert.ok(!failed.out.includes('2'))
  assert.equal(
    failed.error,
    'ERROR:  made to fail\nLINE 1: fail(unique_violation)\n          ^\nDETAIL:  a detail\nHINT:  a hint\nCONTEXT:  here\n',
  )
  const on = await lattice(['sql', url, '--continue', '-c', 'fail(unique_violation); select 2'])
  assert.equal(on.status, 1)
  assert.match(on.out, /2/)
})

test('sql: standard input, files, COPY data, meta commands', async () => {
  const piped = await lattice(['sql', url, '-q'], 'copy t from stdin;\n1\ta\n2\tb\n\\.\nselect 3;\n\\conninfo\n')
  assert.equal(piped.status, 0, piped.error)
  writeFileSync(join(directory, 'inner.sql'), "select 'inner' as t;")
  writeFileSync(join(directory, 'outer.sql'), "\\echo before\n\\i inner.sql\nselect 'last' as t \\gx\n")
  const file = await lattice(['sql', url, '-f', 'outer.sql'])
  assert.equal(file.out, 'before\n   t\n───────\n inner\n(1 row)\n─[ 1 ]──\nt │ last\n')
  const missing = await lattice(['sql', url, '-c', '\\i nowhere.sql'])
  assert.equal(missing.status, 1)
  assert.match(missing.error, /nowhere\.sql/)
  assert.match((await lattice(['sql', url, '-c', '\\conninfo'])).out, /database "shop" as user "ada" \(server 15\.0\)/)
  assert.match((await lattice(['sql', url, '-c', '\\nonsense'])).error, /there is no command/)
})

test('sql: nobody there, no such database', async () => {
  const nobody = await lattice(['sql', 'postgres://127.0.0.1:1/x', '-c', 'select 1'])
  assert.equal(nobody.status, 1)
  assert.match(nobody.error, /could not connect to 127\.0\.0\.1:1/)
  const missing = await lattice(['sql', url.replace('/shop', '/missing'), '-c', 'select 1'])
  assert.equal(missing.status, 1)
  assert.equal(missing.error, 'lattice: database "missing" does not exist\n')
})

test('start refuses what it must, before it touches anything', async () => {
  const open = await lattice(['start', '--data', 'd', '--pg', '0.0.0.0:0'])
  assert.equal(open.status, 1)
  assert.match(open.error, /refusing to listen on 0\.0\.0\.0:0 without TLS/)
  assert.match((await lattice(['start'])).error, /invalid configuration.*\ndata: is missing.*\nHint: .*--data DIR/)
  assert.match(
    (await lattice(['start', '--config', 'no.json'])).error,
    /no\.json: ENOENT: no such file or directory\n$/,
  )
  writeFileSync(join(directory, 'bad.json'), '{ "data": "d", "limits": { "connections": -1 } }')
  assert.match((await lattice(['start', '--config', 'bad.json'])).error, /limits\.connections/)
  const taken = await lattice(['start', '--data', 'd', '--pg', `127.0.0.1:${server.port}`])
  assert.equal(taken.status, 1)
  assert.match(taken.error, /the port is taken\nHint: /)
})

test('storage of what is no data directory', async () => {
  for (const none of ['nowhere', '.', 'bad.json']) {
    const { status, error } = await lattice(['storage', '--data', none])
    assert.equal(status, 1)
    assert.match(error, /is not a data directory\nIt has no FORMAT file\.\nHint: /)
  }
})

test('status without a node', async () => {
  const { status, error } = await lattice(['status', '--http', '127.0.0.1:1'])
  assert.equal(status, 1)
  assert.match(error, /no node answers at http:\/\/127\.0\.0\.1:1/)
})

test('cert makes an authority and certificates that nobody else can read', async () => {
  assert.match((await lattice(['cert', 'node', 'n1'])).error, /ca\.crt/)
  assert.equal((await lattice(['cert', 'authority'])).out, 'certs/ca.crt\ncerts/ca.key\n')
  assert.equal((await lattice(['cert', 'node', 'n1', '--host', 'db.example', '--days', '5'])).status, 0)
  assert.equal((await lattice(['cert', 'client', 'ada'])).status, 0)
  assert.match(readFileSync(join(directory, 'certs/n1.crt'), 'utf8'), /^-----BEGIN CERTIFICATE-----/)
  assert.equal(statSync(join(directory, 'certs/n1.key')).mode & 0o077, 0)
  const again = await lattice(['cert', 'authority'])
  assert.equal(again.status, 1)
  assert.match(again.error, /is there already/)
  assert.equal((await lattice(['cert', 'node'])).status, 2)
  assert.equal((await lattice(['cert', 'node', '--id', '3'])).out, 'certs/node-3.crt\ncerts/node-3.key\n')
})
