/**
 * Drivers of other languages: psycopg, psycopg2, asyncpg and SQLAlchemy for Python, JDBC for Java. The programs beside
 * this file do the work; each is skipped where its language or drivers are not installed (Debian's packages are used).
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startTestServer, type TestServer } from './server.ts'

const python = '/usr/bin/python3'
const jdbc = '/usr/share/java/postgresql.jar'
const imports = spawnSync(python, ['-c', 'import psycopg, psycopg2, asyncpg, sqlalchemy'])
const java = spawnSync('javac', ['-version'])
const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

let server: TestServer
before(async () => {
  server = await startTestServer('languages')
})
after(() => server.close())

async function run(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk))
  const status = await new Promise((resolve) => child.on('close', resolve))
  assert.equal(status, 0, said)
}

test(
  'Python: psycopg, psycopg2, asyncpg, SQLAlchemy',
  {
    skip:
      imports.status !== 0 && 'python3-psycopg, python3-psycopg2, python3-asyncpg and python3-sqlalchemy are needed',
  },
  () => run(python, [path('python/drivers.py'), server.url]),
)

test(
  'Java: JDBC',
  {
    skip: (java.status !== 0 || !existsSync(jdbc)) && 'a JDK and libpostgresql-jdbc-java are needed',
  },
  () => run('java', ['-cp', jdbc, path('jdbc/Drivers.java'), jdbcUrl(server)]),
)

function jdbcUrl({ host, port, database, user }: TestServer): string {
  return `jdbc:postgresql://${host}:${port}/${database}?user=${user}`
}
