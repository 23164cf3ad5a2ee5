/**
 * Metrics behind our own small interface: values are read when somebody asks, so that nothing is counted twice and the
 * hot paths know nothing of it. prom-client writes the exposition format.
 *
 * Not here: which metrics there are (node-metrics.ts).
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'

export interface Metrics {
  /** A value that only grows; `read` gives it whole. */
  counter(name: string, help: string, read: () => number): void
  gauge(name: string, help: string, read: () => number): void
  /** One value a label: `read` gives them all. */
  gauges(name: string, help: string, label: string, read: () => Iterable<readonly [label: string, value: number]>): void
  /** The text for Prometheus and its content type. */
  exposition(): Promise<{ text: string; contentType: string }>
}

export class PrometheusMetrics implements Metrics {
  readonly #registry = new Registry()

  /** @param processMetrics memory, CPU, event loop and garbage collection of this process as well. */
  constructor(processMetrics: boolean) {
    if (processMetrics) collectDefaultMetrics({ register: this.#registry })
  }

  counter(name: string, help: string, read: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }

  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read())
      },
    })
  }

  gauges(name: string, help: string, label: string, read: () => Iterable<readonly [string, number]>): void {
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect() {
        this.reset()
        for (const [key, value] of read()) this.set({ [label]: key }, value)
      },
    })
  }

  async exposition(): Promise<{ text: string; contentType: string }> {
    return { text: await this.#registry.metrics(), contentType: this.#registry.contentType }
  }
}
