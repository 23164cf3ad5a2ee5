/**
 * Where to listen: HOST:PORT, [IPv6]:PORT, :PORT or PORT.
 *
 * Not here: listening.
 */
import { DbError } from '../base/index.ts'

export interface ListenAddress {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
}

/** Raises invalid_parameter_value. `option` names the option in the message. */
export function parseAddress(text: string, option: string, defaultHost = '127.0.0.1'): ListenAddress {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):)?(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[3])
  if (match === null || port > 65535) {
    throw new DbError('invalid_parameter_value', `invalid address for ${option}: "${text}"`, {
      hint: 'Write HOST:PORT, for example 127.0.0.1:7432 or [::1]:7432.',
    })
  }
  return { host: match[1] ?? (match[2] || defaultHost), port }
}

export function formatAddress(address: ListenAddress): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}
