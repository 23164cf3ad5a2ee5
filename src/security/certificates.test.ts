/** OpenSSL, through Node, reads what is issued here. */
import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { nodeIo } from '../io/node/index.ts'
import { issueAuthority, issueCertificate } from './certificates.ts'
import { firstCertificate, serverEndPoint } from './channel-binding.ts'

const io = nodeIo({})

test('an authority and certificates under it', () => {
  const authority = issueAuthority('An authority', 3650, io)
  const ca = new X509Certificate(authority.certificate)
  assert.ok(ca.ca)
  assert.equal(ca.subject, 'CN=An authority')
  assert.ok(ca.verify(ca.publicKey))
  const hosts = ['localhost', '127.0.0.1', '::1', 'fe80::1:2']
  const issued = issueCertificate({ name: 'node-1', kind: 'node', hosts, days: 90 }, authority, io)
  const node = new X509Certificate(issued.certificate)
  assert.ok(!node.ca)
  assert.ok(node.checkIssued(ca))
  assert.ok(node.verify(ca.publicKey))
  assert.equal(node.checkHost('localhost'), 'localhost')
  assert.equal(node.checkHost('example.org'), undefined)
  for (const address of ['127.0.0.1', '::1', 'fe80::1:2']) assert.equal(node.checkIP(address), address)
  const days = (node.validToDate.getTime() - node.validFromDate.getTime()) / 86_400_000
  assert.ok(days > 90 && days < 90.1)
  assert.ok(node.checkPrivateKey(createPrivateKey(issued.key)))
  const client = new X509Certificate(
    issueCertificate({ name: 'ada', kind: 'client', hosts: [], days: 1 }, authority, io).certificate,
  )
  assert.equal(client.subject, 'CN=ada')
  assert.deepEqual(client.keyUsage, ['1.3.6.1.5.5.7.3.2'])
})

test('an expiry beyond 2049 is written with four digits', () => {
  const far = new X509Certificate(issueAuthority('Far', 365 * 60, io).certificate)
  assert.ok(far.validToDate.getUTCFullYear() > 2080)
})

test('the channel binding is the hash of the certificate', () => {
  const { certificate } = issueAuthority('A', 1, io)
  const der = firstCertificate(certificate)
  const expected = new X509Certificate(certificate).fingerprint256.replaceAll(':', '').toLowerCase()
  assert.equal(Buffer.from(serverEndPoint(der)).toString('hex'), expected)
})
