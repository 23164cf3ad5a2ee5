/**
 * The tls-server-end-point channel binding (RFC 5929, section 4.1): a hash of the server's certificate, which ties a
 * SCRAM exchange to the TLS connection it runs over. The hash is the one of the certificate's signature, SHA-256 in
 * place of MD5 and SHA-1.
 *
 *   Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, … }, signature }
 *
 * Not here: whether the certificate is to be trusted.
 */
import { createHash } from 'node:crypto'
import { assert } from '../base/index.ts'

/** Signature algorithms by the content of their OID, in hex, with the hash they use. */
const hashes = new Map([
  ['2a864886f70d01010b', 'sha256'], // sha256WithRSAEncryption
  ['2a864886f70d01010c', 'sha384'],
  ['2a864886f70d01010d', 'sha512'],
  ['2a864886f70d01010e', 'sha224'],
  ['2a8648ce3d040301', 'sha224'], // ecdsa-with-SHA224
  ['2a8648ce3d040302', 'sha256'],
  ['2a8648ce3d040303', 'sha384'],
  ['2a8648ce3d040304', 'sha512'],
  ['2b6570', 'sha512'], // Ed25519
])

/** One DER element: where its content starts and ends. */
function element(der: Uint8Array, at: number): { start: number; end: number } {
  let length = der[at + 1]
  let start = at + 2
  if (length & 0x80) {
    const octets = length & 0x7f
    length = 0
    for (let i = 0; i < octets; i++) length = length * 256 + der[start++]
  }
  assert(start + length <= der.length, 'certificate is cut short')
  return { start, end: start + length }
}

/** Binding data of a certificate in DER. */
export function serverEndPoint(certificate: Uint8Array): Uint8Array {
  const whole = element(certificate, 0)
  const signed = element(certificate, whole.start)
  const algorithm = element(certificate, signed.end)
  const oid = element(certificate, algorithm.start)
  const name = Buffer.from(certificate.subarray(oid.start, oid.end)).toString('hex')
  return createHash(hashes.get(name) ?? 'sha256')
    .update(certificate)
    .digest()
}

/** The first certificate of a PEM text, in DER. */
export function firstCertificate(pem: string): Uint8Array {
  const match = /-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/.exec(pem)
  assert(match !== null, 'no certificate in PEM text')
  return Buffer.from(match[1], 'base64')
}
