/**
 * Who a node is, kept in its data directory as `NODE`: two lines of text.
 *
 *   {"format":1,"cluster":"…32 hex…","node":3,"token":"…32 hex…","incarnation":7,"ranges":[[16384,4294967296]]}
 *   crc32 5f1c0a2b            over the first line and its line feed
 *
 * The file is replaced as a whole: written beside, synced, renamed, the directory synced. The incarnation is raised and
 * durable before the node says anything to others, so that no two starts of a node are ever confused.
 *
 * Not here: the data below (storage/data-directory.ts), what the ranges are for (identifiers.ts).
 */
import { DbError } from '../base/index.ts'
import { type Io, readText } from '../io/index.ts'
import { checksum } from './checksum.ts'
import { type IdentifierRange, isRange } from './identifiers.ts'
import type { NodeId } from './transport.ts'

const format = 1
const fileName = 'NODE'

export interface NodeIdentity {
  /** 32 hex digits, drawn by the first node. */
  readonly clusterId: string
  readonly nodeId: NodeId
  /** 32 hex digits, drawn by the node: tells two directories with the same node id apart. */
  readonly token: string
  /** Which start of the node this is, from 1. */
  readonly incarnation: number
  /** Identifiers that the node owns and has not begun to hand out. */
  readonly ranges: readonly IdentifierRange[]
}

/** Draws 16 bytes as 32 hex digits: a cluster id or a node's token. */
export function drawToken(io: Pick<Io, 'random'>): string {
  return Buffer.from(io.random.bytes(16)).toString('hex')
}

export class IdentityFile {
  readonly #io: Io
  readonly #directory: string
  #identity: NodeIdentity
  #saving: Promise<void> = Promise.resolve()

  private constructor(io: Io, directory: string, identity: NodeIdentity) {
    this.#io = io
    this.#directory = directory
    this.#identity = identity
  }

  /** Makes a new node's file; its first incarnation is 1. The directory must exist and be locked, and have no such file. */
  static async create(io: Io, directory: string, identity: Omit<NodeIdentity, 'incarnation'>): Promise<IdentityFile> {
    if ((await io.disk.list(directory)).includes(fileName)) {
      throw new DbError('duplicate_object', `the directory ${directory} has the identity of a node already`)
    }
    const file = new IdentityFile(io, directory, { ...identity, incarnation: 1 })
    await file.#write(file.#identity)
    return file
  }

  /**
   * Reads the file and starts the next incarnation, durably. Undefined when the directory has none. Raises
   * data_corrupted for a file that cannot be read, object_not_in_prerequisite_state for another cluster's directory when
   * `clusterId` is given, incompatible_format for a format of another version.
   */
  static async open(io: Io, directory: string, clusterId?: string): Promise<IdentityFile | undefined> {
    const found = await readIdentity(io, directory)
    if (found === undefined) return undefined
    if (clusterId !== undefined && found.clusterId !== clusterId) {
      const message = `the directory ${directory} belongs to cluster ${found.clusterId}, not to ${clusterId}`
      throw new DbError('object_not_in_prerequisite_state', message, {
        hint: 'Join with an empty directory, or join the cluster that the directory belongs to.',
      })
    }
    const file = new IdentityFile(io, directory, found)
    await file.save({ incarnation: found.incarnation + 1 })
    return file
  }

  get identity(): NodeIdentity {
    return this.#identity
  }

  /** Changes what is kept; durable when it returns. Changes are written in the order of the calls. */
  save(change: Partial<Pick<NodeIdentity, 'incarnation' | 'ranges'>>): Promise<void> {
    const saved = this.#saving.then(async () => {
      const next = { ...this.#identity, ...change }
      await this.#write(next)
      this.#identity = next
    })
    this.#saving = saved.catch(() => {})
    return saved
  }

  async #write(identity: NodeIdentity): Promise<void> {
    const { disk } = this.#io
    const { clusterId: cluster, nodeId: node, token, incarnation } = identity
    const ranges = identity.ranges.map(({ first, end }) => [first, end])
    const line = `${JSON.stringify({ format, cluster, node, token, incarnation, ranges })}\n`
    const bytes = Buffer.from(`${line}crc32 ${checksumText(line)}\n`)
    const path = `${this.#directory}/${fileName}`
    const file = await disk.open(`${path}.new`, { create: true })
    try {
      await file.truncate(0)
      await file.write(bytes, 0, bytes.length, 0)
      await file.sync().catch((error) => {
        this.#io.fatal('the identity of the node could not be synced', error)
        throw error
      })
    } finally {
      await file.close()
    }
    await disk.syncDirectory(this.#directory)
    await disk.rename(`${path}.new`, path)
    await disk.syncDirectory(this.#directory)
  }
}

/** What the directory says, without starting anything; undefined when it has no identity. */
export async function readIdentity(io: Io, directory: string): Promise<NodeIdentity | undefined> {
  const path = `${directory}/${fileName}`
  if (!(await io.disk.list(directory)).includes(fileName)) return undefined
  const text = await readText(io, path)
  const match = /^(\{.*\}\n)crc32 ([0-9a-f]{8})\n$/.exec(text)
  if (match === null || checksumText(match[1]) !== match[2]) throw corrupted(path)
  const found = JSON.parse(match[1])
  if (found.format !== format) {
    throw new DbError('incompatible_format', `${path} has format ${found.format}, not ${format}`)
  }
  const ranges = (found.ranges as [number, number][]).map(([first, end]) => ({ first, end }))
  const { cluster: clusterId, node: nodeId, token, incarnation } = found
  if (!ranges.every(isRange) || !Number.isSafeInteger(nodeId) || !Number.isSafeInteger(incarnation)) {
    throw corrupted(path)
  }
  return { clusterId, nodeId, token, incarnation, ranges }
}

function checksumText(line: string): string {
  return checksum(Buffer.from(line)).toString(16).padStart(8, '0')
}

function corrupted(path: string): DbError {
  return new DbError('data_corrupted', `${path} does not hold a node's identity any more`, {
    hint: 'Restore the directory from a backup, or remove the node from the cluster and join with an empty directory.',
  })
}
