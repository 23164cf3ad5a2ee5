/**
 * Golden scripts: SQL steps of several sessions, and what each printed, in one text file.
 *
 *   # a comment
 *   a> begin; select 1          a step of session a; its output follows, indented
 *     1
 *   b> update t set x = 2       a step that has to wait says so, and prints when it is done
 *     (waits)
 *   a> commit
 *     COMMIT
 *     b: UPDATE 1
 *
 * Run with UPDATE=1 to write what was printed into the file, then read the difference.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { DbError, END, WAIT } from '../../src/base/index.ts'
import { nodeIo, turn } from '../../src/io/node/index.ts'
import { openDatabase } from '../../src/node/database.ts'
import type { SqlDatabase, SqlSession } from '../../src/sql/index.ts'

interface Step {
  readonly session: string
  readonly sql: string
}

type Line = { readonly comment: string } | Step

export function parseScript(text: string): Line[] {
  const out: Line[] = []
  for (const line of text.split('\n')) {
    const step = /^(\w+)> (.*)$/.exec(line)
    if (step !== null) out.push({ session: step[1], sql: step[2] })
    else if (line.startsWith('#') || (line === '' && out.length > 0)) out.push({ comment: line })
  }
  return out
}

class Runner {
  readonly #database: SqlDatabase
  readonly #sessions = new Map<string, SqlSession>()
  /** What unfinished steps have printed since the last look. */
  readonly #late: string[] = []

  constructor(database: SqlDatabase) {
    this.#database = database
  }

  async run(step: Step): Promise<string[]> {
    const session = this.#session(step.session)
    let finished = false
    const lines: string[] = []
    let waited = false
    const done = this.#statements(session, step.sql, (line) => {
      if (waited) this.#late.push(`${step.session}: ${line}`)
      else lines.push(line)
    }).then(() => {
      finished = true
    })
    void done
    // Everything that can go on does; what is left waits for another session.
    for (let i = 0; i < 20 && !finished; i++) await turn()
    if (!finished) {
      waited = true
      lines.push('(waits)')
    }
    for (let i = 0; i < 20; i++) await turn()
    return [...lines, ...this.#late.splice(0)]
  }

  #session(name: string): SqlSession {
    let session = this.#sessions.get(name)
    if (session === undefined) {
      session = this.#database.connect({ user: 'lattice', database: 'lattice', parameters: new Map(), client: '' })
      session.events = {
        notice: (n) => this.#late.push(`${name}: ${n.severity}: ${n.error.message}`),
        parameter: () => {},
        notification: (_pid, channel, payload) => this.#late.push(`${name}: notification ${channel} '${payload}'`),
        terminate: () => {},
      }
      this.#sessions.set(name, session)
    }
    return session
  }

  async #statements(session: SqlSession, sql: string, print: (line: string) => void): Promise<void> {
    try {
      const script = session.script(sql)
      for (let portal = script.next(); portal !== undefined; portal = script.next()) {
        const p = portal
        const rows: string[] = []
        for (;;) {
          const step = p.run(
            {
              row: (r) => {
                rows.push(
                  (p.fields ?? [])
                    .map((f) => (r[f.slot] === null ? 'NULL' : f.type.format(r[f.slot], session.types)))
                    .join(' | '),
                )
                return true
              },
              copyOut: () => true,
            },
            0,
          )
          if (step === END) break
          if (step === WAIT) await p.ready()
        }
        for (const row of rows) print(row)
        if (rows.length === 0) print(p.tag)
      }
      while (session.sync() === WAIT) await session.ready()
    } catch (error) {
      if (!(error instanceof DbError)) throw error
      session.fail()
      print(`ERROR ${error.sqlstate}: ${error.message}`)
      if (error.detail !== undefined) print(`DETAIL: ${error.detail}`)
    }
  }
}

/** The script with its outputs as they are now. */
export async function play(text: string): Promise<string> {
  const io = nodeIo({ logLevel: 'silent' })
  const opened = await openDatabase({ io, directory: undefined })
  const runner = new Runner(opened.database)
  const out: string[] = []
  for (const line of parseScript(text)) {
    if ('comment' in line) {
      out.push(line.comment)
      continue
    }
    out.push(`${line.session}> ${line.sql}`)
    for (const printed of await runner.run(line)) out.push(`  ${printed === '' ? "''" : printed}`.trimEnd())
  }
  await opened.close()
  await io.stop()
  return `${out.join('\n').trimEnd()}\n`
}

/** Plays a script and compares; with UPDATE=1 writes the file. Returns what differs, undefined when nothing does. */
export async function check(path: string): Promise<{ expected: string; actual: string } | undefined> {
  const expected = readFileSync(path, 'utf8')
  const actual = await play(expected)
  if (process.env.UPDATE === '1') writeFileSync(path, actual)
  return actual === expected || process.env.UPDATE === '1' ? undefined : { expected, actual }
}
