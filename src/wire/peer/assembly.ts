/**
 * Puts payloads together that came in pieces. Pieces of one payload come in order; those of several interleave.
 *
 * Not here: frames (frame.ts).
 */
import { DbError } from '../../base/index.ts'
import { get32, maxPayloadBytes, pieceHeaderBytes } from './frame.ts'

/** Bytes of unfinished payloads per connection; a peer of ours stays below it. */
const maxUnfinishedBytes = 8 * maxPayloadBytes

interface Unfinished {
  readonly bytes: Uint8Array
  count: number
}

export class Assembly {
  readonly #unfinished = new Map<number, Unfinished>()
  #bytes = 0

  /** The whole payload once its last piece is here. Raises protocol_violation for pieces that do not fit. */
  add(kind: number, id: number, piece: Uint8Array): Uint8Array | undefined {
    if (piece.length <= pieceHeaderBytes) throw misfit()
    const total = get32(piece, 0)
    const offset = get32(piece, 4)
    const key = kind * 0x1_0000_0000 + id
    let payload = this.#unfinished.get(key)
    if (payload === undefined) {
      if (offset !== 0 || total > maxPayloadBytes || this.#bytes + total > maxUnfinishedBytes) throw misfit()
      payload = { bytes: new Uint8Array(total), count: 0 }
      this.#unfinished.set(key, payload)
      this.#bytes += total
    }
    const count = piece.length - pieceHeaderBytes
    if (total !== payload.bytes.length || offset !== payload.count || offset + count > total) throw misfit()
    payload.bytes.set(piece.subarray(pieceHeaderBytes), offset)
    payload.count += count
    if (payload.count < total) return undefined
    this.#unfinished.delete(key)
    this.#bytes -= total
    return payload.bytes
  }
}

function misfit(): DbError {
  return new DbError('protocol_violation', 'a piece of a larger payload does not fit')
}
