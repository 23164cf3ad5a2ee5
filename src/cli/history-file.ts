/**
 * The shell's history in ~/.lattice_history, newest line last. A home that cannot be written to is no reason to fail.
 *
 * Not here: the line editor.
 */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { type Io, readText, writeText } from '../io/index.ts'
import type { HistoryStore } from './shell/shell.ts'

export function historyFile(io: Io): HistoryStore {
  const path = join(homedir(), '.lattice_history')
  return {
    async load() {
      const text = await readText(io, path).catch(() => '')
      return text
        .split('\n')
        .filter((line) => line !== '')
        .reverse()
    },
    async save(lines) {
      const text = [...lines]
        .reverse()
        .map((line) => line + '\n')
        .join('')
      await writeText(io, path, text).catch(() => {})
    },
  }
}
