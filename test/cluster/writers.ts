/**
 * Writers that insert numbered rows through gateways and remember what they were told of each: acknowledged, refused
 * (certainly not there) or unknown. No number is used twice, so the rows themselves tell whether what was said is true.
 */
import assert from 'node:assert/strict'
import pg from 'pg'

export type Outcome = 'acknowledged' | 'refused' | 'unknown'

/** SQLSTATEs that say: nothing of it has taken effect. 08006 comes from a gateway; a connection that breaks has none. */
const refusals = new Set(['40001', '40P01', '08006', '57P03', '53100', '25006'])
const unknowns = new Set(['40003', '57P01'])

export function classify(error: any): Outcome {
  const code = String(error?.code)
  if (refusals.has(code)) return 'refused'
  if (unknowns.has(code) || /Connection terminated|ECONNRESET|EPIPE|not queryable|timeout/.test(error?.message))
    return 'unknown'
  throw error
}

export class Writers {
  readonly table: string
  readonly outcomes: Outcome[] = []
  /** When each acknowledgement came, in milliseconds of performance.now(). */
  readonly acknowledgedAt: number[] = []
  readonly errors: { readonly at: number; readonly outcome: Outcome; readonly message: string }[] = []
  readonly failures: unknown[] = []
  readonly #gateways: () => readonly string[]
  readonly #running: Promise<void>[] = []
  #stopping = false

  /** @param gateways connection strings of nodes that writers may use now */
  constructor(table: string, gateways: () => readonly string[]) {
    this.table = table
    this.#gateways = gateways
  }

  start(count: number): void {
    for (let i = 0; i < count; i++) {
      this.#running.push(this.#write(i).catch((error) => void this.failures.push(error)))
    }
  }

  get acknowledged(): number {
    return this.acknowledgedAt.length
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#running)
    assert.deepEqual(this.failures, [])
  }

  async #write(writer: number): Promise<void> {
    for (let turn = writer; !this.#stopping; turn++) {
      const gateways = this.#gateways()
      const gateway = gateways[turn % gateways.length]
      const client = new pg.Client({
        connectionString: gateway,
        connectionTimeoutMillis: 2_000,
      })
      client.on('error', () => {})
      try {
        await client.connect()
      } catch {
        // Nothing was sent. The node is not there, or not ready: another one.
        await client.end().catch(() => {})
        await new Promise((done) => setTimeout(done, 10))
        continue
      }
      while (!this.#stopping && this.#gateways().includes(gateway) && (await this.#insert(client))) {}
      await client.end().catch(() => {})
    }
  }

  /** False when the connection is of no use any more. */
  async #insert(client: pg.Client): Promise<boolean> {
    const n = this.outcomes.push('unknown') - 1
    try {
      await client.query({ name: 'write', text: `insert into ${this.table} values ($1)`, values: [n] })
      this.outcomes[n] = 'acknowledged'
      this.acknowledgedAt.push(performance.now())
      return true
    } catch (error) {
      const outcome = classify(error)
      this.outcomes[n] = outcome
      this.errors.push({ at: performance.now(), outcome, message: (error as Error).message })
      return (error as { code?: string }).code !== undefined && (error as { code?: string }).code !== '57P01'
    }
  }

  /** The longest time without an acknowledgement between two moments. Milliseconds. */
  longestGap(from: number, to: number): number {
    const times = [from, ...this.acknowledgedAt.filter((t) => t > from && t < to), to]
    return Math.max(...times.slice(1).map((t, i) => t - times[i]))
  }

  /** Every row that is acknowledged by now is there, no refused one is. Writers may go on meanwhile. */
  async check(client: pg.Client): Promise<void> {
    const acknowledged = this.outcomes.flatMap((outcome, n) => (outcome === 'acknowledged' ? [n] : []))
    const { rows } = await client.query(`select n from ${this.table}`)
    const there = new Set(rows.map((row) => row.n as number))
    const lost = acknowledged.filter((n) => !there.has(n))
    const risen = this.outcomes.flatMap((outcome, n) => (outcome === 'refused' && there.has(n) ? [n] : []))
    assert.deepEqual(lost, [], 'rows that were acknowledged are lost')
    assert.deepEqual(risen, [], 'rows that were refused are there')
  }
}
