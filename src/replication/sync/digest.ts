/**
 * SHA-256, synchronously: the platform's where it has one (Node, five times as fast for an event), else @noble/hashes'. Both
 * give the same bytes. Texts of digests are cheaper to get out of Node than buffers, which are made outside of the heap.
 *
 * Not here: what is hashed (record.ts, range-index.ts).
 */
import { sha256 } from '@noble/hashes/sha2.js'

export const digestBytes = 32

/** Writes the first `length` bytes of the digest of `bytes` to `out`, from `at` on. */
export type Digest = (bytes: Uint8Array, out: Uint8Array, at: number, length: number) => void

function nativeDigest(): Digest | undefined {
  // Not imported: browsers have no such module, and bundlers would look for it.
  const hash = globalThis.process?.getBuiltinModule?.('node:crypto')?.hash
  if (hash === undefined) return undefined
  return (bytes, out, at, length) => {
    const text = hash('sha256', bytes, 'latin1')
    for (let i = 0; i < length; i++) out[at + i] = text.charCodeAt(i)
  }
}

/** Hashers are made once: making one costs as much as hashing a short event. */
const fresh = sha256.create()
const hasher = sha256.create()
const digest = new Uint8Array(digestBytes)

export const portableDigest: Digest = (bytes, out, at, length) => {
  fresh._cloneInto(hasher)
  hasher.update(bytes)
  hasher.digestInto(digest)
  for (let i = 0; i < length; i++) out[at + i] = digest[i]
}

export const digestInto: Digest = nativeDigest() ?? portableDigest
