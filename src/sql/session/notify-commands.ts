/** LISTEN, UNLISTEN, NOTIFY: messages leave with the transaction that sends them. */
import { DbError } from '../../base/index.ts'
import type { Session } from './session.ts'
import type { CommandTable } from './utility.ts'
import type { Command } from './utility-portal.ts'

const maxPayload = 7999

export const notifyCommands: CommandTable = {
  ListenStmt: { transactional: 'inside', writes: false, run: listen },
  UnlistenStmt: { transactional: 'inside', writes: false, run: unlisten },
  NotifyStmt: { transactional: 'inside', writes: false, run: notify },
}

function* listen(session: Session, node: any): Command {
  session.pendingListens.push({ channel: node.conditionname, listen: true })
  return { tag: 'LISTEN' }
}

function* unlisten(session: Session, node: any): Command {
  const channels = node.conditionname === undefined ? [...session.channels] : [node.conditionname as string]
  for (const channel of channels) session.pendingListens.push({ channel, listen: false })
  return { tag: 'UNLISTEN' }
}

function* notify(session: Session, node: any): Command {
  queueNotification(session, node.conditionname, node.payload ?? '')
  return { tag: 'NOTIFY' }
}

/** Raises invalid_parameter_value for a payload or channel that is too long. Equal messages of a transaction are sent once. */
export function queueNotification(session: Session, channel: string, payload: string): void {
  if (channel === '') throw new DbError('invalid_parameter_value', 'channel name cannot be empty')
  if (Buffer.byteLength(channel) > 63) throw new DbError('invalid_parameter_value', 'channel name too long')
  if (Buffer.byteLength(payload) > maxPayload) throw new DbError('invalid_parameter_value', 'payload string too long')
  if (session.pendingNotifications.some((n) => n.channel === channel && n.payload === payload)) return
  session.pendingNotifications.push({ channel, payload })
}
