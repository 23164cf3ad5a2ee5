/**
 * Requests to leaseholders and their answers as bytes.
 *
 *   request   u8 operation │ fields as below, in the order of the interface         answer   u8 status │ fields
 *   status    0 done · 1 misrouted, followed by the route that the node knows, if any
 *   span      block start │ u8 has end │ block end        timestamps i64        keys and values are blocks
 *
 * Not here: framing, errors of other kinds (the transport carries DbErrors).
 */
import type { ByteReader, ByteWriter } from '../../encoding/index.ts'
import type { Span } from '../../storage/index.ts'
import { type Chunk, readChunk, writeChunk } from './chunks.ts'
import { readRecord, writeRecord } from './entry.ts'
import type {
  Checks,
  CommitRequest,
  KeyCheck,
  LockAnswer,
  LockRequest,
  OutcomeRequest,
  OwnerId,
  PrepareRequest,
  ReadAnswer,
  ReadRequest,
  RecordRequest,
  ReleaseRequest,
  ResolveRequest,
  ScanAnswer,
  ScanRequest,
  SpanCheck,
  ValidateRequest,
} from './requests.ts'

const policies = ['wait', 'nowait', 'skip'] as const

export interface Codec<T> {
  write(out: ByteWriter, value: T): void
  read(from: ByteReader): T
}

const span = {
  write(out: ByteWriter, { start, end }: Span): void {
    out.block(start)
    out.u8(end === undefined ? 0 : 1)
    if (end !== undefined) out.block(end)
  },
  read(from: ByteReader): Span {
    const start = from.block()
    return { start, end: from.u8() === 0 ? undefined : from.block() }
  },
}

const optional = {
  write(out: ByteWriter, value: Uint8Array | undefined): void {
    if (value === undefined) out.varint(0)
    else {
      out.varint(value.length + 1)
      out.raw(value)
    }
  },
  read(from: ByteReader): Uint8Array | undefined {
    const length = from.varint()
    return length === 0 ? undefined : from.raw(length - 1)
  },
}

const ownerId = {
  write(out: ByteWriter, { node, session }: OwnerId): void {
    out.u32(node)
    out.i64(session)
  },
  read(from: ByteReader): OwnerId {
    const node = from.u32()
    return { node, session: from.i64() }
  },
}

const checks = {
  write(out: ByteWriter, { keys, spans, tails }: Checks): void {
    out.varint(keys.length)
    for (const { key, at } of keys) {
      out.block(key)
      out.i64(at)
    }
    for (const list of [spans, tails]) {
      out.varint(list.length)
      for (const one of list) {
        span.write(out, one)
        out.i64(one.at)
      }
    }
  },
  read(from: ByteReader): Checks {
    const keys: KeyCheck[] = []
    for (let n = from.varint(); n > 0; n--) {
      const key = from.block()
      keys.push({ key, at: from.i64() })
    }
    const lists: SpanCheck[][] = [[], []]
    for (const list of lists)
      for (let n = from.varint(); n > 0; n--) {
        const { start, end } = span.read(from)
        list.push({ start, end, at: from.i64() })
      }
    return { keys, spans: lists[0], tails: lists[1] }
  },
}

export const number: Codec<number> = {
  write: (out, value) => out.i64(value),
  read: (from) => from.i64(),
}

export const nothing: Codec<void> = { write() {}, read() {} }

export const readRequest: Codec<ReadRequest> = {
  write(out, r) {
    out.block(r.key)
    out.i64(r.at)
    out.i64(r.uncertainTo)
    out.u32(r.chosenBy)
  },
  read(from) {
    const key = from.block()
    const at = from.i64()
    const uncertainTo = from.i64()
    return { key, at, uncertainTo, chosenBy: from.u32() }
  },
}

export const readAnswer: Codec<ReadAnswer> = {
  write(out, a) {
    out.i64(a.at)
    out.u32(a.node)
    out.i64(a.uncertain)
    out.i64(a.timestamp)
    optional.write(out, a.value)
  },
  read(from) {
    const at = from.i64()
    const node = from.u32()
    const uncertain = from.i64()
    const timestamp = from.i64()
    return { at, node, uncertain, timestamp, value: optional.read(from) }
  },
}

export const scanRequest: Codec<ScanRequest> = {
  write(out, r) {
    span.write(out, r.span)
    out.i64(r.at)
    out.i64(r.uncertainTo)
    out.u32(r.chosenBy)
    out.u8(r.reverse ? 1 : 0)
    out.varint(r.limit)
    optional.write(out, r.program)
  },
  read(from) {
    const s = span.read(from)
    const at = from.i64()
    const uncertainTo = from.i64()
    const chosenBy = from.u32()
    const reverse = from.u8() === 1
    const limit = from.varint()
    return { span: s, at, uncertainTo, chosenBy, reverse, limit, program: optional.read(from) }
  },
}

export const scanAnswer: Codec<ScanAnswer> = {
  write(out, a) {
    out.i64(a.at)
    out.u32(a.node)
    out.i64(a.uncertain)
    out.varint(a.keys.length)
    for (let i = 0; i < a.keys.length; i++) {
      out.block(a.keys[i])
      out.i64(a.timestamps[i])
      out.block(a.values[i])
    }
    out.u8(a.resume === undefined ? 0 : 1)
    if (a.resume !== undefined) span.write(out, a.resume)
  },
  read(from) {
    const at = from.i64()
    const node = from.u32()
    const uncertain = from.i64()
    const keys: Uint8Array[] = []
    const values: Uint8Array[] = []
    const timestamps: number[] = []
    for (let n = from.varint(); n > 0; n--) {
      keys.push(from.block())
      timestamps.push(from.i64())
      values.push(from.block())
    }
    return { at, node, uncertain, keys, values, timestamps, resume: from.u8() === 0 ? undefined : span.read(from) }
  },
}

export const lockRequest: Codec<LockRequest> = {
  write(out, r) {
    ownerId.write(out, r.owner)
    out.i64(r.transaction)
    out.block(r.key)
    out.u8(r.mode)
    out.u8(policies.indexOf(r.policy))
  },
  read(from) {
    const owner = ownerId.read(from)
    const transaction = from.i64()
    const key = from.block()
    const mode = from.u8()
    return { owner, transaction, key, mode, policy: policies[from.u8()] }
  },
}

export const lockAnswer: Codec<LockAnswer> = {
  write(out, a) {
    out.u8(a.granted ? 1 : 0)
    out.u32(a.node)
    out.i64(a.at)
    out.i64(a.timestamp)
    optional.write(out, a.value)
  },
  read(from) {
    const granted = from.u8() === 1
    const node = from.u32()
    const at = from.i64()
    const timestamp = from.i64()
    return { granted, node, at, timestamp, value: optional.read(from) }
  },
}

export const commitRequest: Codec<CommitRequest> = {
  write(out, r) {
    ownerId.write(out, r.owner)
    out.i64(r.transaction)
    checks.write(out, r.checks)
    out.block(r.payload)
  },
  read(from) {
    const owner = ownerId.read(from)
    const transaction = from.i64()
    const c = checks.read(from)
    return { owner, transaction, checks: c, payload: from.block() }
  },
}

export const chunkRequest: Codec<Chunk> = { write: writeChunk, read: readChunk }

export const prepareRequest: Codec<PrepareRequest> = {
  write(out, r) {
    ownerId.write(out, r.owner)
    out.i64(r.transaction)
    out.block(r.anchor)
    checks.write(out, r.checks)
    out.block(r.writes)
  },
  read(from) {
    const owner = ownerId.read(from)
    const transaction = from.i64()
    const anchor = from.block()
    const c = checks.read(from)
    return { owner, transaction, anchor, checks: c, writes: from.block() }
  },
}

export const validateRequest: Codec<ValidateRequest> = {
  write(out, r) {
    out.i64(r.transaction)
    out.i64(r.upTo)
    out.u8(r.wait ? 1 : 0)
    checks.write(out, r.checks)
  },
  read(from) {
    const transaction = from.i64()
    const upTo = from.i64()
    const wait = from.u8() === 1
    return { transaction, upTo, wait, checks: checks.read(from) }
  },
}

export const recordRequest: Codec<RecordRequest> = {
  write: (out, r) => writeRecord(out, { generation: 0, ...r }),
  read: (from) => readRecord(from),
}

export const resolveRequest: Codec<ResolveRequest> = {
  write(out, r) {
    out.i64(r.transaction)
    out.i64(r.timestamp)
    out.block(r.key)
  },
  read(from) {
    const transaction = from.i64()
    const timestamp = from.i64()
    return { transaction, timestamp, key: from.block() }
  },
}

export const outcomeRequest: Codec<OutcomeRequest> = {
  write(out, r) {
    out.i64(r.transaction)
    out.u8(r.fence ? 1 : 0)
    out.block(r.key)
  },
  read(from) {
    const transaction = from.i64()
    const fence = from.u8() === 1
    return { transaction, fence, key: from.block() }
  },
}

export const releaseRequest: Codec<ReleaseRequest> = {
  write(out, r) {
    ownerId.write(out, r.owner)
    out.u8(r.keys === undefined ? 0 : 1)
    if (r.keys === undefined) return
    out.varint(r.keys.length)
    for (const key of r.keys) out.block(key)
  },
  read(from) {
    const owner = ownerId.read(from)
    if (from.u8() === 0) return { owner, keys: undefined }
    const keys: Uint8Array[] = []
    for (let n = from.varint(); n > 0; n--) keys.push(from.block())
    return { owner, keys }
  },
}
