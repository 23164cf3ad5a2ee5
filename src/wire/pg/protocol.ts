/**
 * The numbers of the PostgreSQL frontend/backend protocol, version 3 (PostgreSQL manual, "Frontend/Backend Protocol").
 *
 *   ┌──────┬────────────┬───────────────┐     the first message of a connection has no type byte
 *   │ type │ length     │ body          │     length counts itself and the body, not the type
 *   │ u8   │ i32 BE     │ length - 4    │
 *   └──────┴────────────┴───────────────┘
 *
 * Not here: how messages are taken from a stream (frames.ts) or what is done about them (conversation.ts).
 */

/** Codes that stand in a first message where the protocol version would. */
/** What clients call the protocol within TLS (ALPN). */
export const applicationProtocol = 'postgresql'
/** The address of a peer on a Unix domain socket. */
export const localAddress = '[local]'

export const requestCode = {
  cancel: 80877102,
  tls: 80877103,
  gssEncryption: 80877104,
} as const

export function protocolVersion(major: number, minor: number): number {
  return major * 65536 + minor
}

/** The newest minor version of protocol 3 spoken here. */
export const newestMinor = 2

/** Message types that a client sends. */
export const frontend = {
  bind: 0x42, // B
  close: 0x43, // C
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyFail: 0x66, // f
  describe: 0x44, // D
  execute: 0x45, // E
  flush: 0x48, // H
  functionCall: 0x46, // F
  parse: 0x50, // P
  password: 0x70, // p: also SASL responses
  query: 0x51, // Q
  sync: 0x53, // S
  terminate: 0x58, // X
} as const

/** Message types that a server sends. */
export const backend = {
  authentication: 0x52, // R
  backendKeyData: 0x4b, // K
  bindComplete: 0x32, // 2
  closeComplete: 0x33, // 3
  commandComplete: 0x43, // C
  copyBoth: 0x57, // W
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyIn: 0x47, // G
  copyOut: 0x48, // H
  dataRow: 0x44, // D
  emptyQuery: 0x49, // I
  error: 0x45, // E
  negotiateVersion: 0x76, // v
  noData: 0x6e, // n
  notice: 0x4e, // N
  notification: 0x41, // A
  parameterDescription: 0x74, // t
  parameterStatus: 0x53, // S
  parseComplete: 0x31, // 1
  portalSuspended: 0x73, // s
  readyForQuery: 0x5a, // Z
  rowDescription: 0x54, // T
} as const

/** The kinds of authentication message. */
export const authentication = { ok: 0, cleartext: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 } as const

/** Format codes of parameters and results. */
export const textFormat = 0
export const binaryFormat = 1

/** Longest message before authentication, and longest of the small ones after it; bytes. */
export const startupMessageBytes = 10_000

/** Default for the longest message after authentication; bytes. */
export const defaultMessageBytes = 64 * 1024 * 1024
