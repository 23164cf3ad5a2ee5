/**
 * `npm run bench:<name>`: runs bench/<name>.ts with the arguments that follow.
 *
 * Not here: what is measured.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const [name = '', ...args] = process.argv.slice(2)
const program = fileURLToPath(new URL(`./${name}.ts`, import.meta.url))
if (!/^[a-z-]+$/.test(name) || !existsSync(program)) {
  process.stderr.write(`there is no benchmark called '${name}'\n`)
  process.exitCode = 2
} else {
  process.exitCode =
    spawnSync(process.execPath, [...process.execArgv, program, ...args], { stdio: 'inherit' }).status ?? 1
}
