export type { PeerCertificates } from './credentials.ts'
export { Refusal, type RefusalReason } from './handshake.ts'
export {
  askSeed,
  type JoinHandler,
  type JoinOptions,
  type JoinReply,
  type JoinRequest,
  joinCluster,
  type SeedAddress,
} from './join.ts'
export { PeerServer, type PeerServerOptions, type PeerStats, PeerTransport } from './peer-server.ts'
