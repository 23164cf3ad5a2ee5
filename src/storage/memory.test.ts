import { engineConformance } from './engine.conformance.ts'
import { MemoryEngine } from './memory.ts'
import { streamsConformance } from './streams.conformance.ts'

engineConformance('memory engine', async () => new MemoryEngine())
streamsConformance('memory engine', async () => new MemoryEngine())
