/**
 * Finding what two stores do not have in common by comparing fingerprints of ranges. One side asks and keeps all the state,
 * the other answers from its index alone.
 *
 *   asks      ranges that together are what is not yet compared, each with a fingerprint and a count
 *   answers   for each: same │ few enough: its ids │ its own parts, with their fingerprints
 *   asks on   for the parts that differ, cut again
 *
 * So each round cuts twice, and what travels is about the logarithm of the store for each difference.
 *
 * Not here: bytes (compare-message.ts), who sends the events then (model/events/sync.ts).
 */
import { compareBytes, sameBytes } from './key-bytes.ts'
import { fingerprintBytes, type KeyRange, type RangeIndex, type RangePart } from './range-index.ts'

/** With so few on one side, ids are cheaper than another round. */
const fewEntries = 8
/** Ids of one answer, about: what is left over is asked for again. */
const idsPerAnswer = 4_000
/** Ids of ours that one round finds to be missing there, about: they are held in memory. */
const idsPerLesson = 20_000
/** Few ranges are cut finely, many into what costs the least bytes for each difference. */
const fineCut = 16
const coarseCut = 4
const fewRanges = 64
export const rangesPerQuestion = 4_096

export interface RangeId {
  readonly key: Uint8Array
  readonly hash: Uint8Array
}

/** A range as the asking side has it. */
export interface AskedRange extends KeyRange {
  readonly count: number
  readonly fingerprint: Uint8Array
}

export type RangeAnswer =
  | { readonly kind: 'same' }
  /** All ids up to `to`, which may lie before the end of the range. */
  | { readonly kind: 'ids'; readonly ids: readonly RangeId[]; readonly to: Uint8Array | undefined }
  /** The last part ends with the range. */
  | { readonly kind: 'parts'; readonly parts: readonly RangePart[] }

export function answerRanges(index: RangeIndex, asked: readonly AskedRange[]): RangeAnswer[] {
  const cut = asked.length <= fewRanges ? fineCut : coarseCut
  let budget = idsPerAnswer
  return asked.map((range) => {
    const [own] = index.split(range, 1)
    if (own.count === range.count && sameBytes(own.fingerprint, range.fingerprint)) return { kind: 'same' }
    if (Math.min(own.count, range.count) > fewEntries) return { kind: 'parts', parts: index.split(range, cut) }
    const ids = idsOf(index, range, Math.max(fewEntries, Math.min(own.count, budget)))
    budget -= ids.length
    const to = ids.length < own.count ? after(ids[ids.length - 1].key) : range.to
    return { kind: 'ids', ids, to }
  })
}

/** What the asking side has yet to compare, and what it found. */
export class Comparison {
  readonly #index: RangeIndex
  #open: KeyRange[] = [{ from: undefined, to: undefined }]

  constructor(index: RangeIndex) {
    this.#index = index
  }

  get done(): boolean {
    return this.#open.length === 0
  }

  /** The next ranges to ask for. Their answers go into `learn` before the next call. */
  question(): AskedRange[] {
    const cut = this.#open.length <= fewRanges ? fineCut : coarseCut
    const out: AskedRange[] = []
    while (this.#open.length > 0 && out.length + cut <= rangesPerQuestion) {
      const range = this.#open.shift()!
      let from = range.from
      const [own] = this.#index.split(range, 1)
      for (const part of own.count <= fewEntries ? [own] : this.#index.split(range, cut)) {
        out.push({ from, to: part.to, count: part.count, fingerprint: part.fingerprint })
        from = part.to
      }
    }
    return out
  }

  /** Takes answers, one for each asked range: `theirs` gets ids that are only there, `ours` those that are only here. */
  learn(asked: readonly AskedRange[], answers: readonly RangeAnswer[], theirs: RangeId[], ours: RangeId[]): void {
    let budget = idsPerLesson
    for (let i = 0; i < asked.length; i++) {
      const answer = answers[i]
      if (answer.kind === 'ids') budget -= this.#ids(asked[i], answer, Math.max(fewEntries, budget), theirs, ours)
      if (answer.kind === 'parts') this.#parts(asked[i], answer.parts)
    }
  }

  #parts(range: AskedRange, parts: readonly RangePart[]): void {
    let { from } = range
    for (const { to, count, fingerprint } of parts) {
      const [own] = this.#index.split({ from, to }, 1)
      if (own.count !== count || !sameBytes(own.fingerprint, fingerprint)) this.#open.push({ from, to })
      from = to
    }
  }

  /** Compares ids up to where both sides have shown theirs; the rest of the range stays open. Answers how many are ours. */
  #ids(
    range: AskedRange,
    answer: { readonly ids: readonly RangeId[]; readonly to: Uint8Array | undefined },
    limit: number,
    theirs: RangeId[],
    ours: RangeId[],
  ): number {
    const own = idsOf(this.#index, { from: range.from, to: answer.to }, limit)
    const to = own.length < limit ? answer.to : after(own[own.length - 1].key)
    const ids = answer.ids.filter((id) => to === undefined || compareBytes(id.key, padded(to)) < 0)
    let a = 0
    let b = 0
    while (a < own.length || b < ids.length) {
      const order = a === own.length ? 1 : b === ids.length ? -1 : compareBytes(own[a].key, ids[b].key)
      if (order < 0) ours.push(own[a++])
      else if (order > 0) theirs.push(ids[b++])
      else {
        if (!sameBytes(own[a].hash, ids[b].hash)) {
          ours.push(own[a])
          theirs.push(ids[b])
        }
        a++
        b++
      }
    }
    const ended = to === undefined || (range.to !== undefined && compareBytes(padded(to), padded(range.to)) >= 0)
    if (!ended) this.#open.push({ from: to, to: range.to })
    return own.length
  }
}

function idsOf(index: RangeIndex, range: KeyRange, limit: number): RangeId[] {
  const ids: RangeId[] = []
  index.each((key, hash) => ids.push({ key, hash }), range, limit)
  return ids
}

/** The least key behind another, undefined behind the last that can be. */
function after(key: Uint8Array): Uint8Array | undefined {
  const out = key.slice()
  for (let i = out.length - 1; i >= 0; i--) {
    if (out[i] !== 255) {
      out[i]++
      return out
    }
    out[i] = 0
  }
  return undefined
}

function padded(bound: Uint8Array): Uint8Array {
  const out = new Uint8Array(16)
  out.set(bound)
  return out
}

export const askedRangeLeast = 2 + fingerprintBytes
