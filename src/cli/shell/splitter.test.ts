import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StatementSplitter } from './splitter.ts'

function split(text: string, size = text.length): string[] {
  const splitter = new StatementSplitter()
  const out: string[] = []
  const take = () => {
    for (let piece = splitter.take(); piece !== undefined; piece = splitter.take()) {
      out.push(piece.kind === 'statement' ? piece.text : `${piece.before}|${piece.text}`)
    }
  }
  for (let at = 0; at < text.length; at += size) {
    splitter.feed(text.slice(at, at + size))
    take()
  }
  const last = splitter.finish()
  if (last !== undefined) out.push(last.kind === 'statement' ? last.text : last.text)
  return out
}

const cases: [text: string, pieces: string[]][] = [
  ['select 1; select 2', ['select 1', 'select 2']],
  [" ;; -- nothing\n /* ; */ ;\n select ';' ;", ["select ';'"].map((text) => text)],
  ['select \'it\'\'s;\' as "a;""b";x', ['select \'it\'\'s;\' as "a;""b"', 'x']],
  ["select E'\\';' , 'a\\';y", ["select E'\\';' , 'a\\'", 'y']],
  ['do $$ begin; end $$; select $a$ $$; $b$ $a$;z', ['do $$ begin; end $$', 'select $a$ $$; $b$ $a$', 'z']],
  ['select a$b$c; d$1', ['select a$b$c', 'd$1']],
  ['select $1; x', ['select $1', 'x']],
  ['a /* x /* ; */ ; */ b; c', ['a /* x /* ; */ ; */ b', 'c']],
  ['select (1;2); y', ['select (1;2)', 'y']],
  ['\\d t\nselect 1 \\gx\nselect 2;', ['|\\d t', 'select 1|\\gx', 'select 2']],
]

test('statements and commands, whole and in single characters', () => {
  for (const [text, pieces] of cases) {
    assert.deepEqual(split(text), pieces, text)
    // A command ends with its line, so its input must come by lines.
    if (!text.includes('\\d')) assert.deepEqual(split(text, 1), pieces, text)
  }
})

test('the prompt knows what is open', () => {
  const standing = (text: string) => {
    const splitter = new StatementSplitter()
    splitter.feed(text + '\n')
    while (splitter.take() !== undefined) {}
    return splitter.standing
  }
  assert.deepEqual(['', 'select', 'select 1;', "a'", 'a"', '$$', '$x$ $$', '/*', '(', "';", "a -- '"].map(standing), [
    '=',
    '-',
    '=',
    "'",
    '"',
    '$',
    '$',
    '*',
    '(',
    "'",
    '-',
  ]) // prettier-ignore
})

test('a long statement is scanned once', () => {
  const splitter = new StatementSplitter()
  for (let i = 0; i < 20_000; i++) {
    splitter.feed(`insert into t values (${i}, 'x'),\n`)
    assert.equal(splitter.take(), undefined)
  }
  splitter.feed(';')
  assert.equal(splitter.take()?.kind, 'statement')
})

test('raw lines after a statement', () => {
  const splitter = new StatementSplitter()
  splitter.feed("copy t from stdin;\n1\tit's\n\\.\nselect 1;")
  assert.deepEqual(splitter.take(), { kind: 'statement', text: 'copy t from stdin' })
  assert.deepEqual(
    [1, 2, 3].map(() => splitter.takeLine()),
    ['', "1\tit's", '\\.'],
  ) // prettier-ignore
  assert.deepEqual(splitter.take(), { kind: 'statement', text: 'select 1' })
  assert.equal(splitter.takeLine(), undefined)
})
