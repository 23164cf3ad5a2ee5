/**
 * Stands in for model/events/memory-map.ts in a page, so that tests that were written over memory run over IndexedDB: each
 * map is a database of its own, opened when it is first used.
 */
import { indexedFactory } from '../../src/io/browser/index.ts'
import { openIndexedDbMap } from '../../src/model/events/indexed-db-map.ts'
import type { OrderedMap } from '../../src/model/events/ordered-map.ts'

let maps = 0

export function memoryMap(): OrderedMap {
  const name = `test-${++maps}-${crypto.randomUUID()}`
  let opened: Promise<OrderedMap> | undefined
  const map = () => (opened ??= openIndexedDbMap(indexedFactory(), name))
  return {
    write: async (changes) => (await map()).write(changes),
    get: async (keys) => (await map()).get(keys),
    scan: async (options) => (await map()).scan(options),
    close: async () => (await map()).close(),
  }
}
