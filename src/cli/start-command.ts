/**
 * `lattice start`: one node in the foreground, until a signal.
 *
 *   SIGTERM, SIGINT   drains, exits 0; a second SIGINT does not wait
 *   a parent process that holds a channel to it (a demo) goes away: the same
 *
 * Not here: what a node is (node/).
 */
import { nodeIo } from '../io/node/index.ts'
import { checkConfig, type RunningNode, readConfigFile, readFailpoints, startNode } from '../node/index.ts'

export interface StartOptions {
  readonly data?: string
  readonly pg?: string
  readonly socket?: string
  readonly http?: string
  readonly config?: string
  readonly log?: string
  readonly insecure?: boolean
  readonly peer?: string
  readonly advertise?: string
  readonly join?: string
  readonly locality?: string
  readonly nodeId?: number
  readonly replicas?: number
  readonly peerCert?: string
  readonly peerKey?: string
  readonly peerCa?: string
}

/** Resolves when the node has stopped. Raises what keeps it from starting. */
export async function runStart(options: StartOptions): Promise<void> {
  const reader = nodeIo({ logLevel: 'silent' })
  const { config: path, peerCert, peerKey, peerCa, ...flags } = options
  const settings = path === undefined ? {} : await readConfigFile(reader, path)
  const given = { certificate: peerCert, key: peerKey, authority: peerCa }
  const named = Object.fromEntries(Object.entries(given).filter(([, file]) => file !== undefined))
  const certificates = Object.keys(named).length === 0 ? {} : { peerTls: { ...(settings.peerTls as object), ...named } }
  const config = checkConfig({ ...settings, ...flags, ...certificates }, path ?? 'the command line')
  const io = nodeIo({ logLevel: config.log })
  const failpoints = readFailpoints(process.env.LATTICE_FAILPOINTS)
  if (failpoints !== undefined) io.log.warn('failpoints', { ...failpoints })
  const stop = stopSignal()
  // Whoever stops a node that is still starting does not wait for it: what it has begun, the next start goes on with.
  let serving = false
  void stop.then(() => serving || process.exit(0))
  const node = await startNode(config, { io, failpoints })
  serving = true
  await stop
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
    process.once('disconnect', stop)
    process.channel?.unref()
  })
}

export type { RunningNode }
