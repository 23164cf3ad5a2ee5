/**
 * The outside world as interfaces. A node is given one `Io`; nothing else reaches time, randomness, disk, network,
 * workers or the process. The real ones are in `io/node/`, the simulated ones in `testing/`; both obey these contracts.
 *
 * Every port belongs to one incarnation of a node: after `Io.dead` is true a pending continuation must not act.
 */
export interface Clock {
  /** Wall clock, microseconds since the Unix epoch, a safe integer. May jump either way. */
  wallMicros(): number
  /** Monotonic clock, microseconds from an arbitrary start. Never goes back. */
  monotonicMicros(): number
}

export interface Random {
  /** A uniformly distributed integer in [0, bound), bound ≤ 2^32. */
  below(bound: number): number
  /** `length` random bytes, fit for keys and salts in the real implementation. */
  bytes(length: number): Uint8Array
}

/**
 * A directory tree. Paths are absolute. Errors are `DbError`s: disk_full (ENOSPC, EDQUOT), undefined_file (ENOENT),
 * insufficient_privilege (EACCES, EROFS), otherwise io_error.
 */
export interface Disk {
  open(path: string, options?: OpenOptions): Promise<File>
  /** Names (not paths) in a directory, sorted; empty when the directory is absent. */
  list(directory: string): Promise<string[]>
  makeDirectory(directory: string): Promise<void>
  /** Durable only after `syncDirectory` of the parent (both parents when they differ). */
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  syncDirectory(directory: string): Promise<void>
  /** Bytes free for us on the file system of `path`. */
  freeBytes(path: string): Promise<number>
  /** Holds the directory for this process until released; a second holder gets lock_file_exists. */
  lock(directory: string): Promise<DirectoryLock>
}

/** Without any: an existing file, for reading and writing. */
export interface OpenOptions {
  /** Makes the file when it is absent. */
  readonly create?: boolean
  /** Makes the file, and fails when it is there. */
  readonly exclusive?: boolean
  readonly readOnly?: boolean
  /** Each write syncs what it wrote, as `sync` would, before it resolves: one call of the system where that has one (O_DSYNC). */
  readonly durable?: boolean
}

export interface DirectoryLock {
  release(): Promise<void>
}

export interface File {
  readonly path: string
  size(): Promise<number>
  /** Reads up to `length` bytes; fewer only at the end of the file. Returns the count. */
  read(into: Uint8Array, intoOffset: number, length: number, position: number): Promise<number>
  /** Writes all of the range or throws. Not durable before `sync`, unless the file was opened so; its failure is final then, too. */
  write(from: Uint8Array, fromOffset: number, length: number, position: number): Promise<void>
  /** fdatasync: data and the size needed to read it. A failure is final: the node stops, never retries. */
  sync(): Promise<void>
  truncate(length: number): Promise<void>
  close(): Promise<void>
}

/** Timers and CPU-bound jobs. */
export interface Tasks {
  /** Calls back after at least `delayMs`. */
  after(delayMs: number, callback: () => void): Timer
  /** Resolves when other ready work of the loop has had its turn. */
  yield(): Promise<void>
  /** Runs a named pure job off the loop: a worker in production, after a seeded delay in simulation. */
  cpu<I, O>(job: CpuJob<I, O>, input: I, transfer?: readonly ArrayBufferLike[]): Promise<O>
}

export interface Timer {
  cancel(): void
}

/** A pure function that a worker can load: the module's URL and the name of its exported function. */
export interface CpuJob<I, O> {
  readonly module: string
  readonly name: string
  /** Never called in production; carries the types and serves the simulation. */
  readonly run: (input: I) => O
}

export interface Network {
  /**
   * Listens; port 0 picks a free one. A host that begins with '/' is the path of a Unix domain socket, for its owner only:
   * one that a dead process left is replaced, lock_file_exists when somebody listens there.
   */
  listen(host: string, port: number, accept: (socket: Socket) => void): Promise<Listener>
  /** The host as for `listen`. */
  connect(host: string, port: number): Promise<Socket>
  /**
   * TLS over an open socket whose handlers are given up: use the returned one. Raises connection_failure when the
   * handshake fails. Absent where TLS cannot be had (simulation). `begun`: what the peer has already sent of it.
   */
  secure?(socket: Socket, options: TlsServerOptions | TlsClientOptions, begun?: Uint8Array): Promise<SecureSocket>
}

/** Certificates and keys are PEM texts. */
export interface TlsServerOptions {
  readonly role: 'server'
  /** The certificate, followed by intermediate ones. */
  readonly certificate: string
  readonly key: string
  /** With it, clients may show a certificate of this authority, and with `requireClient` must. */
  readonly clientAuthority?: string
  readonly requireClient?: boolean
  /** The application protocol (ALPN) to agree on with clients that name any. */
  readonly protocol?: string
}

export interface TlsClientOptions {
  readonly role: 'client'
  /** The name that the server's certificate must have; also sent in the handshake. */
  readonly serverName: string
  /** Authority to trust instead of the well-known ones. */
  readonly authority?: string
  /** false: encrypt without asking who is there. */
  readonly verify: boolean
  /** The name is not compared when false (sslmode=verify-ca). Default true. */
  readonly verifyName?: boolean
  readonly certificate?: string
  readonly key?: string
}

export interface SecureSocket extends Socket {
  /** The peer's certificate in DER, when it showed one. */
  readonly peerCertificate: Uint8Array | undefined
  /** The application protocol agreed on (ALPN), when the client named any. */
  readonly protocol: string | undefined
}

export interface Listener {
  /** 0 for a Unix domain socket. */
  readonly port: number
  close(): Promise<void>
}

/** A byte stream. Exactly one of the handlers `close` and, before it at most once, `error` ends it. */
export interface Socket {
  /** HOST:PORT, or '[local]' over a Unix domain socket. */
  readonly remoteAddress: string
  /** Returns false when the peer reads too slowly: stop producing until `onDrain`. The bytes are not copied. */
  write(bytes: Uint8Array): boolean
  onData(handler: (chunk: Uint8Array) => void): void
  onDrain(handler: () => void): void
  onClose(handler: (error: Error | undefined) => void): void
  pause(): void
  resume(): void
  /** Flushes what was written, then closes. */
  end(): void
  destroy(): void
}

export type LogFields = Record<string, unknown>

/** Structured log: an event name in kebab-case and fields; no prose assembled by callers. */
export interface Log {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
  child(fields: LogFields): Log
}

export interface Io {
  readonly clock: Clock
  readonly random: Random
  readonly disk: Disk
  readonly network: Network
  readonly tasks: Tasks
  readonly log: Log
  /** True once this incarnation has crashed or stopped. */
  readonly dead: boolean
  /** Ends the node after a failure that must not be survived (a failed fsync, a broken invariant). */
  fatal(reason: string, cause?: unknown): void
}
