/**
 * `lattice cert`: an authority and certificates for nodes and clients, as files.
 *
 *   DIR/ca.crt  ca.key        lattice cert authority
 *   DIR/NAME.crt  NAME.key    lattice cert node NAME --host …      lattice cert client NAME
 *   DIR/node-3.crt  .key      lattice cert node 3 --host …         (or --id 3)
 *
 * Nodes accept each other's certificates under the names "node", for any node, and "node-<id>"; other names serve
 * clients' connections only. A file that is there is never overwritten. Keys are readable by their owner only.
 *
 * Not here: what a certificate holds (security/certificates.ts).
 */
import { join } from 'node:path'
import { DbError } from '../base/index.ts'
import { readText, writeText } from '../io/index.ts'
import { nodeIo } from '../io/node/index.ts'
import { type Credentials, issueAuthority, issueCertificate, nodeCertificateName } from '../security/index.ts'

export interface CertOptions {
  readonly dir: string
  readonly days: number
  readonly host?: readonly string[]
  /** Of the node that the certificate is for, in place of a name. */
  readonly id?: number
}

/** What the certificate of a node is called: its id, given as one or as the name, makes `node-<id>`. */
function nameOf(kind: 'authority' | 'node' | 'client', name: string | undefined, id: number | undefined): string {
  if (kind === 'authority') return name ?? 'LatticeDB authority'
  const number = id ?? (kind === 'node' && name !== undefined && /^\d+$/.test(name) ? Number(name) : undefined)
  if (number === undefined && name !== undefined) return name
  if (kind === 'client' || (number === undefined && name === undefined)) {
    throw new DbError('invalid_parameter_value', `a ${kind} needs a name`)
  }
  const expected = nodeCertificateName(number)
  if (!Number.isInteger(number) || number! < 1 || number! > 0xffff_ffff) {
    throw new DbError('invalid_parameter_value', 'the id of a node is a whole number from 1')
  }
  if (name !== undefined && name !== expected && name !== String(number)) {
    throw new DbError('invalid_parameter_value', `node ${number} is called "${expected}", not "${name}"`)
  }
  return expected
}

/** Answers the paths written. Raises io_error when a file is there, undefined_file without an authority. */
export async function runCert(
  kind: 'authority' | 'node' | 'client',
  given: string | undefined,
  options: CertOptions,
): Promise<string[]> {
  const name = nameOf(kind, given, options.id)
  const io = nodeIo({ logLevel: 'silent' })
  // Before anything is created: keys must never be readable by others, not even for a moment.
  process.umask(0o077)
  await io.disk.makeDirectory(options.dir)
  if (!Number.isInteger(options.days) || options.days < 1) {
    throw new DbError('invalid_parameter_value', '--days must be a whole number above 0')
  }
  const save = async (base: string, { certificate, key }: Credentials) => {
    const paths = [join(options.dir, `${base}.crt`), join(options.dir, `${base}.key`)]
    const taken = (await io.disk.list(options.dir)).find((file) => file === `${base}.crt` || file === `${base}.key`)
    if (taken !== undefined) throw new DbError('duplicate_object', `${join(options.dir, taken)} is there already`)
    await writeText(io, paths[1], key, true)
    await writeText(io, paths[0], certificate, true)
    await io.disk.syncDirectory(options.dir)
    return paths
  }
  if (kind === 'authority') return save('ca', issueAuthority(name, options.days, io))
  const authority = {
    certificate: await readText(io, join(options.dir, 'ca.crt')),
    key: await readText(io, join(options.dir, 'ca.key')),
  }
  const hosts = kind === 'node' ? (options.host ?? ['localhost', '127.0.0.1', '::1']) : []
  return save(name, issueCertificate({ name, kind, hosts, days: options.days }, authority, io))
}
