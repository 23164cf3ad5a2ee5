/**
 * A node's configuration: a JSON file, overruled by flags, checked as a whole before anything is touched.
 *
 *   { "data": "./data", "pg": "127.0.0.1:7432", "http": "127.0.0.1:7480",
 *     "tls": { "certificate": "node.crt", "key": "node.key", "authority": "ca.crt" },
 *     "limits": { "connections": 500, "messageBytes": "64MiB" }, "memory": { "cache": "256MiB" }, "log": "info",
 *     "peer": "10.0.0.1:7400", "join": ["10.0.0.2:7400"], "locality": "region=eu,zone=a", "replicas": 3,
 *     "peerTls": { "certificate": "node-1.crt", "key": "node-1.key", "authority": "ca.crt" },
 *     "tokens": [{ "name": "app", "sha256": "…", "scopes": ["read", "write"] }], "cors": ["https://app.example"] }
 *
 * Paths in the file are relative to the file's directory. Not here: what the settings do.
 */
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { DbError } from '../base/index.ts'
import { formatLocality, type Locality, parseLocality } from '../cluster/index.ts'
import { type Io, readText } from '../io/index.ts'
import { type ListenAddress, parseAddress } from './address.ts'

const units: Record<string, number> = { b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3, kb: 1000, mb: 1e6, gb: 1e9 }

/** Bytes as a number, or with a unit: "64MiB". */
const bytes = z.union([z.number().int().positive(), z.string()]).transform((given, context) => {
  if (typeof given === 'number') return given
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?i?b)$/i.exec(given.trim())
  if (match !== null) return Math.round(Number(match[1]) * units[match[2].toLowerCase()])
  context.addIssue({ code: 'custom', message: `not a size: "${given}"; write for example "64MiB"` })
  return z.NEVER
})

const pem = z.string().min(1)

const schema = z.strictObject({
  data: z.string().min(1),
  pg: z.string().default('127.0.0.1:7432'),
  http: z.string().default('127.0.0.1:7480'),
  /** A directory: PostgreSQL clients on this host find a Unix domain socket in it. */
  socket: z.string().min(1).optional(),
  log: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  /** Waive TLS and passwords for peers that are not on this host. */
  insecure: z.boolean().default(false),
  /** Ask for passwords on this host too. */
  loopbackPasswords: z.boolean().default(false),
  /** How long running statements may go on after SIGTERM. */
  graceSeconds: z.number().min(0).max(3600).default(10),
  tls: z.strictObject({ certificate: z.string(), key: z.string(), authority: z.string().optional() }).optional(),
  /** Where other nodes reach this one. With it, or with `join`, the node belongs to a cluster. */
  peer: z.string().optional(),
  /** Where they reach it, when that is not where it listens. */
  advertise: z.string().optional(),
  /** Members to join through, as a list or parted by commas. */
  join: z.union([z.string(), z.array(z.string())]).optional(),
  /** Where the node is, the widest place first: "region=eu,zone=a,host=h1", or an object. */
  locality: z.union([z.string(), z.record(z.string(), z.string())]).default(''),
  /** The node id to ask for when joining. */
  nodeId: z.number().int().min(1).max(0xffff_ffff).optional(),
  /** How many copies of everything the cluster keeps. */
  replicas: z.number().int().min(1).max(9).default(3),
  /** Partitions that grow above this are cut in two. */
  splitBytes: bytes.default(64 * 1024 * 1024),
  /** Who may use the event databases over HTTP; everybody when there are none. `printf %s TOKEN | sha256sum` hashes one. */
  tokens: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits in lower case'),
        scopes: z.array(z.enum(['read', 'write'])).min(1),
      }),
    )
    .default([]),
  /** Origins of web pages that may use the event databases: "https://app.example", or "*" for all. */
  cors: z.array(z.string().min(1)).default([]),
  peerTls: z.strictObject({ certificate: pem, key: pem, authority: pem }).optional(),
  limits: z
    .strictObject({
      connections: z.number().int().min(1).max(100_000).default(500),
      messageBytes: bytes.default(64 * 1024 * 1024),
      authenticationSeconds: z.number().min(1).max(600).default(60),
    })
    .prefault({}),
  memory: z.strictObject({ cache: bytes.default(256 * 1024 * 1024) }).prefault({}),
})

export type ConfigInput = z.input<typeof schema>

type Read = 'pg' | 'http' | 'peer' | 'advertise' | 'join' | 'locality'

export interface NodeConfig extends Omit<z.output<typeof schema>, Read> {
  readonly pg: ListenAddress
  readonly http: ListenAddress
  readonly peer: ListenAddress | undefined
  readonly advertise: ListenAddress | undefined
  readonly join: readonly ListenAddress[]
  readonly locality: Locality
}

/** Checks settings and fills in defaults. Raises config_file_error naming every setting that is wrong. */
export function checkConfig(input: unknown, source: string): NodeConfig {
  const checked = schema.safeParse(input)
  if (!checked.success) {
    const problems = checked.error.issues.map((issue) => {
      const path = issue.path.length > 0 ? issue.path.join('.') + ': ' : ''
      return path + issue.message.replace(/^Invalid input: expected (\w+), received undefined$/, 'is missing ($1)')
    })
    const noData = checked.error.issues.some((issue) => issue.path[0] === 'data')
    throw new DbError('config_file_error', `invalid configuration in ${source}`, {
      detail: problems.join('\n'),
      hint: noData ? 'Say where the data is: --data DIR, or "data" in the configuration file.' : undefined,
    })
  }
  const { pg, http, socket, peer, advertise, join, locality, ...rest } = checked.data
  return {
    ...rest,
    pg: parseAddress(pg, '--pg'),
    http: parseAddress(http, '--http'),
    socket: socket === undefined ? undefined : resolve(socket),
    peer:
      peer === undefined
        ? undefined
        : advertise === undefined
          ? reachable(peer, '--peer')
          : parseAddress(peer, '--peer'),
    advertise: advertise === undefined ? undefined : reachable(advertise, '--advertise'),
    join: seeds(join).map((seed) => parseAddress(seed, '--join')),
    locality: parseLocality(typeof locality === 'string' ? locality : formatLocality(locality)),
  }
}

/** Others are told this address: it has to be one that they can dial. */
function reachable(text: string, option: string): ListenAddress {
  const address = parseAddress(text, option)
  if (!['0.0.0.0', '::'].includes(address.host)) return address
  throw new DbError('invalid_parameter_value', `invalid address for ${option}: "${text}"`, {
    hint: 'Name the address at which the other nodes reach this one, with --advertise if it listens elsewhere.',
  })
}

function seeds(given: string | readonly string[] | undefined): string[] {
  const list = typeof given === 'string' ? given.split(',') : (given ?? [])
  return list.map((seed) => seed.trim()).filter((seed) => seed !== '')
}

/** Settings of a file, with its paths made absolute. Raises undefined_file, config_file_error. */
export async function readConfigFile(io: Io, path: string): Promise<Record<string, unknown>> {
  const text = await readText(io, path)
  let settings: unknown
  try {
    settings = JSON.parse(text)
  } catch (error) {
    throw new DbError('config_file_error', `${path} is not JSON: ${(error as Error).message}`)
  }
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) {
    throw new DbError('config_file_error', `${path} must hold an object`)
  }
  const base = dirname(resolve(path))
  const out: Record<string, unknown> = { ...settings }
  for (const name of ['data', 'socket']) if (typeof out[name] === 'string') out[name] = resolve(base, out[name])
  for (const name of ['tls', 'peerTls']) {
    const files = out[name]
    if (typeof files !== 'object' || files === null) continue
    const absolute = Object.entries(files).map(([use, file]) => [
      use,
      typeof file === 'string' ? resolve(base, file) : file,
    ])
    out[name] = Object.fromEntries(absolute)
  }
  return out
}
