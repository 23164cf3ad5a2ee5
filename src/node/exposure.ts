/**
 * Who may listen where. On this host nothing is demanded; any other address demands TLS, which brings SCRAM with it,
 * unless the operator says `insecure`.
 *
 * Not here: what the doors ask of each client (wire/pg/pg-server.ts).
 */
import { DbError } from '../base/index.ts'
import { isLoopback } from '../wire/index.ts'
import { formatAddress } from './address.ts'
import type { NodeConfig } from './config.ts'

/** Raises config_file_error for an address that would be open to the network without protection. */
export function checkExposure(config: NodeConfig): void {
  if (config.insecure) return
  if (!isLoopback(config.pg.host) && config.tls === undefined) {
    throw new DbError('config_file_error', `refusing to listen on ${formatAddress(config.pg)} without TLS`, {
      detail: 'An address other than loopback is reachable by others, who could read and change everything.',
      hint: 'Give a certificate (lattice cert makes one) and set passwords, or say --insecure on a network that you trust.',
    })
  }
  if (!isLoopback(config.http.host)) {
    throw new DbError('config_file_error', `refusing to listen on ${formatAddress(config.http)} without TLS`, {
      detail: 'The HTTP port serves health and metrics in clear text.',
      hint: 'Listen on loopback behind a proxy, or say --insecure on a network that you trust.',
    })
  }
}
