/**
 * The body of a worker thread: imports the job's module once, runs the named function, answers.
 *
 * Not here: the queue (worker-pool.ts).
 */
import { parentPort } from 'node:worker_threads'
import { DbError } from '../../base/index.ts'
import type { JobAnswer, JobMessage } from './worker-pool.ts'

/** Below this copying is as cheap as moving. Bytes. */
const worthMoving = 16 * 1024

const port = parentPort!

port.on('message', async (message: JobMessage) => {
  let answer: JobAnswer
  const transfer: ArrayBuffer[] = []
  try {
    const module = await import(message.module)
    const output = module[message.name](message.input)
    collect(output, transfer, 0)
    answer = { id: message.id, output }
  } catch (error) {
    const code = error instanceof DbError ? error.code : undefined
    const { message: text, stack } = error instanceof Error ? error : new Error(String(error))
    answer = { id: message.id, failure: { code, message: text, stack } }
  }
  port.postMessage(answer, transfer)
})

/** Finds the large buffers of an answer: views that own all of theirs. */
function collect(value: unknown, into: ArrayBuffer[], depth: number): void {
  if (typeof value !== 'object' || value === null || depth > 4) return
  if (ArrayBuffer.isView(value)) {
    const { buffer } = value
    if (buffer instanceof ArrayBuffer && buffer.byteLength >= worthMoving && !into.includes(buffer)) {
      if (value.byteLength * 2 >= buffer.byteLength) into.push(buffer)
    }
  } else if (value instanceof ArrayBuffer) {
    if (value.byteLength >= worthMoving && !into.includes(value)) into.push(value)
  } else {
    for (const part of Object.values(value)) collect(part, into, depth + 1)
  }
}
