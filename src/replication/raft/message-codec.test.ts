import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import {
  decodeConfiguration,
  decodeMessage,
  encodeConfiguration,
  encodeMessage,
  type Message,
  messageAppend,
  messageAppendReply,
  messageSnapshotOffer,
  messageTimeoutNow,
  messageVote,
  messageVoteReply,
} from './index.ts'

const big = Number.MAX_SAFE_INTEGER
const configuration = { voters: [1, 2, 300], outgoing: [1, 2, 3], learners: [big] }
const examples: Message[] = [
  { type: messageAppend, from: 1, to: 2, term: 3, prevIndex: 0, prevTerm: 0, commit: 0, round: 1, entries: [] },
  {
    type: messageAppend,
    from: 1,
    to: 2,
    term: 9,
    prevIndex: big - 2,
    prevTerm: 8,
    commit: big,
    round: big,
    entries: [
      { index: big - 1, term: 8, kind: 0, transactionId: 0, payload: new Uint8Array(0) },
      { index: big, term: 9, kind: 1, transactionId: big, payload: new Uint8Array([0, 255, 128]) },
    ],
  },
  {
    type: messageAppendReply,
    from: big,
    to: 1,
    term: 3,
    index: 200,
    reject: true,
    hintIndex: 128,
    hintTerm: 127,
    commit: 100,
    round: 16384,
  },
  { type: messageVote, from: 1, to: 2, term: 3, lastIndex: 5, lastTerm: 2, pre: true, transfer: false },
  { type: messageVote, from: 1, to: 2, term: 3, lastIndex: 5, lastTerm: 2, pre: false, transfer: true },
  { type: messageVoteReply, from: 1, to: 2, term: 3, pre: false, granted: true, ceiling: 1_700_000_000_000_000 },
  { type: messageTimeoutNow, from: 1, to: 2, term: 3, ceiling: 4 },
  { type: messageSnapshotOffer, from: 1, to: 2, term: 3, index: 70, indexTerm: 2, configuration },
]

function encoded(m: Message): Uint8Array {
  const writer = new ByteWriter(4)
  encodeMessage(writer, m)
  return new Uint8Array(writer.copy())
}

test('every message comes back as it was', () => {
  for (const m of examples) assert.deepEqual(decodeMessage(encoded(m)), m)
})

test('the bytes are those of docs/formats/raft-messages.md', () => {
  assert.equal(Buffer.from(encoded(examples[3])).toString('hex'), '030102030502' + '0100')
  assert.equal(
    Buffer.from(encodeConfiguration({ voters: [1, 2, 300], outgoing: [], learners: [4] })).toString('hex'),
    '030102ac02' + '00' + '0104',
  )
})

test('cut or lengthened messages are refused by name', () => {
  for (const m of examples) {
    const bytes = encoded(m)
    for (let length = 0; length < bytes.length; length++)
      assert.throws(() => decodeMessage(bytes.subarray(0, length)), corruptedError)
    assert.throws(() => decodeMessage(Buffer.concat([bytes, Buffer.from([0])])), corruptedError)
  }
  assert.throws(() => decodeMessage(Buffer.from([9, 1, 1, 1])), /message type 9/)
  const bytes = encodeConfiguration(configuration)
  assert.deepEqual(decodeConfiguration(bytes), configuration)
  assert.throws(() => decodeConfiguration(bytes.subarray(1)), corruptedError)
})

test('changed bytes give another message or a refusal, nothing else', () => {
  for (const m of examples) {
    const bytes = encoded(m)
    for (let at = 0; at < bytes.length; at++)
      for (const value of [0, 1, 2, 127, 128, 255]) {
        const changed = Uint8Array.from(bytes)
        changed[at] = value
        try {
          decodeMessage(changed)
        } catch (error) {
          assert.ok(corruptedError(error), String(error))
        }
      }
  }
})

function corruptedError(error: unknown): boolean {
  return error instanceof DbError && error.code === 'data_corrupted'
}
