import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isConnectionString, parseConnectionString } from './connection-string.ts'

const local = (port = 7432) => ({ host: '127.0.0.1', port })

test('connection strings', () => {
  const read = (text: string) => {
    const { hosts, user, password, database, sslMode, parameters } = parseConnectionString(text)
    return { hosts, user, password, database, sslMode, parameters: Object.fromEntries(parameters) }
  }
  const plain = {
    hosts: [local()],
    user: 'lattice',
    password: undefined,
    database: 'lattice',
    sslMode: 'prefer',
    parameters: {},
  } // prettier-ignore
  assert.deepEqual(read('postgres://'), plain)
  assert.deepEqual(read('postgres://h'), { ...plain, hosts: [{ host: 'h', port: 7432 }] })
  assert.deepEqual(read('postgresql://ada@/shop'), { ...plain, user: 'ada', database: 'shop' })
  assert.deepEqual(
    read('postgres://ada:p%40ss:w@[::1]:5/a%2Fb?sslmode=require&application_name=x%20y&options=-c%20a%3Db'),
    {
      hosts: [{ host: '::1', port: 5 }],
      user: 'ada',
      password: 'p@ss:w',
      database: 'a/b',
      sslMode: 'require',
      parameters: { application_name: 'x y', options: '-c a=b' },
    },
  )
  assert.deepEqual(read('lattice://a:1,b:2,c').hosts, [
    { host: 'a', port: 1 },
    { host: 'b', port: 2 },
    { host: 'c', port: 7432 },
  ]) // prettier-ignore
  const socket = [{ host: '/tmp', port: 7432 }]
  for (const text of ['postgres://%2Ftmp:7432/db', 'postgres://%2ftmp/db', 'postgres:///db?host=/tmp'])
    assert.deepEqual([read(text).hosts, read(text).database], [socket, 'db'])
  assert.deepEqual(read('postgres://h,%2Fvar%2Frun:5/db').hosts, [
    { host: 'h', port: 7432 },
    { host: '/var/run', port: 5 },
  ])
  assert.equal(read('postgres://u@h').database, 'u')
})

test('bad ones are named', () => {
  for (const [text, message] of [
    ['postgres://h:99999', /invalid port number: "99999"/],
    ['postgres://h:x', /invalid host/],
    ['postgres://h?sslmode=maybe', /invalid sslmode value: "maybe"/],
    ['postgres://%zz@h', /invalid percent-encoding/],
    ['nonsense', /not a connection string/],
  ] as const) {
    assert.throws(() => parseConnectionString(text), { code: 'invalid_parameter_value', message })
  }
  assert.deepEqual(['postgres://x', 'postgresql://x', './data', ':memory:', '/a//b'].map(isConnectionString), [
    true,
    true,
    false,
    false,
    false,
  ]) // prettier-ignore
})
