/**
 * The checksum of what nodes keep about themselves and send to each other: CRC-32, 7 GB/s in Node.
 *
 * Not here: the checksums of data files, which cover positions as well (storage/).
 */
import { crc32 } from 'node:zlib'

export function checksum(bytes: Uint8Array): number {
  return crc32(bytes)
}
