/** Rows of a benchmark: printed as a table, or with --json one line a row. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface Row {
  readonly bench: string
  readonly row: string
  readonly ours: number
  readonly peer: number
  readonly peerName: string
  readonly unit: string
  readonly higherIsBetter: boolean
}

export class Options {
  readonly #args: readonly string[]

  constructor(args: readonly string[]) {
    this.#args = args
  }
  text(name: string): string | undefined {
    const at = this.#args.indexOf(`--${name}`)
    return at < 0 ? undefined : this.#args[at + 1]
  }
  number(name: string, fallback: number): number {
    return Number(this.text(name) ?? fallback)
  }
  has(name: string): boolean {
    return this.#args.includes(`--${name}`)
  }
}

export class Report {
  readonly json: boolean

  constructor(json: boolean) {
    this.json = json
  }
  row(r: Row): void {
    // A ratio above 1 is always in our favour.
    const ratio = r.higherIsBetter ? r.ours / r.peer : r.peer / r.ours
    const { higherIsBetter: _, ...fields } = r
    if (this.json) console.log(JSON.stringify({ ...fields, ratio: Number(ratio.toFixed(3)) }))
    else
      console.log(
        `${r.row.padEnd(26)} ${number(r.ours).padStart(12)} ${r.unit.padEnd(6)} ${r.peerName.padEnd(26)} ${number(r.peer).padStart(12)} ${r.unit.padEnd(6)} ${ratio.toFixed(2)}x`,
      )
  }
  note(text: string): void {
    if (!this.json) console.log(`  ${text}`)
  }
  warn(text: string): void {
    console.error(`\n!!! ${text}\n`)
  }
  skip(bench: string, why: string): void {
    console.error(`${bench} skipped: ${why}`)
  }
}

function number(n: number): string {
  return n >= 1000 ? Math.round(n).toLocaleString('en') : n.toPrecision(4)
}

/** Starts `bin/lattice start` on two cores and waits until it answers. */
export async function startLattice(
  root: string,
  data: string,
  port: number,
  env: NodeJS.ProcessEnv = {},
): Promise<{ pid: number; millis: number; stop(): Promise<void>; kill(): Promise<void> }> {
  const ready = `http://127.0.0.1:${port + 1000}/readyz`
  const taken = await fetch(ready).catch(() => undefined)
  if (taken !== undefined) throw new Error(`another node serves ${ready}: it would be measured instead`)
  const before = performance.now()
  const child = spawn(
    'taskset',
    [
      '-c',
      '0,1',
      `${root}/bin/lattice`,
      'start',
      '--data',
      data,
      '--pg',
      `127.0.0.1:${port}`,
      '--http',
      `127.0.0.1:${port + 1000}`,
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, UV_THREADPOOL_SIZE: '64', ...env },
    },
  )
  // A benchmark that fails leaves no node behind.
  process.once('exit', () => child.kill('SIGKILL'))
  let log = ''
  child.stderr.on('data', (chunk) => {
    log += chunk
  })
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the node ended: ${log}`)
    try {
      const response = await fetch(ready)
      if (response.status === 200) break
    } catch {}
    await new Promise((r) => setTimeout(r, 2))
  }
  const millis = performance.now() - before
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }
  return { pid: child.pid!, millis, stop: () => end('SIGTERM'), kill: () => end('SIGKILL') }
}
