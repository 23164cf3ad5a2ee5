import { engineConformance } from './engine.conformance.ts'
import { MemoryEngine } from './memory.ts'

engineConformance('memory engine', async () => new MemoryEngine())
