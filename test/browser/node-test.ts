/** `node:test` as far as the stores' tests use it, in a page: tests run one after the other, and their results are kept. */
export interface Result {
  readonly name: string
  readonly millis: number
  readonly error: string | undefined
}

type Run = () => unknown

const queue: { name: string; run: Run }[] = []
const ends: Run[] = []

export function test(name: string, ...rest: unknown[]): void {
  queue.push({ name, run: rest.at(-1) as Run })
}

export function after(run: Run): void {
  ends.push(run)
}

export const before = (run: Run): void => test('before', run)

/** Of the tests that were registered since the last call. */
export async function runTests(): Promise<Result[]> {
  const results: Result[] = []
  for (const { name, run } of queue.splice(0)) {
    const start = performance.now()
    let error: string | undefined
    try {
      await run()
    } catch (thrown) {
      error = thrown instanceof Error ? `${thrown.message}\n${thrown.stack}` : String(thrown)
    }
    results.push({ name, millis: Math.round(performance.now() - start), error })
  }
  for (const run of ends.splice(0)) await run()
  return results
}

export default test
