/** Peers for tests: on simulated hosts a, b, c … or on this host's loopback. */
import { strict as assert } from 'node:assert'
import type { Io } from '../../io/index.ts'
import { SimWorld } from '../../testing/index.ts'
import { PeerServer, type PeerServerOptions, type PeerTransport } from './peer-server.ts'

export const cluster = 'c'.repeat(32)
export const port = 7400

export function hostOf(node: number): string {
  return `h${node}`
}

export function tokenOf(node: number): string {
  return node.toString(16).padStart(32, '0')
}

type Options = Partial<Omit<PeerServerOptions, 'identity'>> & {
  identity?: Partial<PeerServerOptions['identity']>
}

/** Starts node `node` on the ports given; listens on its simulated host unless told otherwise. */
export function startPeer(io: Io, node: number, options: Options = {}): Promise<PeerTransport> {
  const identity = { clusterId: cluster, nodeId: node, token: tokenOf(node), incarnation: 1, ...options.identity }
  return PeerServer.start({ io, host: hostOf(node), port, insecure: true, ...options, identity })
}

export class SimPeers {
  readonly world: SimWorld

  constructor(seed: number | string) {
    this.world = new SimWorld(seed)
  }

  /** A node on its own host and disk. */
  io(node: number, host = hostOf(node)) {
    return this.world.node(this.world.disk(`disk ${node}`), host)
  }

  start(node: number, options: Options = {}): Promise<PeerTransport> {
    return startPeer(options.io ?? this.io(node), node, options)
  }

  /** Starts nodes 1 … count, which know each other's addresses. */
  async startAll(count: number): Promise<PeerTransport[]> {
    const peers: PeerTransport[] = []
    for (let node = 1; node <= count; node++) peers.push(await this.start(node))
    for (const a of peers) for (const b of peers) a.setAddress(b.self, hostOf(b.self), port)
    return peers
  }

  /** Lets simulated time pass. */
  pass(ms: number): Promise<void> {
    return new Promise((done) => this.world.schedule(ms * 1000, done))
  }

  /** Lets time pass until something holds. */
  async until(holds: () => boolean, limitMs = 60_000): Promise<void> {
    for (let ms = 0; !holds(); ms += 10) {
      assert.ok(ms < limitMs, `seed ${this.world.seed}: waited ${limitMs} ms in vain`)
      await this.pass(10)
    }
  }

  async run(main: () => Promise<void>): Promise<void> {
    await this.world.run(main)
  }
}

export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text)
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}
