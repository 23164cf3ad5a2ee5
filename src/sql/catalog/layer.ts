/**
 * Descriptors of one kind, never changed in place: a large base that snapshots share, and what changed since.
 *
 *   base     10 000 descriptors, with an index of names made once ┐
 *   changed  the last few: replaced, added, dropped (undefined)   ┘ copied by every change; laid into a new base when it grows
 *
 * So a change to a schema of many objects costs what it changes, not what there is.
 *
 * Not here: what the kinds are, look-ups across kinds (catalog.ts).
 */
import type { Descriptor } from './descriptors.ts'

export type Identity = string | number

interface Base {
  readonly map: ReadonlyMap<Identity, Descriptor>
  names: Map<string, Identity> | undefined
}

/** Changes kept beside the base before they are laid into it. */
const mostChanges = 128

/** What an object is found by: its name within its schema, where it has one. */
function nameOf(d: Descriptor): string {
  const { schema, name } = d as { schema?: number; name: string }
  return schema === undefined ? name : `${schema}.${name}`
}

export class Layer {
  static readonly empty = new Layer({ map: new Map(), names: undefined }, new Map())

  readonly #base: Base
  readonly #changed: ReadonlyMap<Identity, Descriptor | undefined>
  #changedNames: Map<string, Descriptor> | undefined

  private constructor(base: Base, changed: ReadonlyMap<Identity, Descriptor | undefined>) {
    this.#base = base
    this.#changed = changed
  }

  get(id: Identity): Descriptor | undefined {
    const d = this.#changed.get(id)
    return d !== undefined || this.#changed.has(id) ? d : this.#base.map.get(id)
  }

  /** All descriptors in the order they came, replaced ones in their old place. */
  values(): Iterable<Descriptor> {
    return this.#changed.size === 0 ? this.#base.map.values() : this.#merged()
  }

  *#merged(): Iterable<Descriptor> {
    for (const [id, d] of this.#base.map) {
      const now = this.#changed.has(id) ? this.#changed.get(id) : d
      if (now !== undefined) yield now
    }
    for (const [id, d] of this.#changed) if (d !== undefined && !this.#base.map.has(id)) yield d
  }

  /** The descriptor of a name ("schema.name", or the name alone where the kind has no schemas). */
  named(name: string): Descriptor | undefined {
    if (this.#changedNames === undefined) {
      this.#changedNames = new Map()
      for (const d of this.#changed.values()) if (d !== undefined) this.#changedNames.set(nameOf(d), d)
    }
    const changed = this.#changedNames.get(name)
    if (changed !== undefined) return changed
    const base = this.#base
    if (base.names === undefined) {
      base.names = new Map()
      for (const [id, d] of base.map) base.names.set(nameOf(d), id)
    }
    const id = base.names.get(name)
    // One that was dropped or renamed since is not what the name means.
    return id === undefined || this.#changed.has(id) ? undefined : base.map.get(id)
  }

  /** The next layer; undefined drops. */
  with(changes: Iterable<readonly [Identity, Descriptor | undefined]>): Layer {
    const changed = new Map(this.#changed)
    for (const [id, d] of changes) {
      if (d === undefined && !this.#base.map.has(id)) changed.delete(id)
      else changed.set(id, d)
    }
    if (changed.size <= mostChanges) return new Layer(this.#base, changed)
    const map = new Map(this.#base.map)
    for (const [id, d] of changed) {
      if (d === undefined) map.delete(id)
      else map.set(id, d)
    }
    return new Layer({ map, names: undefined }, new Map())
  }
}
