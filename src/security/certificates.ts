/**
 * Issues the certificates of a deployment: an authority of its own, and certificates for nodes and clients under it.
 * X.509 version 3 (RFC 5280), P-256 keys, ECDSA with SHA-256.
 *
 *   Certificate    SEQUENCE { tbs, ecdsa-with-SHA256, BIT STRING signature }
 *   tbs            SEQUENCE { [0] v3, serial, algorithm, issuer, validity, subject, public key, [3] extensions }
 *
 * Only writing is done here; OpenSSL, through Node, reads and verifies.
 *
 * Not here: files (cli/), TLS itself (io/node/tls.ts).
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import type { Clock, Random } from '../io/index.ts'

/** A certificate and its private key, as PEM texts. */
export interface Credentials {
  readonly certificate: string
  readonly key: string
}

export interface CertificateRequest {
  /** The common name: of a node, or the user for a client. */
  readonly name: string
  readonly kind: 'node' | 'client'
  /** Host names and IPv4 or IPv6 addresses that a node answers to. */
  readonly hosts: readonly string[]
  readonly days: number
}

interface Ports {
  readonly clock: Clock
  readonly random: Random
}

const oid = {
  commonName: [0x55, 0x04, 0x03],
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
  subjectKeyId: [0x55, 0x1d, 0x0e],
  keyUsage: [0x55, 0x1d, 0x0f],
  alternativeName: [0x55, 0x1d, 0x11],
  basicConstraints: [0x55, 0x1d, 0x13],
  authorityKeyId: [0x55, 0x1d, 0x23],
  extendedKeyUsage: [0x55, 0x1d, 0x25],
  serverAuth: [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01],
  clientAuth: [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02],
} as const

/** A self-signed authority. */
export function issueAuthority(name: string, days: number, ports: Ports): Credentials {
  const pair = newKey()
  const usage = extension(oid.keyUsage, der(0x03, [0x01, 0x06]), true) // keyCertSign, cRLSign
  const constraints = extension(oid.basicConstraints, sequence(der(0x01, [0xff])), true)
  const extensions = [constraints, usage, extension(oid.subjectKeyId, der(0x04, keyId(pair.publicDer)))]
  const certificate = signed(name, name, pair.publicDer, pair.key, days, extensions, ports)
  return { certificate, key: pair.key }
}

/** A certificate under an authority. */
export function issueCertificate(request: CertificateRequest, authority: Credentials, ports: Ports): Credentials {
  const pair = newKey()
  const issuerPublic = createPublicKey(authority.certificate).export({ type: 'spki', format: 'der' })
  const usages = request.kind === 'node' ? [oid.serverAuth, oid.clientAuth] : [oid.clientAuth]
  const extensions = [
    extension(oid.basicConstraints, sequence(), true),
    extension(oid.keyUsage, der(0x03, [0x07, 0x80]), true), // digitalSignature
    extension(oid.extendedKeyUsage, sequence(...usages.map((usage) => der(0x06, usage)))),
    extension(oid.subjectKeyId, der(0x04, keyId(pair.publicDer))),
    extension(oid.authorityKeyId, sequence(der(0x80, keyId(issuerPublic)))),
  ]
  if (request.hosts.length > 0) extensions.push(extension(oid.alternativeName, sequence(...request.hosts.map(host))))
  const certificate = signed(
    subjectOf(authority.certificate),
    request.name,
    pair.publicDer,
    authority.key,
    request.days,
    extensions,
    ports,
  )
  return { certificate, key: pair.key }
}

function newKey(): { key: string; publicDer: Buffer } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicDer: publicKey.export({ type: 'spki', format: 'der' }),
  }
}

/** SHA-1 of the key, as RFC 5280 suggests; a name, not a protection. */
function keyId(publicDer: Uint8Array): Uint8Array {
  return createHash('sha1').update(publicDer).digest()
}

function der(tag: number, ...parts: (Uint8Array | readonly number[])[]): Uint8Array {
  const body = Buffer.concat(parts.map((part) => Uint8Array.from(part)))
  const length: number[] = []
  if (body.length < 128) length.push(body.length)
  else {
    for (let rest = body.length; rest > 0; rest >>>= 8) length.unshift(rest & 0xff)
    length.unshift(0x80 | length.length)
  }
  return Buffer.concat([Uint8Array.from([tag, ...length]), body])
}

function sequence(...parts: Uint8Array[]): Uint8Array {
  return der(0x30, ...parts)
}

function extension(id: readonly number[], value: Uint8Array, critical = false): Uint8Array {
  const parts = [der(0x06, id), ...(critical ? [der(0x01, [0xff])] : []), der(0x04, value)]
  return sequence(...parts)
}

function nameOf(commonName: string | Uint8Array): Uint8Array {
  if (typeof commonName !== 'string') return commonName
  return sequence(der(0x31, sequence(der(0x06, oid.commonName), der(0x0c, Buffer.from(commonName)))))
}

/** The issuer of what an authority signs is byte for byte the authority's own subject. */
function subjectOf(pem: string): Uint8Array {
  const bytes = Buffer.from(/-----BEGIN CERTIFICATE-----([^-]+)/.exec(pem)![1], 'base64')
  let at = open(bytes, open(bytes, 0).start).start // into tbs
  // version, serial, algorithm, issuer, validity come first.
  for (let i = 0; i < 5; i++) at = open(bytes, at).end
  return bytes.subarray(at, open(bytes, at).end)
}

function open(bytes: Uint8Array, at: number): { start: number; end: number } {
  let length = bytes[at + 1]
  let start = at + 2
  if (length & 0x80) {
    const octets = length & 0x7f
    length = 0
    for (let i = 0; i < octets; i++) length = length * 256 + bytes[start++]
  }
  return { start, end: start + length }
}

function host(name: string): Uint8Array {
  const v4 = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(name)
  if (v4 !== null) return der(0x87, v4.slice(1).map(Number))
  if (name.includes(':')) return der(0x87, ipv6(name))
  return der(0x82, Buffer.from(name))
}

function ipv6(name: string): number[] {
  const [left, right] = name.split('::')
  const words = (text: string | undefined) => (text ? text.split(':').map((word) => Number.parseInt(word, 16)) : [])
  const head = words(left)
  const tail = words(right)
  const middle = right === undefined ? [] : new Array<number>(Math.max(0, 8 - head.length - tail.length)).fill(0)
  return [...head, ...middle, ...tail].slice(0, 8).flatMap((word) => [word >> 8, word & 0xff])
}

/** UTCTime with two digits for the year up to 2049, GeneralizedTime after it, as RFC 5280 demands. */
function time(epochSeconds: number): Uint8Array {
  const instant = Temporal.Instant.fromEpochMilliseconds(epochSeconds * 1000)
  const text = instant.toString({ smallestUnit: 'second' }).replace(/[-T:]/g, '')
  return text < '2050' ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text))
}

function signed(
  issuer: string | Uint8Array,
  subject: string,
  publicDer: Uint8Array,
  issuerKey: string,
  days: number,
  extensions: Uint8Array[],
  ports: Ports,
): string {
  const now = Math.floor(ports.clock.wallMicros() / 1_000_000)
  const serial = Uint8Array.from(ports.random.bytes(16))
  serial[0] = (serial[0] & 0x7f) | 0x40 // positive and of full length
  const algorithm = sequence(der(0x06, oid.ecdsaWithSha256))
  const tbs = sequence(
    der(0xa0, der(0x02, [2])),
    der(0x02, serial),
    algorithm,
    nameOf(issuer),
    // An hour of grace for clocks that are behind.
    sequence(time(now - 3600), time(now + days * 86400)),
    nameOf(subject),
    publicDer,
    der(0xa3, sequence(...extensions)),
  )
  const signature = sign('sha256', tbs, createPrivateKey(issuerKey))
  const bytes = Buffer.from(sequence(tbs, algorithm, der(0x03, [0], signature)))
  const lines = bytes.toString('base64').replace(/(.{64})(?=.)/g, '$1\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}
