/**
 * Writes dist/, the package as it is published: JavaScript and declarations instead of TypeScript, data files beside
 * them, the same as CommonJS (commonjs.ts), the launcher, and a package.json of its own. `npm pack ./dist` makes the tarball.
 *
 *   node tools/pack.ts [OUT]
 *
 * Not here: versions and publishing.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeCommonJs } from './commonjs.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const out = resolve(process.argv[2] ?? join(root, 'dist'))

rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })

const config = join(out, 'tsconfig.json')
writeFileSync(
  config,
  JSON.stringify({
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      outDir: out,
      rootDir: join(root, 'src'),
      typeRoots: [join(root, 'node_modules/@types')],
      declaration: true,
      stripInternal: true,
      rewriteRelativeImportExtensions: true,
    },
    include: [join(root, 'src/**/*.ts')],
    exclude: ['test', 'conformance', 'fixture', 'harness'].map((kind) => join(root, `src/**/*.${kind}.ts`)),
  }),
)
const compiler = join(root, 'node_modules/.bin/tsc')
const compiled = spawnSync(compiler, ['-p', config], { stdio: 'inherit', cwd: root })
if (compiled.status !== 0) process.exit(1)
rmSync(config)

const source = join(root, 'src')
for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
  const path = join(entry.parentPath, entry.name)
  const name = relative(source, path)
  if (!entry.isFile() || name.endsWith('.ts') || /(^|\/)golden\//.test(name)) continue
  mkdirSync(dirname(join(out, name)), { recursive: true })
  cpSync(path, join(out, name))
}
for (const file of ['README.md', 'LICENSE', 'COMPAT.md']) cpSync(join(root, file), join(out, file))
mkdirSync(join(out, 'bin'))
cpSync(join(root, 'bin/lattice'), join(out, 'bin/lattice'))

const {
  name,
  version,
  description,
  license,
  type,
  engines,
  bin,
  dependencies,
  peerDependencies,
  peerDependenciesMeta,
} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const entries = ['client/index', 'testing/index']
writeCommonJs(
  root,
  source,
  out,
  entries.map((path) => `${path}.ts`),
)
const entry = (path: string) => ({
  require: { types: `./cjs/${path}.d.ts`, default: `./cjs/${path}.js` },
  default: { types: `./${path}.d.ts`, default: `./${path}.js` },
})
const modules = (path: string) => ({ types: `./${path}.d.ts`, default: `./${path}.js` })
const exports = {
  '.': entry(entries[0]),
  './testing': entry(entries[1]),
  // ES modules only: browsers load them as they are, and every Node that this runs on requires them.
  './events': { browser: modules('client/events/browser'), default: modules('client/events/index') },
  './events/react': modules('client/events/react'),
  './package.json': './package.json',
}
const peers = { peerDependencies, peerDependenciesMeta }
const published = { name, version, description, license, type, engines, bin, exports, dependencies, ...peers }
writeFileSync(join(out, 'package.json'), `${JSON.stringify(published, undefined, 2)}\n`)
process.stdout.write(`${out}: ${readdirSync(out, { recursive: true }).length} files\n`)
