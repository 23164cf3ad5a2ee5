/**
 * Closings against a model: leaders commit with clocks whose walls step, messages are lost, doubled and late, nodes start
 * again, leadership moves. Whatever a follower believes closed must hold for ever.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HybridClock } from '../../base/index.ts'
import { ClosedTimestamps, Closings } from './closed-timestamps.ts'

function generator(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state % below
  }
}

/** A clock that closings do not move: the planted bug. */
class DeafClock extends HybridClock {
  override observe(): void {}
}

interface Leader {
  wall: number
  readonly clock: HybridClock
  incarnation: number
  closings: Closings
  readonly leads: Set<number>
}

const partitions = [7, 8, 9]

/** Runs one random history; returns what a follower believed wrongly, or undefined. */
function run(seed: number, newClock: (wall: () => number) => HybridClock): string | undefined {
  const random = generator(seed)
  /** Entries of the partitions' logs: timestamps, 0 for entries that commit nothing. */
  const logs = new Map<number, number[]>(partitions.map((p) => [p, []]))
  const applied = new Map<number, number>(partitions.map((p) => [p, 0]))
  const followed = () => new ClosedTimestamps((p) => applied.get(p)!)
  let follower = followed()
  const leaders: Leader[] = [1, 2].map((n) => {
    const leader = { wall: 1_000_000_000, incarnation: n, leads: new Set<number>() } as Leader
    const clock = newClock(() => leader.wall)
    const closings = new Closings(leader.incarnation, clock, () => leader.wall)
    return Object.assign(leader, { clock, closings })
  })
  for (const p of partitions) leaders[random(2)].leads.add(p)
  const late: (() => void)[] = []
  /** What was believed closed at which applied index: nothing at or below may follow behind the index. */
  const believed: { partition: number; at: number; applied: number }[] = []
  for (let turn = 0; turn < 400; turn++) {
    const n = random(2)
    const leader = leaders[n]
    leader.wall += random(60_000)
    switch (random(10)) {
      case 0:
        if (random(6) === 0) leader.wall -= 450_000
        break
      case 1: {
        // Leadership moves: the new one is told of all that the old one may have served, and writes an entry of its own.
        const p = partitions[random(partitions.length)]
        if (!leader.leads.delete(p)) break
        const other = leaders[1 - n]
        HybridClock.prototype.observe.call(other.clock, leader.clock.last)
        other.leads.add(p)
        logs.get(p)!.push(0)
        break
      }
      case 2:
        if (random(8) === 0) follower = followed()
        if (random(8) === 0) leader.closings = new Closings((leader.incarnation += 2), leader.clock, () => leader.wall)
        break
      case 3:
      case 4:
      case 5: {
        leader.closings.close(() => [...leader.leads].map((p) => [p, logs.get(p)!.length] as const))
        const message = leader.closings.messageTo(3)
        const deliver = () => {
          const answer = follower.receive(n + 1, message)
          if (random(4) > 0) leader.closings.acknowledge(3, answer)
        }
        const fate = random(5)
        if (fate === 0) break
        if (fate === 1) late.push(deliver)
        else deliver()
        if (random(3) === 0) late.splice(random(late.length + 1), 1)[0]?.()
        break
      }
      case 6:
        for (const p of partitions) applied.set(p, applied.get(p)! + random(logs.get(p)!.length - applied.get(p)! + 1))
        break
      default:
        for (const p of leader.leads) if (random(2) === 0) logs.get(p)!.push(leader.clock.next())
    }
    for (const p of partitions) {
      const at = follower.closedAt(p, applied.get(p)!)
      if (at > 0) believed.push({ partition: p, at, applied: applied.get(p)! })
    }
  }
  for (const { partition, at, applied: index } of believed) {
    const log = logs.get(partition)!
    for (let i = index; i < log.length; i++)
      if (log[i] > 0 && log[i] <= at) return `partition ${partition}: ${log[i]} was committed though ${at} was closed`
  }
  return undefined
}

const seeds = Array.from({ length: 150 }, (_, i) => i + 1)

test('what a follower believes closed stays closed', () => {
  for (const seed of seeds) {
    const wrong = run(seed, (wall) => new HybridClock(wall))
    assert.equal(wrong, undefined, `seed ${seed} of closed-timestamps.test.ts: ${wrong}`)
  }
})

test('a leaseholder that closes without its clock taking note is found out', () => {
  const found = seeds.filter((seed) => run(seed, (wall) => new DeafClock(wall)) !== undefined)
  assert.ok(found.length > 0)
})

test('quiet partitions cost nothing, and catch up with the newest closing by themselves', () => {
  let wall = 5_000_000
  const closings = new Closings(1, new HybridClock(() => wall), () => wall)
  const follower = new ClosedTimestamps(() => 20)
  const many = Array.from({ length: 1_000 }, (_, i) => [i + 1, 20] as const)
  const beat = (led: readonly (readonly [number, number])[] = many) => {
    wall += 100_000
    closings.close(() => led)
    const message = closings.messageTo(2)
    closings.acknowledge(2, follower.receive(1, message))
    return message.length
  }
  assert.ok(beat() > 10_000)
  assert.equal(beat(), 56)
  assert.equal(follower.closedAt(500, 20), wall - 200_000)
  // Entry 25 is not applied here: what was closed before holds on, the others go on.
  assert.equal(beat([[1, 25], ...many.slice(1)]), 68)
  assert.equal(follower.closedAt(1, 20), wall - 300_000)
  assert.equal(follower.closedAt(1, 25), wall - 200_000)
  assert.equal(follower.closedAt(2, 20), wall - 200_000)
  assert.equal(beat([]), 56 + 4 * 1_000)
  assert.equal(follower.closedAt(2, 20), wall - 300_000)
})
