/**
 * The shell's `\demo` command: kills, starts, pauses and resumes nodes of the demo, and shows how they are.
 *
 * Not here: the processes (demo-cluster.ts).
 */
import { DbError } from '../base/index.ts'
import { formatAddress } from '../node/index.ts'
import type { DemoCluster } from './demo-cluster.ts'
import { askJson } from './http-client.ts'
import type { ExtraCommand } from './shell/runner.ts'
import { describeMembers, describePartitions } from './status-command.ts'

export function demoCommand(cluster: DemoCluster, write: (text: string) => void): ExtraCommand {
  return {
    argument: 'status | kill N | start N | pause N | resume N',
    says: 'play with the nodes of the demo',
    async run(argument) {
      const [act = 'status', which] = argument.split(/\s+/).filter((word) => word !== '')
      if (act === 'status') return await showStatus(cluster, write)
      const number = Number(which)
      if (!['kill', 'start', 'pause', 'resume'].includes(act) || !Number.isInteger(number)) {
        throw new DbError('syntax_error', 'say \\demo status, or kill, start, pause, resume and the number of a node')
      }
      if (act === 'kill') await cluster.kill(number)
      else if (act === 'pause') cluster.pause(number)
      else if (act === 'resume') cluster.resume(number)
      else {
        cluster.launch(number)
        await cluster.ready(number)
      }
      write(`Node ${number} is ${cluster.node(number).state}.\n`)
    },
  }
}

async function showStatus(cluster: DemoCluster, write: (text: string) => void): Promise<void> {
  for (const { number, state, pg, http, child } of cluster.nodes) {
    const process = child === undefined ? '' : `, process ${child.pid}`
    write(`Node ${number} is ${state}${process}: PostgreSQL at ${formatAddress(pg)}, HTTP at ${formatAddress(http)}\n`)
  }
  for (const { state, http, number } of cluster.nodes) {
    if (state !== 'running') continue
    try {
      const status = await askJson(http, '/status')
      write(`\nAs node ${number} sees it:\n`)
      if (status.reason !== undefined) write(`It does not serve: ${status.reason}.\n`)
      if (status.members !== undefined)
        write(`${describeMembers(status.members)}\n${describePartitions(status.partitions)}`)
      return
    } catch (error) {
      if (!(error instanceof DbError)) throw error
    }
  }
  write('No node is running.\n')
}
