/**
 * Vivaldi network coordinates (Dabek, Cox, Kaashoek, Morris 2004), with height: every node has a point such that the
 * distance of two points predicts their round trip. A measured round trip pulls the points like a spring; the less sure
 * of itself a node is, the further it moves.
 *
 *   predicted = |a − b| + a.height + b.height         milliseconds
 *
 * Also here: how unreliable a peer has been lately, from answered and unanswered pings.
 *
 * Not here: measuring (members.ts).
 */
import type { Random } from '../io/index.ts'

export interface Coordinate {
  readonly x: number
  readonly y: number
  readonly z: number
  /** Distance to the core of the network: the last mile. Above 0. */
  readonly height: number
  /** Relative error that the node expects of its own point, from 0 to 1.5. */
  readonly error: number
}

export const origin: Coordinate = { x: 0, y: 0, z: 0, height: 0.01, error: 1.5 }

const tuning = 0.25
const minHeight = 0.01
const maxError = 1.5
/** Longer round trips say more about a stalled process than about the network. */
const maxRttMs = 10_000

/** The predicted round trip. Milliseconds. */
export function predictedMs(a: Coordinate, b: Coordinate): number {
  return Math.hypot(a.x - b.x, a.y - b.y, a.z - b.z) + a.height + b.height
}

/** Our next point after a round trip to a node at `there`. */
export function moved(here: Coordinate, there: Coordinate, rttMs: number, random: Pick<Random, 'below'>): Coordinate {
  if (!(rttMs > 0 && rttMs < maxRttMs)) return here
  const distance = predictedMs(here, there)
  const off = Math.abs(distance - rttMs) / rttMs
  const weight = here.error / (here.error + there.error || 1)
  const error = Math.min(maxError, off * tuning * weight + here.error * (1 - tuning * weight))
  const force = tuning * weight * (rttMs - distance)
  let direction = [here.x - there.x, here.y - there.y, here.z - there.z]
  let length = Math.hypot(...direction)
  if (length < 1e-6) {
    direction = [0, 0, 0].map(() => random.below(2001) / 1000 - 1 || 0.001)
    length = Math.hypot(...direction)
  }
  const [x, y, z] = direction.map((d) => (d / length) * force)
  const height = Math.max(minHeight, here.height + ((here.height + there.height) * force) / Math.max(distance, 1e-6))
  return { x: here.x + x, y: here.y + y, z: here.z + z, height, error }
}

export function isCoordinate(value: unknown): value is Coordinate {
  const c = value as Coordinate
  return (
    typeof c === 'object' &&
    c !== null &&
    [c.x, c.y, c.z, c.height, c.error].every(Number.isFinite) &&
    c.height > 0 &&
    c.error >= 0
  )
}

/** Of one peer: 0 when all pings are answered, towards 1 when none are; a failure counts half after a minute. */
export class Unreliability {
  static readonly halfLifeMicros = 60_000_000
  #failed = 0
  #all = 0
  #atMicros = 0

  note(answered: boolean, nowMicros: number): void {
    this.#decay(nowMicros)
    this.#all++
    if (!answered) this.#failed++
  }

  score(nowMicros: number): number {
    this.#decay(nowMicros)
    // As if some pings had been answered before: one failure alone is no verdict.
    return this.#failed / (this.#all + 4)
  }

  #decay(nowMicros: number): void {
    const factor = 2 ** (-Math.max(0, nowMicros - this.#atMicros) / Unreliability.halfLifeMicros)
    this.#failed *= factor
    this.#all *= factor
    this.#atMicros = Math.max(this.#atMicros, nowMicros)
  }
}
