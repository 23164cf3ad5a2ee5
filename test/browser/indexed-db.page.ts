/** In a page: what every ordered map must do, of IndexedDB. */
import { test } from 'node:test'
import { indexedFactory } from '../../src/io/browser/index.ts'
import { openIndexedDbMap } from '../../src/model/events/indexed-db-map.ts'
import { orderedMapConformance } from '../../src/model/events/ordered-map.conformance.ts'

const run = crypto.randomUUID()
orderedMapConformance(test, 'IndexedDB', (name) => openIndexedDbMap(indexedFactory(), `${run}/${name}`), true)
