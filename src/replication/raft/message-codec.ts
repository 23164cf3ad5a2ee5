/**
 * Messages as bytes. Every number is an unsigned LEB128 varint, flags and types are one byte:
 *
 *   type u8 │ from │ to │ term │ body by type
 *
 *   append         prevIndex │ prevTerm │ commit │ round │ count │ entries …
 *     entry        term │ kind u8 │ transaction id │ length │ payload       (index = prevIndex + 1, + 2, …)
 *   append reply   index │ reject flag │ hintIndex │ hintTerm │ commit │ round
 *   vote           lastIndex │ lastTerm │ pre flag │ transfer flag
 *   vote reply     pre flag │ granted flag │ ceiling
 *   timeout now    ceiling
 *   offer          index │ indexTerm │ configuration (configuration.ts)
 *
 * Not here: which group a message belongs to, frames and checksums (the transport adds them).
 */
import type { ByteWriter } from '../../encoding/index.ts'
import { ByteReader, corrupted } from './byte-reader.ts'
import { readConfiguration, writeConfiguration } from './configuration.ts'
import type { Entry, EntryKind } from './entry.ts'
import {
  type Message,
  messageAppend,
  messageAppendReply,
  messageSnapshotOffer,
  messageTimeoutNow,
  messageVote,
  messageVoteReply,
} from './message.ts'

/** Appends the message's bytes to the writer; what they are framed by is the caller's. */
export function encodeMessage(w: ByteWriter, m: Message): void {
  w.u8(m.type)
  w.varint(m.from)
  w.varint(m.to)
  w.varint(m.term)
  switch (m.type) {
    case messageAppend:
      w.varint(m.prevIndex)
      w.varint(m.prevTerm)
      w.varint(m.commit)
      w.varint(m.round)
      w.varint(m.entries.length)
      for (const e of m.entries) {
        w.varint(e.term)
        w.u8(e.kind)
        w.varint(e.transactionId)
        w.varint(e.payload.length)
        w.raw(e.payload)
      }
      return
    case messageAppendReply:
      w.varint(m.index)
      w.u8(m.reject ? 1 : 0)
      w.varint(m.hintIndex)
      w.varint(m.hintTerm)
      w.varint(m.commit)
      w.varint(m.round)
      return
    case messageVote:
      w.varint(m.lastIndex)
      w.varint(m.lastTerm)
      w.u8(m.pre ? 1 : 0)
      w.u8(m.transfer ? 1 : 0)
      return
    case messageVoteReply:
      w.u8(m.pre ? 1 : 0)
      w.u8(m.granted ? 1 : 0)
      w.varint(m.ceiling)
      return
    case messageTimeoutNow:
      w.varint(m.ceiling)
      return
    case messageSnapshotOffer:
      w.varint(m.index)
      w.varint(m.indexTerm)
      writeConfiguration(w, m.configuration)
  }
}

/** Payloads are views of `bytes`, which the caller leaves as they are. Raises data_corrupted. */
export function decodeMessage(bytes: Uint8Array): Message {
  const r = new ByteReader(bytes)
  const message = readMessage(r)
  r.end()
  return message
}

function readMessage(r: ByteReader): Message {
  const type = r.u8()
  const from = r.varint()
  const to = r.varint()
  const term = r.varint()
  switch (type) {
    case messageAppend: {
      const prevIndex = r.varint()
      const prevTerm = r.varint()
      const commit = r.varint()
      const round = r.varint()
      const entries: Entry[] = []
      for (let left = r.count(); left > 0; left--) entries.push(readEntry(r, prevIndex + entries.length + 1))
      return { type, from, to, term, prevIndex, prevTerm, commit, round, entries }
    }
    case messageAppendReply: {
      const index = r.varint()
      const reject = r.flag()
      const hintIndex = r.varint()
      const hintTerm = r.varint()
      return { type, from, to, term, index, reject, hintIndex, hintTerm, commit: r.varint(), round: r.varint() }
    }
    case messageVote: {
      const lastIndex = r.varint()
      const lastTerm = r.varint()
      return { type, from, to, term, lastIndex, lastTerm, pre: r.flag(), transfer: r.flag() }
    }
    case messageVoteReply:
      return { type, from, to, term, pre: r.flag(), granted: r.flag(), ceiling: r.varint() }
    case messageTimeoutNow:
      return { type, from, to, term, ceiling: r.varint() }
    case messageSnapshotOffer: {
      const index = r.varint()
      const indexTerm = r.varint()
      return { type, from, to, term, index, indexTerm, configuration: readConfiguration(r) }
    }
    default:
      throw corrupted(`message type ${type}`)
  }
}

function readEntry(r: ByteReader, index: number): Entry {
  const term = r.varint()
  const kind = r.u8()
  if (kind > 2) throw corrupted(`entry kind ${kind}`)
  const transactionId = r.varint()
  return { index, term, kind: kind as EntryKind, transactionId, payload: r.bytes(r.varint()) }
}
