/**
 * PostgreSQL's hash functions as SQL sees them (hashtext, hashint4, …): applications take advisory locks by them.
 *
 * Source: Bob Jenkins' lookup3 (2006), with PostgreSQL's starting values. Not here: hashing of the executor, which uses
 * Map keys.
 */
import { canonical } from '../types/base-type.ts'
import { isInfinite, type Micros } from '../types/calendar.ts'
import { trimBlanks } from '../types/text.ts'
import type { FunctionCode } from './function.ts'
import type { Int8 } from './integer.ts'

/** The three words of the state. */
const s = new Uint32Array(3)

function rotate(x: number, k: number): number {
  return (x << k) | (x >>> (32 - k))
}

function mix(): void {
  let [a, b, c] = s
  a -= c
  a ^= rotate(c, 4)
  c += b
  b -= a
  b ^= rotate(a, 6)
  a += c
  c -= b
  c ^= rotate(b, 8)
  b += a
  a -= c
  a ^= rotate(c, 16)
  c += b
  b -= a
  b ^= rotate(a, 19)
  a += c
  c -= b
  c ^= rotate(b, 4)
  b += a
  s[0] = a
  s[1] = b
  s[2] = c
}

function finish(): void {
  let [a, b, c] = s
  c ^= b
  c -= rotate(b, 14)
  a ^= c
  a -= rotate(c, 11)
  b ^= a
  b -= rotate(a, 25)
  c ^= b
  c -= rotate(b, 16)
  a ^= c
  a -= rotate(c, 4)
  b ^= a
  b -= rotate(a, 14)
  c ^= b
  c -= rotate(b, 24)
  s[1] = b
  s[2] = c
}

function start(length: number, seed: bigint): void {
  s.fill(0x9e3779b9 + length + 3923095)
  if (seed === 0n) return
  s[0] += Number(BigInt.asUintN(64, seed) >> 32n)
  s[1] += Number(BigInt.asUintN(32, seed))
  mix()
}

/** Leaves the hash in the state: the 32-bit one in s[2], the 64-bit one in s[1] and s[2]. */
function absorb(bytes: Uint8Array, seed: bigint): void {
  start(bytes.length, seed)
  let at = 0
  const word = (i: number) => bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24)
  for (; bytes.length - at >= 12; at += 12) {
    s[0] += word(at)
    s[1] += word(at + 4)
    s[2] += word(at + 8)
    mix()
  }
  // The lowest byte of the last word belongs to the length.
  for (let i = at; i < bytes.length; i++) {
    const place = i - at
    if (place < 8) s[place >> 2] += bytes[i] << ((place & 3) * 8)
    else s[2] += bytes[i] << ((place - 7) * 8)
  }
  finish()
}

function hashBytes(bytes: Uint8Array): number {
  absorb(bytes, 0n)
  return s[2] | 0
}

function wide(): Int8 {
  return canonical(BigInt.asIntN(64, (BigInt(s[1]) << 32n) | BigInt(s[2])))
}

function hashBytesSeeded(bytes: Uint8Array, seed: Int8): Int8 {
  absorb(bytes, BigInt(seed))
  return wide()
}

function hashWord(value: number): number {
  start(4, 0n)
  s[0] += value
  finish()
  return s[2] | 0
}

function hashWordSeeded(value: number, seed: Int8): Int8 {
  start(4, BigInt(seed))
  s[0] += value
  finish()
  return wide()
}

/** Both halves of an int8 in one word, so that equal numbers of all integer types hash alike. */
function foldInt8(value: Int8): number {
  const big = BigInt(value)
  const high = Number(BigInt.asUintN(32, big >> 32n))
  const low = Number(BigInt.asUintN(32, big))
  return (low ^ (big >= 0n ? high : ~high)) >>> 0
}

function floatBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setFloat64(0, value, true)
  return bytes
}

function hashFloat(value: number): number {
  return value === 0 ? 0 : hashBytes(floatBytes(value))
}

function hashFloatSeeded(value: number, seed: Int8): Int8 {
  return value === 0 ? seed : hashBytesSeeded(floatBytes(value), seed)
}

function microsInteger(value: Micros): Int8 {
  if (!isInfinite(value)) return value
  return value > 0 ? 0x7fffffffffffffffn : -0x8000000000000000n
}

function uuidBytes(value: string): Uint8Array {
  return Buffer.from(value.replaceAll('-', ''), 'hex')
}

const signedChar = (value: string) => (value === '' ? 0 : (value.charCodeAt(0) << 24) >> 24)

export const hashCode: Record<string, FunctionCode> = {
  hashtext: (a: string) => hashBytes(Buffer.from(a)),
  hashtextextended: (a: string, seed: Int8) => hashBytesSeeded(Buffer.from(a), seed),
  hashname: (a: string) => hashBytes(Buffer.from(a)),
  hashnameextended: (a: string, seed: Int8) => hashBytesSeeded(Buffer.from(a), seed),
  hashbpchar: (a: string) => hashBytes(Buffer.from(trimBlanks(a))),
  hashbpcharextended: (a: string, seed: Int8) => hashBytesSeeded(Buffer.from(trimBlanks(a)), seed),
  hashint2: hashWord,
  hashint4: hashWord,
  hashoid: hashWord,
  hashint8: (a: Int8) => hashWord(foldInt8(a)),
  hashint2extended: hashWordSeeded,
  hashint4extended: hashWordSeeded,
  hashoidextended: hashWordSeeded,
  hashint8extended: (a: Int8, seed: Int8) => hashWordSeeded(foldInt8(a), seed),
  hashchar: (a: string) => hashWord(signedChar(a)),
  hashcharextended: (a: string, seed: Int8) => hashWordSeeded(signedChar(a), seed),
  hashfloat4: hashFloat,
  hashfloat8: hashFloat,
  hashfloat4extended: hashFloatSeeded,
  hashfloat8extended: hashFloatSeeded,
  timestamp_hash: (a: Micros) => hashWord(foldInt8(microsInteger(a))),
  timestamp_hash_extended: (a: Micros, seed: Int8) => hashWordSeeded(foldInt8(microsInteger(a)), seed),
  time_hash: (a: number) => hashWord(foldInt8(a)),
  time_hash_extended: (a: number, seed: Int8) => hashWordSeeded(foldInt8(a), seed),
  uuid_hash: (a: string) => hashBytes(uuidBytes(a)),
  uuid_hash_extended: (a: string, seed: Int8) => hashBytesSeeded(uuidBytes(a), seed),
}
