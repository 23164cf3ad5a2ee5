/** Against the example of RFC 7677, and both sides against each other. */
import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { test } from 'node:test'
import type { Random } from '../io/index.ts'
import { preparePassword } from './password.ts'
import { makeVerifier, parseVerifier, passwordMatches, ScramClient, ScramServer } from './scram.ts'

/** "Random" bytes that are known. */
function fixed(...pieces: string[]): Random {
  return { below: () => 0, bytes: () => Buffer.from(pieces.shift()!, 'base64') }
}

/** A verifier in PostgreSQL's form, made of the RFC's password, salt and iterations. */
const rfcVerifier = makeVerifier('pencil', fixed('W22ZaJ0SNY7soEsUEjb6gQ=='), 4096)

test('the example of RFC 7677', () => {
  const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
  const exchanged = `n=user,r=rOprNGfwEbeRWgbNEkqO,r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=${nonce}`
  const proof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64')
  const { storedKey, serverKey } = parseVerifier(rfcVerifier)!
  const hmac = (key: Uint8Array) => createHmac('sha256', key).update(exchanged).digest()
  const clientKey = hmac(storedKey).map((byte, i) => byte ^ proof[i])
  assert.deepEqual(createHash('sha256').update(clientKey).digest(), storedKey)
  assert.equal(hmac(serverKey).toString('base64'), '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')
})

test('a verifier is read back, and tells right from wrong', () => {
  const verifier = parseVerifier(rfcVerifier)!
  assert.equal(verifier.iterations, 4096)
  assert.ok(passwordMatches('pencil', verifier))
  assert.ok(!passwordMatches('Pencil', verifier))
  for (const bad of ['', 'md5abc', 'SCRAM-SHA-256$0:aa$bb:cc', rfcVerifier.slice(0, -9)]) {
    assert.equal(parseVerifier(bad), undefined)
  }
})

function exchange(password: string, tamper: (message: string, step: number) => string = (message) => message): void {
  let counter = 0
  const random: Random = { below: () => 0, bytes: (length) => Buffer.alloc(length, ++counter) }
  const client = new ScramClient({ password, random, channelBinding: undefined })
  const server = new ScramServer({
    verifier: parseVerifier(rfcVerifier),
    user: 'u',
    random,
    mockSecret: new Uint8Array(1),
    channelBinding: undefined,
  }) // prettier-ignore
  const mechanism = client.choose(server.mechanisms)
  const first = tamper(server.first(mechanism, tamper(client.first(), 0)), 1)
  client.verify(tamper(server.final(tamper(client.final(first), 2)), 3))
}

test('both sides convince each other, and notice whatever is changed on the way', () => {
  exchange('pencil')
  assert.throws(() => exchange('pen'), { code: 'invalid_password' })
  for (let step = 0; step < 4; step++) {
    assert.throws(() =>
      exchange('pencil', (text, at) =>
        at === step ? text.replace(/.(?=...$)/, (c) => (c === 'A' ? 'B' : 'A')) : text,
      ),
    )
  }
  const weaker = (text: string, step: number) => (step === 1 ? text.replace('i=4096', 'i=1') : text)
  assert.throws(() => exchange('pencil', weaker))
})

test('SASLprep', () => {
  assert.equal(preparePassword('plain ascii'), 'plain ascii')
  assert.equal(preparePassword('I\u00adX'), 'IX')
  assert.equal(preparePassword('\u00aa'), 'a')
  assert.equal(preparePassword('\u2168'), 'IX')
  assert.equal(preparePassword('a\u00a0b'), 'a b')
  assert.equal(preparePassword('forbidden\u0007ü'), 'forbidden\u0007ü')
})
