/**
 * A safe integer (below 2^53) in eight bytes, little-endian, as our files store sizes, offsets and timestamps.
 *
 * Not here: keys, which are big-endian so that they sort.
 */
const two32 = 0x1_0000_0000

export function putSafe(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true)
  view.setUint32(at + 4, (value / two32) >>> 0, true)
}

export function getSafe(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * two32 + view.getUint32(at, true)
}
