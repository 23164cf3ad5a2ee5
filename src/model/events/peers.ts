/**
 * What a store knows of the others that it has met: how much of theirs it has, how much of its own they have, when it was.
 *
 *   value   number u32 │ received: mark 40 │ their newest position u64 │ acknowledged: mark 40 (store: ours) │ met ms u64
 *           count varint │ echoes: from u64, to u64
 *
 * `received` advances only over contiguous prefixes: everything up to it is here. It is written with the events that it
 * covers, in one batch. Not here: talking to them (sync.ts).
 */
import {
  ByteInput,
  ByteOutput,
  type Mark,
  readMark,
  type Stretch,
  sameMark,
  toHex,
  writeMark,
} from '../../replication/sync/index.ts'

/** From one position to another, both included. */
export interface Positions {
  readonly from: number
  readonly to: number
}

export interface Peer {
  /** Names the peer's present life in entries of the reception order; from 1. What came in an earlier life is not its any more. */
  readonly number: number
  /** A place in their order: all up to it is here. */
  readonly received: Mark
  /** Their newest position that we have heard of, of the incarnation of `received`. */
  readonly position: number
  /** A place in our order: they said that all up to it is there. */
  readonly acknowledged: Mark
  /** Wall clock, milliseconds, of the last meeting. */
  readonly metMs: number
  /** Our positions behind `acknowledged` whose events came from it, and do not go back: ascending, the oldest may be left out. */
  readonly echoes: readonly Positions[]
}

const echoesKept = 64

/** The peer once more of our positions have events that came from it. */
export function withEchoes(peer: Peer, more: readonly Positions[]): Peer {
  const echoes: Positions[] = [...peer.echoes]
  for (const each of more) {
    const last = echoes.at(-1)
    if (last !== undefined && last.to + 1 === each.from) echoes[echoes.length - 1] = { from: last.from, to: each.to }
    else echoes.push(each)
  }
  return { ...peer, echoes: echoes.slice(-echoesKept) }
}

/** The peer when it has said how much of ours it has. */
export function withAcknowledged(peer: Peer, acknowledged: Mark): Peer {
  const { position } = acknowledged
  const echoes = peer.echoes.filter(({ to }) => to > position)
  if (echoes.length > 0 && echoes[0].from <= position) echoes[0] = { from: position + 1, to: echoes[0].to }
  return { ...peer, acknowledged, echoes }
}

/** How many of our positions up to one are to go to it. @param acknowledged position of ours up to which it has all. */
export function toSend({ echoes }: Peer, acknowledged: number, position: number): number {
  let count = position - acknowledged
  for (const { from, to } of echoes) count -= Math.max(0, Math.min(to, position) - Math.max(from, acknowledged + 1) + 1)
  return Math.max(0, count)
}

export function writePeer(peer: Peer): Uint8Array {
  const out = new ByteOutput(112)
  out.u32(peer.number)
  writeMark(out, peer.received)
  out.safe(peer.position)
  writeMark(out, peer.acknowledged)
  out.safe(peer.metMs)
  out.varint(peer.echoes.length)
  for (const { from, to } of peer.echoes) {
    out.safe(from)
    out.safe(to)
  }
  return out.bytes
}

export function readPeer(bytes: Uint8Array): Peer {
  const input = new ByteInput(bytes)
  const number = input.u32()
  const received = readMark(input)
  const position = input.safe()
  const acknowledged = readMark(input)
  const metMs = input.safe()
  const echoes = Array.from({ length: input.count(16) }, () => ({ from: input.safe(), to: input.safe() }))
  return { number, received, position, acknowledged, metMs, echoes }
}

/**
 * Whether a claim that a stretch is here begins at the very place that we know, or at the beginning of everything. Number
 * and stamp must be the same: a peer that was restored and went on cannot continue the history that it has lost.
 */
export function continues(received: Mark, claim: Stretch): boolean {
  return claim.after.position === 0 || sameMark(received, claim.after)
}

export class Peers {
  readonly #byStore = new Map<string, Peer>()
  #lastNumber = 0

  get(store: Uint8Array): Peer | undefined {
    return this.#byStore.get(toHex(store))
  }

  set(peer: Peer): void {
    this.#lastNumber = Math.max(this.#lastNumber, peer.number)
    this.#byStore.set(toHex(peer.received.store), peer)
  }

  /** A number that no peer has had. */
  takeNumber(): number {
    return ++this.#lastNumber
  }

  all(): Peer[] {
    return [...this.#byStore.values()]
  }
}
