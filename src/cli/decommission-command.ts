/**
 * `lattice decommission`: takes a node out of the cluster for good and waits until it is.
 *
 * Not here: whether it can go, and how (node/decommission.ts).
 */
import { DbError } from '../base/index.ts'
import { nodeIo } from '../io/node/index.ts'
import { parseAddress } from '../node/index.ts'
import { askJson } from './http-client.ts'

const pollMs = 250

/** Raises what the node asked refuses with; connection_failure when it goes away meanwhile. */
export async function runDecommission(node: number, http: string, write: (text: string) => void): Promise<void> {
  if (!Number.isSafeInteger(node) || node < 1)
    throw new DbError('invalid_parameter_value', 'the id of a node is a whole number from 1')
  const address = parseAddress(http, '--http')
  const io = nodeIo({ logLevel: 'silent' })
  await askJson(address, '/decommission', { node })
  let told = ''
  for (;;) {
    const { members = [] } = await askJson(address, '/status')
    const member = members.find((m: { node: number }) => m.node === node)
    if (member === undefined || member.state === 'left') break
    if (member.state === 'alive')
      throw new DbError('object_not_in_prerequisite_state', `node ${node} was started again meanwhile`)
    const now = `node ${node} has ${member.replicas} replicas left\n`
    if (now !== told) write(now)
    told = now
    await new Promise<void>((done) => io.tasks.after(pollMs, done))
  }
  write(`node ${node} is no longer part of the cluster; it can be stopped and its directory removed\n`)
  await io.stop()
}
