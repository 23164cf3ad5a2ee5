/**
 * The groups of a batch aggregate, in typed arrays: a hash table over keys that are doubles, and the doubles of the
 * accumulators beside them.
 *
 *   slots    hash → group, −1: free             keys   [ k0 k1 │ k0 k1 │ … ]      width: keys a group
 *   acc      [ count sum min │ count sum … ]    stride: doubles a group
 *
 *   key      number   itself; a bigint: its number in `wide`, and a quarter
 *            boolean  0, 1
 *            text     its number in a dictionary
 *            NULL     −0.5
 *
 * Not here: which rows go where (batch-aggregate.ts, batch-kernel.ts).
 */
import type { Wide } from '../functions/accumulators.ts'
import type { Value } from '../types/type.ts'
import type { Form } from './batch-expression.ts'
import { TextDictionary } from './text-dictionary.ts'

export const nullKey = -0.5
const firstCapacity = 64

export class BatchGroups {
  readonly width: number
  readonly stride: number
  count = 0
  /** The row that a loop is at, as long as it has taken nothing of it; else −1. */
  at = -1
  keys: Float64Array
  acc: Float64Array
  slots: Int32Array
  mask: number
  /** What the doubles of a new group are. */
  readonly #initial: Float64Array
  /** The keys of the group to find or add. */
  readonly key: Float64Array
  readonly wide: Wide = new Map()
  /** By call: objects of groups, for aggregates that need more than doubles. */
  readonly objects: (any[] | undefined)[]
  readonly texts: readonly (TextDictionary | undefined)[]
  readonly #forms: readonly Form[]
  readonly #wideKeys: bigint[] = []
  readonly #wideNumbers = new Map<bigint, number>()
  /** Makes the objects of a new group. */
  readonly #fresh: (group: number) => void
  readonly #objectBytes: number

  constructor(
    forms: readonly Form[],
    initial: readonly number[],
    objects: readonly boolean[],
    fresh: (call: number) => any,
  ) {
    this.width = forms.length
    this.stride = initial.length
    this.#forms = forms
    this.#initial = Float64Array.from(initial)
    this.key = new Float64Array(forms.length)
    this.keys = new Float64Array(firstCapacity * this.width)
    this.acc = new Float64Array(firstCapacity * this.stride)
    this.slots = new Int32Array(2 * firstCapacity).fill(-1)
    this.mask = 2 * firstCapacity - 1
    this.texts = forms.map((form) => (form === 'text' ? new TextDictionary() : undefined))
    this.objects = objects.map((wanted) => (wanted ? [] : undefined))
    const calls = objects.flatMap((wanted, call) => (wanted ? [call] : []))
    this.#objectBytes = 64 * calls.length
    this.#fresh = (group) => {
      for (const call of calls) this.objects[call]![group] = fresh(call)
    }
  }

  /** About how much memory it takes. */
  get bytes(): number {
    let bytes = 8 * (this.keys.length + this.acc.length) + 4 * this.slots.length
    for (const text of this.texts) if (text !== undefined) bytes += text.bytes
    return bytes + this.count * this.#objectBytes + 48 * (this.wide.size + this.#wideKeys.length)
  }

  /** The double that stands for a key's value. */
  codeOf(k: number, value: Value): number {
    if (value === null) return nullKey
    if (typeof value === 'number') return value + 0
    if (typeof value === 'boolean') return value ? 1 : 0
    if (typeof value === 'string') return this.texts[k]!.numberOf(value)
    let number = this.#wideNumbers.get(value)
    if (number === undefined) {
      number = this.#wideKeys.push(value) - 1
      this.#wideNumbers.set(value, number)
    }
    return number + 0.25
  }

  /** The value of a group's key. */
  valueOf(k: number, group: number): Value {
    const code = this.keys[group * this.width + k]
    if (code === nullKey) return null
    switch (this.#forms[k]) {
      case 'boolean':
        return code === 1
      case 'text':
        return this.texts[k]!.text(code)
      default:
        return Number.isInteger(code) || !Number.isFinite(code) ? code : this.#wideKeys[Math.floor(code)]
    }
  }

  /** The group of the keys in `key`, added when it is new. */
  find(): number {
    const { key, width } = this
    let hash = 0
    for (let k = 0; k < width; k++) hash = mix(hash, key[k])
    for (let at = hash & this.mask; ; at = (at + 1) & this.mask) {
      const group = this.slots[at]
      if (group < 0) return this.add(at)
      let same = true
      for (let k = 0; k < width; k++) if (this.keys[group * width + k] !== key[k]) same = false
      if (same) return group
    }
  }

  /** Makes a group of the keys in `key` at a free slot. The arrays may be others afterwards. */
  add(at: number): number {
    const { width, stride } = this
    const group = this.count++
    if (group * width >= this.keys.length && width > 0) this.keys = grown(this.keys)
    if (group * stride >= this.acc.length && stride > 0) this.acc = grown(this.acc)
    this.keys.set(this.key, group * width)
    this.acc.set(this.#initial, group * stride)
    this.slots[at] = group
    this.#fresh(group)
    if (2 * this.count > this.slots.length) this.#rehash()
    return group
  }

  #rehash(): void {
    const { width, keys } = this
    const size = this.slots.length * 2
    this.slots = new Int32Array(size).fill(-1)
    this.mask = size - 1
    for (let group = 0; group < this.count; group++) {
      let hash = 0
      for (let k = 0; k < width; k++) hash = mix(hash, keys[group * width + k])
      let at = hash & this.mask
      while (this.slots[at] >= 0) at = (at + 1) & this.mask
      this.slots[at] = group
    }
  }
}

/** One key more of a hash; `mixSource` is the same as source text. */
function mix(hash: number, code: number): number {
  const h = Math.imul(hash ^ (code | 0) ^ ((code / 4294967296) | 0), 0x9e3779b1)
  return h ^ (h >>> 15)
}

export function mixSource(code: string): string {
  return `h = Math.imul(h ^ (${code} | 0) ^ ((${code} / 4294967296) | 0), ${0x9e3779b1}); h ^= h >>> 15`
}

function grown(array: Float64Array): Float64Array {
  const out = new Float64Array(array.length * 2)
  out.set(array)
  return out
}
