/**
 * A cluster of etcd nodes and a small client of it: gRPC by @grpc/grpc-js, the messages of the two calls that are
 * measured by hand (etcd 3's rpc.proto).
 *
 *   PutRequest    1: key bytes, 2: value bytes       RangeRequest   1: key bytes      (linearizable by default)
 *
 * Not here: what is measured.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { freePort } from '../test/cluster/process-cluster.ts'

export interface EtcdCluster {
  readonly version: string
  readonly addresses: readonly string[]
  readonly pids: readonly number[]
  stop(): Promise<void>
}

/** Undefined when etcd is not installed. */
export async function startEtcd(directory: string, count: number): Promise<EtcdCluster | undefined> {
  const version = spawnSync('etcd', ['--version'], { encoding: 'utf8' })
  if (version.status !== 0) return undefined
  const places = await Promise.all(
    Array.from({ length: count }, async (_, i) => ({
      name: `n${i + 1}`,
      client: await freePort(),
      peer: await freePort(),
    })),
  )
  const initial = places.map(({ name, peer }) => `${name}=http://127.0.0.1:${peer}`).join(',')
  const children = places.map(({ name, client, peer }): ChildProcess => {
    const urls = ['--listen-client-urls', '--advertise-client-urls'].flatMap((o) => [o, `http://127.0.0.1:${client}`])
    const peers = ['--listen-peer-urls', '--initial-advertise-peer-urls'].flatMap((o) => [
      o,
      `http://127.0.0.1:${peer}`,
    ])
    const words = ['--name', name, '--data-dir', join(directory, name), ...urls, ...peers, '--initial-cluster', initial]
    return spawn('etcd', [...words, '--log-level', 'error'], { stdio: 'ignore' })
  })
  return {
    version: /etcd Version: (\S+)/.exec(version.stdout)?.[1] ?? 'unknown',
    addresses: places.map(({ client }) => `127.0.0.1:${client}`),
    pids: children.map((child) => child.pid!),
    async stop() {
      for (const child of children) {
        if (child.exitCode !== null) continue
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
    },
  }
}

function field(number: number, bytes: Buffer): Buffer {
  const length: number[] = []
  for (let n = bytes.length; ; n >>>= 7) {
    length.push(n > 127 ? (n & 127) | 128 : n)
    if (n <= 127) break
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes])
}

export interface EtcdClient {
  put(key: string, value: string): Promise<void>
  /** The answer's bytes. */
  range(key: string): Promise<Buffer>
  close(): void
}

/** A connection of its own for each client, as the SQL side has. Raises when @grpc/grpc-js is not installed. */
export async function etcdClient(address: string): Promise<EtcdClient> {
  const name = '@grpc/grpc-js'
  const grpc = await import(name)
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 })
  const same = (bytes: Buffer) => bytes
  const call = (method: string, body: Buffer) =>
    new Promise<Buffer>((done, fail) =>
      client.makeUnaryRequest(`/etcdserverpb.KV/${method}`, same, same, body, (error: Error | null, answer: Buffer) =>
        error ? fail(error) : done(answer),
      ),
    )
  return {
    async put(key, value) {
      await call('Put', Buffer.concat([field(1, Buffer.from(key)), field(2, Buffer.from(value))]))
    },
    range: (key) => call('Range', field(1, Buffer.from(key))),
    close: () => client.close(),
  }
}
