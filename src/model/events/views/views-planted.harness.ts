/**
 * Bugs that the tests of views must find: each is one edit of one source file, made while a process of its own loads it.
 * With `--import` of this file, PLANT says which.
 */
import { plant } from '../../../../test/sim/negative/plant.ts'

const folder = 'model/events/views'

interface Planted {
  readonly breaks: string
  readonly file: string
  readonly find: string
  readonly replace: string
  /** The test that finds it. */
  readonly test: 'views' | 'views-random' | 'views-work'
}

export const planted: readonly Planted[] = [
  {
    breaks: 'late events are folded in at the end, though their order counts',
    file: 'batch.ts',
    find: 'if (late && (!view.commutative || group.dirty !== undefined))',
    replace: 'if (late && group.dirty !== undefined)',
    test: 'views-random',
  },
  {
    breaks: 'snapshots stay that a late event has come before, of views whose order is of no matter',
    file: 'batch.ts',
    find: 'await this.#dropSnapshots(key, stale, new Set())',
    replace: '',
    test: 'views-random',
  },
  {
    breaks: 'snapshots stay that were folded before a late event came, and are not taken anew',
    file: 'batch.ts',
    find: 'if (!anew.has(markAtEnd(entry.key)))',
    replace: 'if (false)',
    test: 'views-random',
  },
  {
    breaks: 'an event that comes again with another value counts twice',
    file: 'batch.ts',
    find: 'if (before !== undefined) this.#remove(',
    replace: 'if (before !== undefined && redacted) this.#remove(',
    test: 'views-random',
  },
  {
    breaks: 'a key that is gone is not told of',
    file: 'batch.ts',
    find: 'const changed = answer !== old',
    replace: 'const changed = answer !== old && answer !== undefined',
    test: 'views-random',
  },
  {
    breaks: 'what is erased stays in what readers had before',
    file: 'batch.ts',
    find: 'before: group.erased ? undefined : correction',
    replace: 'before: correction',
    test: 'views',
  },
  {
    breaks: 'corrections are told as advances',
    file: 'batch.ts',
    find: 'changed && corrects && old !== undefined',
    replace: 'false',
    test: 'views',
  },
  {
    breaks: 'how far a build is, is kept one step behind its states',
    file: 'builder.ts',
    find: 'value: encodeText(next)',
    replace: 'value: encodeText(this.#progress)',
    test: 'views-random',
  },
  {
    breaks: 'states that a throw left half way are gone on with',
    file: 'builder.ts',
    find: 'this.#held.clear()',
    replace: '',
    test: 'views-random',
  },
  {
    breaks: 'the past is folded from snapshots of a later position',
    file: 'builder.ts',
    find: 'found.find((s) => within(s.reach, positions))',
    replace: 'found.find(() => true)',
    test: 'views-random',
  },
  {
    breaks: 'what lies between snapshots of which some were dropped is passed over',
    file: 'batch.ts',
    find: 'folding.least.fill(0)',
    replace: '',
    test: 'views-random',
  },
  {
    breaks: 'snapshots are put back though something came before them meanwhile',
    file: 'builder.ts',
    find: 'if (this.#generation !== generation) return',
    replace: '',
    test: 'views',
  },
  {
    breaks: 'positions begin anew, and a view does not see it',
    file: 'builder.ts',
    find: 'own.incarnation !== identity.incarnation',
    replace: 'false',
    test: 'views',
  },
  {
    breaks: 'history has what the view has not come to yet',
    file: 'history.ts',
    find: '!event.redacted && event.position <= position',
    replace: '!event.redacted',
    test: 'views-random',
  },
  {
    breaks: 'history has erased events',
    file: 'history.ts',
    find: '!event.redacted && event.position <= position',
    replace: 'event.position <= position',
    test: 'views-random',
  },
  {
    breaks: 'the other streams of an event at the end of a page are passed over',
    file: 'history.ts',
    find: 'found.push(...(await store.get([afterKey])))',
    replace: '',
    test: 'views-random',
  },
  {
    breaks: 'a new version goes on with the states of the old one',
    file: 'running-view.ts',
    find: 'find((b) => b?.version === version)',
    replace: 'find((b) => b !== undefined)',
    test: 'views-random',
  },
  {
    breaks: 'readers are not told that another version answers',
    file: 'running-view.ts',
    find: 'const reset = after > 0 && Math.floor(after / 2 ** 32) !== space.build',
    replace: 'const reset = false',
    test: 'views-random',
  },
  {
    breaks: 'no snapshot is ever used',
    file: 'batch.ts',
    find: 'new Folding(view, snapshotEvery, sources.length, base)',
    replace: 'new Folding(view, snapshotEvery, sources.length, undefined)',
    test: 'views-random',
  },
  {
    breaks: 'no snapshot is ever taken',
    file: 'folding.ts',
    find: 'if (this.since >= this.#every && this.sinceBytes >= this.#length) this.#snap()',
    replace: '',
    test: 'views-work',
  },
  {
    breaks: 'a view of unordered events folds again from a late one',
    file: 'batch.ts',
    find: 'if (late && (!view.commutative || group.dirty !== undefined))',
    replace: 'if (late)',
    test: 'views-work',
  },
  {
    breaks: 'a new build follows what was received instead of reading it in order',
    file: 'builder.ts',
    find: 'scan: firstMark,',
    replace: 'scan: undefined,',
    test: 'views-work',
  },
  {
    breaks: 'late events cost a fold a page',
    file: 'builder.ts',
    find: 'const most = batch.again ? lateEvents',
    replace: 'const most = batch.again ? 64',
    test: 'views-work',
  },
  {
    breaks: 'a view that has stopped keeps what is erased',
    file: 'running-view.ts',
    find: 'if (!(await this.#stoppedWatch.concerned())) return',
    replace: 'return',
    test: 'views',
  },
  {
    breaks: 'a version that answers meanwhile keeps what is erased',
    file: 'running-view.ts',
    find: 'if (await this.#formerWatch.concerned())',
    replace: 'if (false)',
    test: 'views',
  },
  {
    breaks: 'nothing yields',
    file: 'folding.ts',
    find: '- this.#began >= this.#sliceMicros',
    replace: '< 0',
    test: 'views-work',
  },
]

const which = process.env.PLANT
if (which !== undefined) {
  const { breaks, file, find, replace } = planted[Number(which)]
  plant({ name: breaks, breaks, edits: [{ file: `${folder}/${file}`, find, replace }], wishes: {}, guards: /./ })
}
