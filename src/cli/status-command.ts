/**
 * `lattice status`: asks a node's HTTP port how it does.
 *
 * Not here: what the node answers (node/node.ts).
 */
import { parseAddress } from '../node/index.ts'
import { formatBytes } from './format-bytes.ts'
import { askJson } from './http-client.ts'
import { formatTable, type TableStyle } from './shell/table.ts'

/** Answers the exit status: 0 ready, 1 not ready. Raises connection_failure when nobody answers. */
export async function runStatus(http: string, asJson: boolean, write: (text: string) => void): Promise<number> {
  const address = parseAddress(http, '--http')
  const status = await askJson(address, '/status')
  if (asJson) write(JSON.stringify(status) + '\n')
  else write(describe(status))
  return status.ready === true ? 0 : 1
}

const style: TableStyle = { format: 'table', terminalWidth: 200, color: false }
const numberType = 20
const textType = 25

function describe(status: Record<string, any>): string {
  const { clients, transactions, engine, log, node } = status
  const lines: [string, string][] = [
    ['state', status.ready ? 'ready' : `not ready: ${status.reason}`],
    ['data', String(status.data ?? '')],
    ['up', `${status.uptimeSeconds} s`],
  ]
  if (node) {
    lines.push(['node', `${node.id}, ${node.state}${node.locality && `, ${node.locality}`}`])
    lines.push(['cluster', node.cluster])
  }
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
  if (log) lines.push(['log', `${log.segments} segments, ${formatBytes(log.bytes)}, ${log.groups} groups`])
  const own = lines.map(([name, text]) => `${name.padEnd(14)}${text}\n`).join('')
  return node ? `${own}\n${describeMembers(status.members)}\n${describePartitions(status.partitions)}` : own
}

export function describeMembers(members: readonly Record<string, any>[]): string {
  return table(
    ['node', 'state', 'locality', 'peers at', 'PostgreSQL at', 'round trip ms', 'replicas', 'leads'],
    [numberType, textType, textType, textType, textType, numberType, numberType, numberType],
    members.map((m) => [
      m.node,
      m.state,
      m.locality,
      m.peer,
      m.pg,
      m.roundTripMs?.toFixed(2) ?? '',
      m.replicas,
      m.leaders,
    ]),
  )
}

export function describePartitions(partitions: readonly Record<string, any>[]): string {
  return table(
    ['partition', 'from', 'to', 'leader', 'replicas on', 'size'],
    [numberType, textType, textType, numberType, textType, textType],
    partitions.map((p) => [
      p.id,
      p.start,
      p.end ?? 'the end',
      p.leader === 0 ? 'none' : p.leader,
      p.replicas.join(', '),
      formatBytes(p.bytes),
    ]),
  )
}

function table(names: readonly string[], types: readonly number[], rows: readonly (readonly unknown[])[]): string {
  return formatTable(
    names.map((name, i) => ({ name, dataTypeID: types[i] })),
    rows.map((row) => row.map(String)),
    style,
  )
}
