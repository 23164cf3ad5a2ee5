/**
 * The certificates of the peer port: mutual TLS, both sides under the cluster's own authority. Host names are not
 * compared: the certificate names a node, and the handshake says which node is expected.
 *
 * Not here: reading certificates (security/node-certificate.ts), making them (lattice cert).
 */
import { DbError } from '../../base/index.ts'
import type { TlsClientOptions, TlsServerOptions } from '../../io/index.ts'
import { isLoopback } from '../pg/pg-server.ts'

/** PEM texts. */
export interface PeerCertificates {
  readonly certificate: string
  readonly key: string
  /** The cluster's authority. */
  readonly authority: string
}

export interface PeerTls {
  readonly client: TlsClientOptions
  readonly server: TlsServerOptions
}

export function peerTls(certificates: PeerCertificates): PeerTls {
  const { certificate, key, authority } = certificates
  return {
    client: { role: 'client', serverName: 'node', authority, verify: true, verifyName: false, certificate, key },
    server: { role: 'server', certificate, key, clientAuthority: authority, requireClient: true },
  }
}

/** Raises config_file_error for an address beyond this host without certificates, unless `insecure`. */
export function checkPeerExposure(host: string, protectedByTls: boolean, insecure: boolean): void {
  if (protectedByTls || insecure || (host !== '' && isLoopback(host))) return
  throw new DbError('config_file_error', `refusing to talk to other nodes on ${host} without TLS`, {
    detail: 'An address other than loopback is reachable by others, who could read and change everything.',
    hint: 'Give every node a certificate (lattice cert node makes one), or say --insecure on a network that you trust.',
  })
}
