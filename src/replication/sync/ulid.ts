/**
 * ULID: 48 bits of milliseconds since the Unix epoch, then 80 random bits; 26 characters of Crockford's base32 or 16 bytes,
 * which sort alike.
 *
 *   01ARZ3NDEK  TSV4RRFFQ69G5FAV        0            6                    16
 *   ──────────  ────────────────        ┌────────────┬────────────────────┐
 *   time, 50    random, 80 bits         │ time       │ random             │
 *   bits used                           └────────────┴────────────────────┘
 *
 * Input may be in lower case, and I, L and O are read as 1, 1 and 0, as Crockford has it; output is the one canonical
 * text. U is no digit. A first character above 7 would be a time above 2^48 - 1: refused.
 *
 * Source: github.com/ulid/spec, crockford.com/base32.html. Not here: who makes keys when (model/events).
 */
import { DbError } from '../../base/index.ts'

export const ulidBytes = 16
const ulidLength = 26
export const maxUlidMs = 2 ** 48 - 1

const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const characterCodes = new Uint8Array(Array.from(digits, (c) => c.charCodeAt(0)))
/** Value of a character code, 255 for what is no digit. */
const values = new Uint8Array(128).fill(255)
for (let i = 0; i < 32; i++) {
  values[digits.charCodeAt(i)] = i
  values[digits.toLowerCase().charCodeAt(i)] = i
}
for (const [character, value] of [
  ['I', 1],
  ['L', 1],
  ['O', 0],
] as const) {
  values[character.charCodeAt(0)] = value
  values[character.toLowerCase().charCodeAt(0)] = value
}

/** The 16 bytes of a text; event_key_malformed. */
export function parseUlid(text: string, into = new Uint8Array(ulidBytes), at = 0): Uint8Array {
  if (text.length !== ulidLength) throw malformedKey(text, `it has ${text.length} characters, not ${ulidLength}`)
  // 130 bits for 128: the first character holds three.
  let bits = 0
  let held = 0
  let out = at
  for (let i = 0; i < ulidLength; i++) {
    const code = text.charCodeAt(i)
    const value = code < 128 ? values[code] : 255
    if (value === 255) throw malformedKey(text, `${JSON.stringify(text[i])} is no digit of base32`)
    if (i === 0) {
      if (value > 7) throw malformedKey(text, 'its time is above 2^48 - 1 milliseconds')
      bits = value
      held = 3
      continue
    }
    bits = ((bits << 5) | value) & 0xfff
    held += 5
    if (held >= 8) {
      held -= 8
      into[out++] = bits >>> held
    }
  }
  return into
}

const codes = new Array<number>(ulidLength - 2)
/** Keys made one after the other differ in their last byte: the text before it was just made. */
const lastKey = new Uint8Array(ulidBytes)
let lastHead = '0'.repeat(ulidLength - 2)
/** The last two characters: ten bits. */
const tails = Array.from({ length: 1024 }, (_, i) => digits[i >>> 5] + digits[i & 31])

/** The canonical text of 16 bytes at an offset. */
export function formatUlid(bytes: Uint8Array, at = 0): string {
  let same = ulidBytes - 2
  while (same >= 0 && bytes[at + same] === lastKey[same]) same--
  if (same >= 0) {
    for (let i = 0; i < ulidBytes - 1; i++) lastKey[i] = bytes[at + i]
    lastHead = formatHead(bytes, at)
  }
  return lastHead + tails[((bytes[at + 14] & 3) << 8) | bytes[at + 15]]
}

/** All but the last two characters, which the first 15 bytes decide. */
function formatHead(bytes: Uint8Array, at: number): string {
  codes[0] = characterCodes[bytes[at] >>> 5]
  let bits = bytes[at] & 31
  let held = 5
  let next = at + 1
  for (let i = 1; i < codes.length; i++) {
    if (held < 5) {
      bits = ((bits << 8) | bytes[next++]) & 0xfff
      held += 8
    }
    held -= 5
    codes[i] = characterCodes[(bits >>> held) & 31]
  }
  return String.fromCharCode.apply(null, codes)
}

/** Milliseconds since the Unix epoch. */
export function ulidTimeMs(bytes: Uint8Array, at = 0): number {
  const high = (bytes[at] << 8) | bytes[at + 1]
  const low = ((bytes[at + 2] << 24) | (bytes[at + 3] << 16) | (bytes[at + 4] << 8) | bytes[at + 5]) >>> 0
  return high * 0x1_0000_0000 + low
}

/** Writes the time into the first six bytes. Errors: event_key_malformed when it is not in [0, 2^48). */
export function putUlidTime(bytes: Uint8Array, at: number, ms: number): void {
  if (!Number.isSafeInteger(ms) || ms < 0 || ms > maxUlidMs) {
    throw new DbError('event_key_malformed', `${ms} is no time that the key of an event can have`, {
      hint: 'Give whole milliseconds since 1970, from 0 to 281474976710655.',
    })
  }
  const high = Math.floor(ms / 0x1_0000_0000)
  bytes[at] = high >>> 8
  bytes[at + 1] = high
  bytes[at + 2] = ms >>> 24
  bytes[at + 3] = ms >>> 16
  bytes[at + 4] = ms >>> 8
  bytes[at + 5] = ms
}

function malformedKey(text: string, why: string): DbError {
  const shown = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
  return new DbError('event_key_malformed', `${shown} is no key of an event: ${why}`, {
    hint: "Keys are ULIDs: 26 characters of Crockford's base32. Leave the key out to have one made.",
  })
}
