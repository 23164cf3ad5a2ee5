/** Jobs for node-io.test.ts. Not here: anything that production runs. */
import { DbError } from '../../base/index.ts'

export function sumJob(input: { shared: SharedArrayBuffer; moved: ArrayBuffer }) {
  const shared = new Uint8Array(input.shared)
  let sum = 0
  for (const byte of shared) sum += byte
  for (const byte of new Uint8Array(input.moved)) sum += byte
  shared[0] = 99
  return { sum, bytes: new Uint8Array(100_000) }
}

export function failingJob(): never {
  throw new DbError('data_corrupted', 'planted')
}
