/**
 * `lattice cert`: an authority and certificates for nodes and clients, as files.
 *
 *   DIR/ca.crt  ca.key        lattice cert authority
 *   DIR/NAME.crt  NAME.key    lattice cert node NAME --host …      lattice cert client NAME
 *
 * A file that is there is never overwritten. Keys are readable by their owner only.
 *
 * Not here: what a certificate holds (security/certificates.ts).
 */
import { join } from 'node:path'
import { DbError } from '../base/index.ts'
import { readText, writeText } from '../io/index.ts'
import { nodeIo } from '../io/node/index.ts'
import { type Credentials, issueAuthority, issueCertificate } from '../security/index.ts'

export interface CertOptions {
  readonly dir: string
  readonly days: number
  readonly host?: readonly string[]
}

/** Answers the paths written. Raises io_error when a file is there, undefined_file without an authority. */
export async function runCert(
  kind: 'authority' | 'node' | 'client',
  name: string,
  options: CertOptions,
): Promise<string[]> {
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
