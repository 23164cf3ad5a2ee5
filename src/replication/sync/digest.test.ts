import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { checksum, portableChecksum } from './checksum.ts'
import { digestBytes, digestInto, portableDigest } from './digest.ts'
import { toHex } from './key-bytes.ts'

test('digests and checksums of the platform and the portable ones are the same', () => {
  for (let length = 0; length < 300; length += 7) {
    const bytes = new Uint8Array(length).map((_, i) => i * 31 + length)
    const [own, portable] = [new Uint8Array(digestBytes + 2), new Uint8Array(digestBytes + 2)]
    digestInto(bytes, own, 2, digestBytes)
    portableDigest(bytes, portable, 2, digestBytes)
    assert.deepEqual(own, portable)
    assert.equal(checksum(bytes, length), portableChecksum(bytes, length))
    assert.equal(checksum(bytes, length >> 1), portableChecksum(bytes.subarray(0, length >> 1), length >> 1))
  }
  const out = new Uint8Array(4)
  digestInto(new TextEncoder().encode('abc'), out, 0, 4)
  assert.equal(toHex(out), 'ba7816bf')
  assert.equal(checksum(new TextEncoder().encode('123456789'), 9), 0xcbf43926)
})
