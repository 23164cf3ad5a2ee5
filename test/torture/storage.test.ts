/**
 * Power cuts at every I/O of a run of writes, flushes and compactions, and at I/Os of the recoveries after them. The
 * planted faults below must be noticed, or the torture proves nothing.
 *
 * Longer: TORTURE_ROUNDS=<rounds>, default 60. Replay one case: TORTURE_SEED=<seed> TORTURE_CUT=<operation> node --test test/torture/storage.test.ts
 *
 * Not here: the node and its bookkeeping (storage-node.ts).
 */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { type SimIo, SimRandom, SimWorld } from '../../src/testing/index.ts'
import { droppingCheckpoints, raiseGhost } from './faulty-log.ts'
import { Ledger, type NodeBugs, StorageNode } from './storage-node.ts'

interface Plan {
  readonly seed: string
  readonly rounds: number
  readonly lives: number
  readonly bugs?: NodeBugs
  /** Syncs report success and do nothing. */
  readonly lyingSync?: boolean
  readonly io?: (io: SimIo) => ReturnType<typeof droppingCheckpoints>
  /** Between a crash and the recovery. */
  readonly afterCrash?: (io: SimIo) => Promise<unknown>
}

/** Runs the plan with the power cut at an operation of the first life; answers with the operations of a whole life. */
async function torture(plan: Plan, cutAt: number | undefined): Promise<number> {
  const world = new SimWorld(`${plan.seed} ${cutAt ?? 'whole'}`)
  const disk = world.disk()
  const ledger = new Ledger()
  // The work of the first life does not depend on where it is cut.
  let random = new SimRandom(`work ${plan.seed}`)
  let total = 0
  for (let life = 0; life < plan.lives; life++) {
    const last = cutAt !== undefined && life === plan.lives - 1
    const io = world.node(disk)
    if (life > 0 && plan.afterCrash) await world.run(() => plan.afterCrash!(io))
    const cut = cutAt === undefined || last ? undefined : disk.operations + (life === 0 ? cutAt : random.between(1, 60))
    disk.onOperation = ({ number, kind }) => {
      if (number === cut) return 'crash'
      return plan.lyingSync && (kind === 'sync' || kind === 'syncDirectory') ? 'skip' : undefined
    }
    const node = new StorageNode(plan.io ? plan.io(io) : io, random, ledger, plan.bugs ?? {})
    await world.run(
      async () => {
        await node.open()
        await node.recover()
        await node.work(last ? 5 : plan.rounds)
        if (last || cut === undefined) await node.close()
      },
      () => io.dead,
    )
    assert.equal(
      io.fatalReason,
      undefined,
      `the node ended itself: ${io.fatalReason} ${(io.fatalCause as Error)?.stack}`,
    )
    disk.onOperation = undefined
    total = disk.operations
    if (cutAt === undefined) return total
    if (!io.dead) io.crash()
    random = new SimRandom(`life ${plan.seed} ${cutAt} ${life}`)
  }
  return total
}

async function failuresOf(plan: Plan, cuts: number): Promise<number> {
  const total = await torture({ ...plan, lives: 1 }, undefined)
  let failures = 0
  for (let i = 0; i < cuts; i++) {
    const cut = 1 + Math.floor((total * (i + 1)) / (cuts + 1))
    await torture({ ...plan, seed: `${plan.seed} ${i}` }, cut).catch(() => failures++)
  }
  return failures
}

const seeds = (process.env.TORTURE_SEED ?? 'storage 1,storage 2').split(',')

for (const seed of seeds) {
  test(`power cut at every I/O, seed ${seed}`, async () => {
    const plan: Plan = { seed, rounds: Number(process.env.TORTURE_ROUNDS ?? 60), lives: 4 }
    const only = process.env.TORTURE_CUT
    if (only !== undefined) {
      await torture(plan, Number(only))
      return
    }
    const total = await torture({ ...plan, lives: 1 }, undefined)
    assert.ok(total > 200, `${total} operations make a run worth torturing`)
    for (let cut = 1; cut <= total; cut++) {
      try {
        await torture(plan, cut)
      } catch (error) {
        const replay = `TORTURE_SEED='${seed}' TORTURE_CUT=${cut} node --test test/torture/storage.test.ts`
        throw new Error(`power cut at operation ${cut} of ${total}; replay: ${replay}`, { cause: error })
      }
    }
  })
}

/** A planted fault makes runs fail that pass without it. */
async function noticed(plan: Plan, fault: Partial<Plan>): Promise<void> {
  assert.equal(await failuresOf(plan, 20), 0, 'without the fault nothing fails')
  assert.ok((await failuresOf({ ...plan, ...fault }, 20)) > 0, 'with it something does')
}

test('the torture notices a disk that does not sync', async () => {
  await noticed({ seed: 'lying', rounds: 150, lives: 3 }, { lyingSync: true })
})

test('the torture notices acknowledgement before the sync', async () => {
  await noticed({ seed: 'early', rounds: 150, lives: 3 }, { bugs: { ackBeforeSync: true } })
})

test('the torture notices ghosts out of recycled segments', async () => {
  let raised = 0
  const afterCrash = async (io: SimIo) => {
    if (await raiseGhost(io, '/data/log')) raised++
  }
  await noticed({ seed: 'ghost', rounds: 400, lives: 3 }, { afterCrash })
  assert.ok(raised > 0, 'there were ghosts to raise')
})

test('the torture notices dropped checkpoints', async () => {
  await noticed({ seed: 'checkpoint', rounds: 400, lives: 3 }, { io: droppingCheckpoints })
})
