/**
 * What is stored of a password: SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey (RFC 5802), as pg_authid.rolpassword.
 *
 * Not here: the exchange that proves a password (security/).
 */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import type { Random } from '../../io/index.ts'

const iterations = 4096

/** A password that is a verifier already stays as it is. */
export function makeVerifier(password: string, random: Random): string {
  if (/^SCRAM-SHA-256\$\d+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+$/.test(password)) return password
  const salt = random.bytes(16)
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, iterations, 32, 'sha256')
  const clientKey = createHmac('sha256', salted).update('Client Key').digest()
  const stored = createHash('sha256').update(clientKey).digest('base64')
  const server = createHmac('sha256', salted).update('Server Key').digest('base64')
  return `SCRAM-SHA-256$${iterations}:${Buffer.from(salt).toString('base64')}$${stored}:${server}`
}
