/**
 * A process that runs seeds with a bug, or without it under the same wishes.
 *
 * Not here: what the process does (planted-process.ts).
 */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { Violation } from '../history.ts'

export class Subject {
  readonly #planted: string
  readonly #wishing: string
  #child: ChildProcess | undefined
  /** What its seeds have taken. */
  cpuSeconds = 0

  constructor(planted: string, wishing: string) {
    this.#planted = planted
    this.#wishing = wishing
  }

  async run(seed: number): Promise<readonly Violation[]> {
    this.#child ??= fork(join(import.meta.dirname, 'planted-process.ts'), [this.#planted, this.#wishing], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const child = this.#child
    return await new Promise((done, fail) => {
      const answer = ({ violations, cpuSeconds }: { violations: readonly Violation[]; cpuSeconds: number }) => {
        child.off('exit', ended)
        this.cpuSeconds = cpuSeconds
        done(violations)
      }
      const ended = (code: number | null) => {
        child.off('message', answer)
        this.#child = undefined
        fail(new Error(`the process ended with ${code}: its bug could not be planted, or broke more than it should`))
      }
      child.once('message', answer)
      child.once('exit', ended)
      child.send(String(seed))
    })
  }

  end(): void {
    this.#child?.disconnect()
  }
}
