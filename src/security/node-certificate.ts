/**
 * Whom a node's certificate names: `node` may be any node of the cluster, `node-3` only node 3. A certificate for
 * clients is none for nodes, whatever its name: it lacks the extended key usage serverAuth, which `lattice cert client`
 * never gives, so that an SQL user called "node" does not become one.
 *
 * Not here: whether the authority is ours (TLS checks that before), issuing (certificates.ts).
 */
import { X509Certificate } from 'node:crypto'
import { DbError } from '../base/index.ts'

export interface NodeCertificate {
  /** The common name: `node` or `node-<id>`. */
  readonly name: string
  /** The only node it is for; undefined when it serves every node. */
  readonly nodeId: number | undefined
}

const serverAuth = '1.3.6.1.5.5.7.3.1'

/** The name for a node's certificate, with or without its id. */
export function nodeCertificateName(nodeId?: number): string {
  return nodeId === undefined ? 'node' : `node-${nodeId}`
}

/** Raises invalid_authorization_specification unless this is a node's certificate. `der` absent: none was shown. */
export function readNodeCertificate(der: Uint8Array | undefined): NodeCertificate {
  if (der === undefined) throw refused('no certificate was shown')
  const certificate = new X509Certificate(der)
  const name: unknown = certificate.toLegacyObject().subject?.CN
  if (typeof name !== 'string') throw refused('the certificate has no single common name')
  if (!(certificate.keyUsage ?? []).includes(serverAuth)) throw refused(`the certificate of "${name}" is for clients`)
  const match = /^node(?:-([1-9][0-9]{0,9}))?$/.exec(name)
  if (match === null) throw refused(`the certificate is for "${name}"`)
  return { name, nodeId: match[1] === undefined ? undefined : Number(match[1]) }
}

/** Raises invalid_authorization_specification when the certificate is another node's. */
export function checkNodeCertificate(certificate: NodeCertificate, nodeId: number): void {
  if (certificate.nodeId !== undefined && certificate.nodeId !== nodeId) {
    throw refused(`the certificate is for "${certificate.name}", not for node ${nodeId}`)
  }
}

function refused(why: string): DbError {
  return new DbError('invalid_authorization_specification', `not a node of this cluster: ${why}`, {
    hint: 'Nodes show a certificate named "node" or "node-<id>" of the cluster\'s authority: lattice cert node makes one.',
  })
}
