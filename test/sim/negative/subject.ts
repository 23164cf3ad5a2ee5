/**
 * A process that runs seeds with a bug, or with none.
 *
 * Not here: what the process does (planted-process.ts).
 */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { Violation } from '../history.ts'

/** A bug may make a run endless. */
const patienceMs = 300_000

export class Subject {
  readonly #planted: string
  #child: ChildProcess | undefined
  /** What its seeds have taken. */
  cpuSeconds = 0

  /** @param planted the plant, or '' */
  constructor(planted: string) {
    this.#planted = planted
  }

  /** What is wrong with the seed under a plant's wishes. Raises when the process ends or does not answer. */
  async run(wishing: string, seed: number): Promise<readonly Violation[]> {
    this.#child ??= fork(join(import.meta.dirname, 'planted-process.ts'), [this.#planted], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const child = this.#child
    return await new Promise((done, fail) => {
      const answer = ({ violations, cpuSeconds }: { violations: readonly Violation[]; cpuSeconds: number }) => {
        child.off('exit', ended)
        clearTimeout(timer)
        this.cpuSeconds += cpuSeconds
        done(violations)
      }
      const ended = (code: number | null, signal: string | null) => {
        child.off('message', answer)
        clearTimeout(timer)
        this.#child = undefined
        fail(new Error(`seed ${seed}: the process ended with ${code ?? signal}`))
      }
      const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs)
      child.once('message', answer)
      child.once('exit', ended)
      child.send({ wishing, seed: String(seed) })
    })
  }

  end(): void {
    this.#child?.disconnect()
    this.#child = undefined
  }
}
