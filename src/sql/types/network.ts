/**
 * inet, cidr, macaddr and macaddr8: kept as their canonical text, so a value is a string.
 *
 *   inet      192.168.0.1/24, ::1 (a host's address without /32 or /128)
 *   cidr      192.168.0.0/24, no bits right of the mask
 *   key       family │ address with host bits cleared │ mask length │ whole address
 *
 * Not here: operators and functions (functions/network.ts).
 */
import { DbError } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import { BaseType, invalidSyntax, type TypeFacts } from './base-type.ts'
import { compareBytes } from './bytea.ts'

/** An address taken apart: 4 or 16 bytes and how many bits are the network. */
export interface Address {
  readonly bytes: Uint8Array
  readonly bits: number
}

function parseFour(text: string, partial: boolean): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length > 4 || (parts.length < 4 && !partial)) return undefined
  const bytes = new Uint8Array(4)
  for (let i = 0; i < parts.length; i++) {
    if (!/^\d{1,3}$/.test(parts[i]) || Number(parts[i]) > 255) return undefined
    bytes[i] = Number(parts[i])
  }
  return bytes
}

function parseSix(text: string): Uint8Array | undefined {
  let source = text
  const tail = /:([\d.]+)$/.exec(source)
  if (tail?.[1].includes('.')) {
    const four = parseFour(tail[1], false)
    if (four === undefined) return undefined
    const words = [(four[0] << 8) | four[1], (four[2] << 8) | four[3]].map((word) => word.toString(16))
    source = source.slice(0, -tail[1].length) + words.join(':')
  }
  const halves = source.split('::')
  if (halves.length > 2) return undefined
  const words = (half: string) => (half === '' ? [] : half.split(':'))
  const front = words(halves[0])
  const back = halves.length === 2 ? words(halves[1]) : []
  const missing = 8 - front.length - back.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const all = [...front, ...Array<string>(missing).fill('0'), ...back]
  const bytes = new Uint8Array(16)
  for (let i = 0; i < 8; i++) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(all[i])) return undefined
    const word = Number.parseInt(all[i], 16)
    bytes[i * 2] = word >> 8
    bytes[i * 2 + 1] = word & 0xff
  }
  return bytes
}

/** undefined when the text is no address. */
export function parseAddress(text: string, cidr = false): Address | undefined {
  const [address, mask, ...more] = text.split('/')
  if (more.length > 0) return undefined
  const bytes = address.includes(':') ? parseSix(address) : parseFour(address, cidr)
  if (bytes === undefined) return undefined
  let bits = bytes.length * 8
  if (mask !== undefined) {
    if (!/^\d{1,3}$/.test(mask) || Number(mask) > bits) return undefined
    bits = Number(mask)
  } else if (cidr && bytes.length === 4) {
    bits = classBits(bytes, address.split('.').length)
  }
  return { bytes, bits }
}

/** The classful mask of an abbreviated IPv4 network. */
function classBits(bytes: Uint8Array, parts: number): number {
  if (parts === 4) return 32
  const first = bytes[0]
  const byClass = first >= 240 ? 32 : first >= 224 ? 8 : first >= 192 ? 24 : first >= 128 ? 16 : 8
  return Math.max(byClass, parts * 8)
}

/** The address without mask. */
export function formatHost(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const words: number[] = []
  for (let i = 0; i < 16; i += 2) words.push((bytes[i] << 8) | bytes[i + 1])
  let best = -1
  let bestLength = 1
  for (let i = 0; i < 8; i++) {
    let length = 0
    while (i + length < 8 && words[i + length] === 0) length++
    if (length > bestLength) {
      best = i
      bestLength = length
    }
  }
  const mapped = best === 0 && (bestLength === 6 || (bestLength === 5 && words[5] === 0xffff))
  const hex = (list: number[]) => list.map((word) => word.toString(16)).join(':')
  if (mapped && bytes.length === 16 && bestLength >= 5) {
    const four = bytes.subarray(12).join('.')
    return bestLength === 6 ? `::${four}` : `::ffff:${four}`
  }
  if (best < 0) return hex(words)
  return `${hex(words.slice(0, best))}::${hex(words.slice(best + bestLength))}`
}

export function formatAddress(address: Address, alwaysMask: boolean): string {
  const host = formatHost(address.bytes)
  return alwaysMask || address.bits < address.bytes.length * 8 ? `${host}/${address.bits}` : host
}

/** The bytes with all bits after the first `bits` cleared (or set). */
export function maskedBytes(bytes: Uint8Array, bits: number, set = false): Uint8Array {
  const out = new Uint8Array(bytes)
  for (let i = 0; i < out.length; i++) {
    const kept = Math.min(Math.max(bits - i * 8, 0), 8)
    const mask = (0xff00 >> kept) & 0xff
    out[i] = set ? out[i] | (0xff & ~mask) : out[i] & mask
  }
  return out
}

export class InetType extends BaseType {
  readonly #cidr: boolean

  constructor(facts: TypeFacts, cidr: boolean) {
    super(facts, 'bytes')
    this.#cidr = cidr
  }

  parse(text: string): string {
    const address = parseAddress(text, this.#cidr)
    if (address === undefined) throw invalidSyntax(this.name, text)
    if (this.#cidr && compareBytes(maskedBytes(address.bytes, address.bits), address.bytes) !== 0) {
      throw new DbError('invalid_text_representation', `invalid cidr value: "${text}"`, {
        detail: 'Value has bits set to right of mask.',
      })
    }
    return formatAddress(address, this.#cidr)
  }

  format(value: string): string {
    return value
  }

  /** family (2 or 3) │ bits │ is cidr │ number of bytes │ bytes */
  encode(value: string, out: ByteWriter): void {
    const { bytes, bits } = parseAddress(value)!
    out.u8(bytes.length === 4 ? 2 : 3)
    out.u8(bits)
    out.u8(this.#cidr ? 1 : 0)
    out.u8(bytes.length)
    out.raw(bytes)
  }

  decode(bytes: Uint8Array, start: number, end: number): string {
    const size = bytes[start + 3]
    if (end - start !== 4 + size || (size !== 4 && size !== 16) || bytes[start + 1] > size * 8) {
      throw new DbError('invalid_binary_representation', `invalid length in external "${this.name}" value`)
    }
    return formatAddress({ bytes: bytes.slice(start + 4, end), bits: bytes[start + 1] }, this.#cidr)
  }

  override compare(a: string, b: string): number {
    return compareAddresses(parseAddress(a)!, parseAddress(b)!)
  }

  override encodeKey(value: string, out: ByteWriter): void {
    const { bytes, bits } = parseAddress(value)!
    out.u8(bytes.length)
    out.raw(maskedBytes(bytes, bits))
    out.u8(bits)
    out.raw(bytes)
  }

  override skipKey(bytes: Uint8Array, start: number): number {
    return start + 2 + bytes[start] * 2
  }
}

/** Networks first: the common part of both masks, then the mask's length, then the whole address. */
function compareAddresses(a: Address, b: Address): number {
  if (a.bytes.length !== b.bytes.length) return a.bytes.length - b.bytes.length
  const bits = Math.min(a.bits, b.bits)
  const order = compareBytes(maskedBytes(a.bytes, bits), maskedBytes(b.bytes, bits))
  return order || a.bits - b.bits || compareBytes(a.bytes, b.bytes)
}

/** macaddr (6 bytes) and macaddr8 (8 bytes; six are widened with ff:fe). */
export class MacType extends BaseType {
  readonly #bytes: 6 | 8

  constructor(facts: TypeFacts, bytes: 6 | 8) {
    super(facts, 'bytes')
    this.#bytes = bytes
  }

  parse(text: string): string {
    const bare = text.trim()
    const pairs = '(?:[0-9a-fA-F]{2})'
    const six = new RegExp(
      `^(?:${pairs}([:-])(?:${pairs}\\1){4}${pairs}|${pairs}{3}[:-]${pairs}{3}|(?:${pairs}{2}[.-]){2}${pairs}{2}|${pairs}{6})$`,
    )
    const eight = new RegExp(
      `^(?:${pairs}([:-])(?:${pairs}\\1){6}${pairs}|${pairs}{3}[:-]${pairs}{5}|(?:${pairs}{2}[.:-]){3}${pairs}{2}|${pairs}{8})$`,
    )
    const digits = bare.replace(/[^0-9a-fA-F]/g, '').toLowerCase()
    if (six.test(bare)) return spaced(this.#bytes === 6 ? digits : `${digits.slice(0, 6)}fffe${digits.slice(6)}`)
    if (this.#bytes === 8 && eight.test(bare)) return spaced(digits)
    throw invalidSyntax(this.name, text)
  }

  format(value: string): string {
    return value
  }

  encode(value: string, out: ByteWriter): void {
    for (const pair of value.split(':')) out.u8(Number.parseInt(pair, 16))
  }

  decode(bytes: Uint8Array, start: number, end: number): string {
    const hex = Buffer.prototype.hexSlice.call(bytes, start, end) as string
    if (end - start === 6 && this.#bytes === 8) return spaced(`${hex.slice(0, 6)}fffe${hex.slice(6)}`)
    if (end - start !== this.#bytes) throw new DbError('protocol_violation', 'insufficient data left in message')
    return spaced(hex)
  }

  override compare(a: string, b: string): number {
    return a < b ? -1 : a > b ? 1 : 0
  }

  override encodeKey(value: string, out: ByteWriter): void {
    this.encode(value, out)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + this.#bytes
  }
}

function spaced(hex: string): string {
  return hex.replace(/..(?=.)/g, '$&:')
}
