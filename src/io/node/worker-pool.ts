/**
 * A few worker threads for CPU-bound pure jobs, started when first needed. A job is the name of a function exported by
 * a module that the worker imports; SharedArrayBuffers in its input are shared, buffers in `transfer` move, the rest
 * is copied. Large buffers of the answer move back.
 *
 * Not here: what runs there (compaction, parsing, …).
 */
import { Worker } from 'node:worker_threads'
import { assert, DbError, type ErrorCode, isErrorCode } from '../../base/index.ts'

export interface JobMessage {
  readonly id: number
  readonly module: string
  readonly name: string
  readonly input: unknown
}

export interface JobAnswer {
  readonly id: number
  readonly output?: unknown
  readonly failure?: { readonly code: string | undefined; readonly message: string; readonly stack: string | undefined }
}

interface Job {
  readonly message: JobMessage
  readonly transfer: ArrayBuffer[]
  readonly done: (output: unknown) => void
  readonly fail: (error: Error) => void
}

interface Slot {
  readonly worker: Worker
  job: Job | undefined
}

export class WorkerPool {
  readonly #size: number
  readonly #slots: Slot[] = []
  readonly #queue: Job[] = []
  #nextId = 1
  #stopped = false

  constructor(size: number) {
    this.#size = size
  }

  run(module: string, name: string, input: unknown, transfer: readonly ArrayBufferLike[]): Promise<unknown> {
    return new Promise((done, fail) => {
      assert(!this.#stopped, 'no job starts after the node has stopped')
      const movable = transfer.filter((buffer) => buffer instanceof ArrayBuffer)
      this.#queue.push({ message: { id: this.#nextId++, module, name, input }, transfer: movable, done, fail })
      this.#dispatch()
    })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#slots.map((slot) => slot.worker.terminate()))
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      let slot = this.#slots.find((candidate) => candidate.job === undefined)
      if (slot === undefined) {
        if (this.#slots.length === this.#size) return
        slot = this.#start()
      }
      const job = this.#queue.shift()!
      try {
        slot.worker.postMessage(job.message, job.transfer)
      } catch (error) {
        job.fail(error as Error) // an input that cannot be sent: a bug of the caller, not of the worker
        continue
      }
      slot.job = job
      slot.worker.ref()
    }
  }

  #start(): Slot {
    // Beside us lies cpu-worker.ts in a checkout and cpu-worker.js in the package.
    const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
    const worker = new Worker(new URL(`./cpu-worker${extension}`, import.meta.url))
    const slot: Slot = { worker, job: undefined }
    worker.on('message', (answer: JobAnswer) => {
      const job = slot.job!
      slot.job = undefined
      worker.unref() // an idle worker does not keep the process alive
      if (answer.failure) job.fail(revive(answer.failure))
      else job.done(answer.output)
      this.#dispatch()
    })
    worker.on('error', (error) => this.#lost(slot, error as Error))
    worker.on('exit', (code) => {
      if (!this.#stopped) this.#lost(slot, new Error(`a worker thread ended with code ${code}`))
    })
    this.#slots.push(slot)
    return slot
  }

  #lost(slot: Slot, error: Error): void {
    const index = this.#slots.indexOf(slot)
    if (index >= 0) this.#slots.splice(index, 1)
    const job = slot.job
    slot.job = undefined
    job?.fail(error)
    if (!this.#stopped) this.#dispatch()
  }
}

function revive(failure: NonNullable<JobAnswer['failure']>): Error {
  if (failure.code !== undefined && isErrorCode(failure.code)) {
    return new DbError(failure.code as ErrorCode, failure.message)
  }
  const error = new Error(failure.message)
  if (failure.stack !== undefined) error.stack = failure.stack
  return error
}
