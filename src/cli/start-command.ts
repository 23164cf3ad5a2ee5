/**
 * `lattice start`: one node in the foreground, until a signal.
 *
 *   SIGTERM, SIGINT   drains, exits 0; a second SIGINT does not wait
 *
 * Not here: what a node is (node/).
 */
import { nodeIo } from '../io/node/index.ts'
import { checkConfig, type RunningNode, readConfigFile, readFailpoints, startNode } from '../node/index.ts'

export interface StartOptions {
  readonly data?: string
  readonly pg?: string
  readonly http?: string
  readonly config?: string
  readonly log?: string
  readonly insecure?: boolean
}

/** Resolves when the node has stopped. Raises what keeps it from starting. */
export async function runStart(options: StartOptions): Promise<void> {
  const reader = nodeIo({ logLevel: 'silent' })
  const { config: path, ...flags } = options
  const settings = path === undefined ? {} : await readConfigFile(reader, path)
  const config = checkConfig({ ...settings, ...flags }, path ?? 'the command line')
  const io = nodeIo({ logLevel: config.log })
  const failpoints = readFailpoints(process.env.LATTICE_FAILPOINTS)
  if (failpoints !== undefined) io.log.warn('failpoints', { ...failpoints })
  const node = await startNode(config, { io, failpoints })
  await stopSignal()
  await node.stop()
  await io.stop()
}

/** Resolves at the first signal to stop. The second one ends the process at once. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      process.once('SIGINT', () => process.exit(130))
      resolve()
    }
    process.once('SIGTERM', stop)
    process.once('SIGINT', stop)
  })
}

export type { RunningNode }
