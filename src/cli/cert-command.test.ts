import { strict as assert } from 'node:assert'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { readNodeCertificate } from '../security/index.ts'
import { runCert } from './cert-command.ts'

test('certificates of nodes are named by their ids', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'lattice-cert-'))
  const umask = process.umask()
  try {
    const options = { dir, days: 5 }
    assert.deepEqual(
      (await runCert('authority', undefined, options)).map((p) => basename(p)),
      ['ca.crt', 'ca.key'],
    )
    const made = async (name: string | undefined, id?: number) => {
      const [path] = await runCert('node', name, { ...options, id, host: ['10.0.0.1'] })
      const certificate = new X509Certificate(readFileSync(path))
      assert.equal(certificate.checkIP('10.0.0.1'), '10.0.0.1')
      return [basename(path), readNodeCertificate(certificate.raw)]
    }
    assert.deepEqual(await made('3'), ['node-3.crt', { name: 'node-3', nodeId: 3 }])
    assert.deepEqual(await made(undefined, 4), ['node-4.crt', { name: 'node-4', nodeId: 4 }])
    assert.deepEqual(await made('node-5', 5), ['node-5.crt', { name: 'node-5', nodeId: 5 }])
    assert.deepEqual(await made('node'), ['node.crt', { name: 'node', nodeId: undefined }])
    const wrong = { code: 'invalid_parameter_value' }
    await assert.rejects(runCert('node', 'other', { ...options, id: 6 }), wrong)
    await assert.rejects(runCert('node', undefined, options), wrong)
    await assert.rejects(runCert('node', undefined, { ...options, id: 0 }), wrong)
    await assert.rejects(runCert('client', undefined, options), wrong)
    await assert.rejects(runCert('node', '3', options), { code: 'duplicate_object' })
    const [client] = await runCert('client', 'node-7', options)
    const shown = new X509Certificate(readFileSync(client)).raw
    assert.throws(() => readNodeCertificate(shown), {
      code: 'invalid_authorization_specification',
      message: /for clients/,
    })
    assert.throws(() => readNodeCertificate(undefined), { code: 'invalid_authorization_specification' })
  } finally {
    process.umask(umask)
    rmSync(dir, { recursive: true })
  }
})
