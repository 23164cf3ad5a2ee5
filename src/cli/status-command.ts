/**
 * `lattice status`: asks a node's HTTP port how it does.
 *
 * Not here: what the node answers (node/node.ts).
 */
import { request } from 'node:http'
import { DbError } from '../base/index.ts'
import { formatAddress, type ListenAddress, parseAddress } from '../node/index.ts'
import { formatBytes } from './format-bytes.ts'

/** Answers the exit status: 0 ready, 1 not ready. Raises connection_failure when nobody answers. */
export async function runStatus(http: string, asJson: boolean, write: (text: string) => void): Promise<number> {
  const address = parseAddress(http, '--http')
  const status = (await getJson(address, '/status')) as Record<string, any>
  if (asJson) write(JSON.stringify(status) + '\n')
  else write(describe(status))
  return status.ready === true ? 0 : 1
}

function getJson(address: ListenAddress, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) =>
      reject(
        new DbError('connection_failure', `no node answers at http://${formatAddress(address)}`, {
          cause,
          hint: 'Start one with: lattice start --data DIR',
        }),
      )
    const asked = request({ host: address.host, port: address.port, path, timeout: 5000 }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString()))
        } catch (error) {
          fail(error)
        }
      })
    })
    asked.on('error', fail)
    asked.on('timeout', () => asked.destroy(new Error('timeout')))
    asked.end()
  })
}

function describe(status: Record<string, any>): string {
  const { clients, transactions, engine, log } = status
  const lines: [string, string][] = [
    ['state', status.ready ? 'ready' : `not ready: ${status.reason}`],
    ['data', String(status.data ?? '')],
    ['up', `${status.uptimeSeconds} s`],
  ]
  if (clients) lines.push(['clients', `${clients.connections} connected, ${clients.statements} statements`])
  if (transactions) {
    const { active, commits, rollbacks } = transactions
    lines.push(['transactions', `${active} open, ${commits} committed, ${rollbacks} rolled back`])
  }
  if (engine) {
    const tables = engine.levels.reduce((sum: number, level: any) => sum + level.tables, 0)
    const bytes = engine.levels.reduce((sum: number, level: any) => sum + level.bytes, 0)
    lines.push([
      'memory',
      `${formatBytes(engine.memtableBytes)} in memtables, ${formatBytes(engine.blockCacheBytes)} cached`,
    ])
    lines.push(['tables', `${tables} with ${formatBytes(bytes)} on ${engine.levels.length} levels`])
  }
  if (log) lines.push(['log', `${log.segments} segments, ${formatBytes(log.bytes)}, ${log.syncs} syncs`])
  return lines.map(([name, text]) => `${name.padEnd(14)}${text}\n`).join('')
}
