/**
 * Functions and operators of inet, cidr and the MAC address types.
 *
 * Not here: their texts and order (types/network.ts).
 */
import { DbError } from '../../base/index.ts'
import { compareBytes } from '../types/bytea.ts'
import { type Address, formatAddress, formatHost, maskedBytes, parseAddress } from '../types/network.ts'
import type { FunctionCode } from './function.ts'
import { type Int8, toInt8 } from './integer.ts'

function read(text: string): Address {
  return parseAddress(text)!
}

/** A result of type inet: the mask is not shown when it is whole. */
function inet(bytes: Uint8Array, bits: number): string {
  return formatAddress({ bytes, bits }, false)
}

function cidr(bytes: Uint8Array, bits: number): string {
  return formatAddress({ bytes, bits }, true)
}

/** Whether `inner` lies in `outer`'s network. */
function within(inner: Address, outer: Address, strict: boolean): boolean {
  if (inner.bytes.length !== outer.bytes.length) return false
  if (strict ? inner.bits <= outer.bits : inner.bits < outer.bits) return false
  return compareBytes(maskedBytes(inner.bytes, outer.bits), maskedBytes(outer.bytes, outer.bits)) === 0
}

function overlaps(a: Address, b: Address): boolean {
  return a.bits >= b.bits ? within(a, b, false) : within(b, a, false)
}

function checkMask(bits: number, address: Address): number {
  const whole = address.bytes.length * 8
  if (bits === -1) return whole
  if (bits < 0 || bits > whole) throw new DbError('invalid_parameter_value', `invalid mask length: ${bits}`)
  return bits
}

function toBig(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.prototype.hexSlice.call(bytes, 0, bytes.length) as string}`)
}

function fromBig(value: bigint, length: number): Uint8Array {
  if (value < 0n || value >= 1n << BigInt(length * 8)) {
    throw new DbError('numeric_value_out_of_range', 'result is out of range')
  }
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex'))
}

function offset(a: Address, by: bigint): string {
  return inet(fromBig(toBig(a.bytes) + by, a.bytes.length), a.bits)
}

function bitwise(name: string, operation: (a: number, b: number) => number): FunctionCode {
  return (left: string, right: string) => {
    const a = read(left)
    const b = read(right)
    if (a.bytes.length !== b.bytes.length) {
      throw new DbError('invalid_parameter_value', `cannot ${name} inet values of different sizes`)
    }
    return inet(
      a.bytes.map((byte, i) => operation(byte, b.bytes[i])),
      Math.max(a.bits, b.bits),
    )
  }
}

function merge(left: string, right: string): string {
  const a = read(left)
  const b = read(right)
  if (a.bytes.length !== b.bytes.length) {
    throw new DbError('invalid_parameter_value', 'cannot merge addresses from different families')
  }
  let bits = Math.min(a.bits, b.bits)
  while (compareBytes(maskedBytes(a.bytes, bits), maskedBytes(b.bytes, bits)) !== 0) bits--
  return cidr(maskedBytes(a.bytes, bits), bits)
}

/** 10.1.0.0/16 as 10.1/16: octets that the mask leaves out are not written. */
function abbreviateCidr(text: string): string {
  const { bytes, bits } = read(text)
  if (bytes.length !== 4) return text.replace(/(?<=[0-9a-f])::(?=\/)/, '')
  const kept = Math.max(Math.ceil(bits / 8), 1)
  return `${[...bytes.slice(0, kept)].join('.')}/${bits}`
}

function macBytes(text: string): number[] {
  return text.split(':').map((pair) => Number.parseInt(pair, 16))
}

function macText(bytes: readonly number[]): string {
  return bytes.map((byte) => (byte & 0xff).toString(16).padStart(2, '0')).join(':')
}

const macs: Record<string, FunctionCode> = {
  macaddr_not: (a: string) => macText(macBytes(a).map((byte) => ~byte)),
  macaddr_and: (a: string, b: string) => macText(macBytes(a).map((byte, i) => byte & macBytes(b)[i])),
  macaddr_or: (a: string, b: string) => macText(macBytes(a).map((byte, i) => byte | macBytes(b)[i])),
  macaddr_trunc: (a: string) => `${a.slice(0, 8)}:00:00:00`,
  macaddr8_trunc: (a: string) => `${a.slice(0, 8)}:00:00:00:00:00`,
  macaddrtomacaddr8: (a: string) => `${a.slice(0, 8)}:ff:fe:${a.slice(9)}`,
  macaddr8tomacaddr(a: string) {
    if (a.slice(9, 14) === 'ff:fe') return `${a.slice(0, 8)}:${a.slice(15)}`
    throw new DbError('numeric_value_out_of_range', 'macaddr8 data out of range to convert to macaddr', {
      hint:
        'Only addresses that have FF and FE as values in the 4th and 5th bytes from the left, for example ' +
        'xx:xx:xx:ff:fe:xx:xx:xx, are eligible to be converted from macaddr8 to macaddr.',
    })
  },
  macaddr8_set7bit: (a: string) => macText(macBytes(a).map((byte, i) => (i === 0 ? byte | 2 : byte))),
}
for (const name of ['not', 'and', 'or']) macs[`macaddr8_${name}`] = macs[`macaddr_${name}`]

export const networkCode: Record<string, FunctionCode> = {
  ...macs,
  network_show: (a: string) => cidr(read(a).bytes, read(a).bits),
  network_host: (a: string) => formatHost(read(a).bytes),
  network_family: (a: string) => (read(a).bytes.length === 4 ? 4 : 6),
  network_masklen: (a: string) => read(a).bits,
  network_network: (a: string) => cidr(maskedBytes(read(a).bytes, read(a).bits), read(a).bits),
  network_broadcast: (a: string) => inet(maskedBytes(read(a).bytes, read(a).bits, true), read(a).bits),
  network_netmask: (a: string) => formatHost(maskedBytes(new Uint8Array(read(a).bytes.length).fill(255), read(a).bits)),
  network_hostmask: (a: string) => formatHost(maskedBytes(new Uint8Array(read(a).bytes.length), read(a).bits, true)),
  network_sub: (a: string, b: string) => within(read(a), read(b), true),
  network_subeq: (a: string, b: string) => within(read(a), read(b), false),
  network_sup: (a: string, b: string) => within(read(b), read(a), true),
  network_supeq: (a: string, b: string) => within(read(b), read(a), false),
  network_overlap: (a: string, b: string) => overlaps(read(a), read(b)),
  inet_same_family: (a: string, b: string) => read(a).bytes.length === read(b).bytes.length,
  inet_merge: merge,
  inet_abbrev: (a: string) => a,
  cidr_abbrev: abbreviateCidr,
  inet_to_cidr: (a: string) => cidr(maskedBytes(read(a).bytes, read(a).bits), read(a).bits),
  inet_set_masklen: (a: string, bits: number) => inet(read(a).bytes, checkMask(bits, read(a))),
  cidr_set_masklen(a: string, bits: number) {
    const checked = checkMask(bits, read(a))
    return cidr(maskedBytes(read(a).bytes, checked), checked)
  },
  inetnot: (a: string) =>
    inet(
      read(a).bytes.map((byte) => ~byte & 0xff),
      read(a).bits,
    ),
  inetand: bitwise('AND', (a, b) => a & b),
  inetor: bitwise('OR', (a, b) => a | b),
  inetpl: (a: string, by: Int8) => offset(read(a), BigInt(by)),
  inetmi_int8: (a: string, by: Int8) => offset(read(a), -BigInt(by)),
  'int8pl_inet(int8,inet)': (by: Int8, a: string) => offset(read(a), BigInt(by)),
  inetmi(left: string, right: string) {
    const a = read(left)
    const b = read(right)
    if (a.bytes.length !== b.bytes.length) {
      throw new DbError('invalid_parameter_value', 'cannot subtract inet values of different sizes')
    }
    const difference = toBig(a.bytes) - toBig(b.bytes)
    if (BigInt.asIntN(64, difference) !== difference) {
      throw new DbError('numeric_value_out_of_range', 'result is out of range')
    }
    return toInt8(difference)
  },
}
