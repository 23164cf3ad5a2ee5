/**
 * Which views there are and which builds of each, kept in the views' map; and the clearing away of builds that nobody
 * needs any more.
 *
 * Not here: what is in a build (build-space.ts).
 */
import type { Tasks } from '../../../io/ports.ts'
import type { Change, OrderedMap } from '../ordered-map.ts'
import * as keys from './space-keys.ts'
import { decodeText, encodeText } from './view-record.ts'

export interface BuildNote {
  readonly build: number
  readonly version: number
}

export interface ViewNote {
  readonly name: string
  /** The build that readers get. */
  readonly answering: BuildNote | undefined
  /** The build that is to take its place. */
  readonly building: BuildNote | undefined
  /** Of views that were given as JSON. */
  readonly definition: unknown
}

const page = 256

export class ViewShelf {
  readonly map: OrderedMap
  readonly #tasks: Pick<Tasks, 'yield'>
  #nextBuild = 1
  readonly #discarded: number[] = []
  #clearing: Promise<void> | undefined
  #closed = false

  constructor(map: OrderedMap, tasks: Pick<Tasks, 'yield'>) {
    this.map = map
    this.#tasks = tasks
  }

  /** All views that are known. */
  async open(): Promise<ViewNote[]> {
    const [next] = await this.map.get([keys.nextBuild])
    if (next !== undefined) this.#nextBuild = decodeText<number>(next)
    for (const { key } of await this.map.scan({ ...keys.discarded, limit: 2 ** 20 })) {
      this.#discarded.push(keys.buildOfDiscarded(key))
    }
    this.#clear()
    const notes = await this.map.scan({ ...keys.viewRecords, limit: 2 ** 20 })
    return notes.map((e) => decodeText<ViewNote>(e.value))
  }

  async note(name: string): Promise<ViewNote | undefined> {
    const [found] = await this.map.get([keys.viewRecord(name)])
    return found && decodeText<ViewNote>(found)
  }

  /** A number that no build has had. */
  newBuild(): number {
    return this.#nextBuild++
  }

  /** Durable when it resolves. @param discard builds to clear away. */
  async save(note: ViewNote, discard: readonly number[]): Promise<void> {
    await this.#write([{ key: keys.viewRecord(note.name), value: encodeText(note) }], discard)
  }

  /** False when it is not known. */
  async remove(name: string): Promise<boolean> {
    const note = await this.note(name)
    if (note === undefined) return false
    const builds = [note.answering, note.building].flatMap((b) => (b === undefined ? [] : [b.build]))
    await this.#write([{ key: keys.viewRecord(name), value: undefined }], builds)
    return true
  }

  async #write(changes: Change[], discard: readonly number[]): Promise<void> {
    changes.push({ key: keys.nextBuild, value: encodeText(this.#nextBuild) })
    for (const build of discard) changes.push({ key: keys.discardedBuild(build), value: new Uint8Array(0) })
    await this.map.write(changes)
    this.#discarded.push(...discard)
    this.#clear()
  }

  #clear(): void {
    this.#clearing ??= this.#clearAll().finally(() => {
      this.#clearing = undefined
    })
  }

  async #clearAll(): Promise<void> {
    try {
      while (this.#discarded.length > 0 && !this.#closed) {
        const build = this.#discarded[0]
        const found = await this.map.scan({ ...keys.buildRange(build), limit: page })
        const changes: Change[] = found.map(({ key }) => ({ key, value: undefined }))
        if (found.length < page) changes.push({ key: keys.discardedBuild(build), value: undefined })
        await this.map.write(changes)
        if (found.length < page) this.#discarded.shift()
        await this.#tasks.yield()
      }
    } catch {
      // What is left is cleared when the views are opened again; whoever needs the map hears of its failure.
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#clearing
  }
}
