import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { nodeIo } from '../../io/node/index.ts'
import { engineConformance } from '../engine.conformance.ts'
import { streamsConformance } from '../streams.conformance.ts'
import { openEngine } from './lsm-engine.ts'

const home = mkdtempSync(join(tmpdir(), 'lattice-lsm-'))
const io = nodeIo({ logLevel: 'error' })
after(async () => {
  await io.stop()
  rmSync(home, { recursive: true })
})

let count = 0
const open = () => openEngine({ io, directory: join(home, String(++count)), memtableBytes: 1 << 20 })
const openSmall = () =>
  openEngine({
    io,
    directory: join(home, String(++count)),
    memtableBytes: 1 << 16,
    tableBytes: 8 << 10,
    blockBytes: 512,
    baseBytes: 32 << 10,
    codecs: ['lz4', 'none', 'zstd'],
  })
engineConformance('LSM engine', open)
engineConformance('LSM engine of small parts', openSmall)
streamsConformance('LSM engine', open)
streamsConformance('LSM engine of small parts', openSmall)
