/**
 * The CommonJS half of the package, for test runners that load nothing else (jest as it comes): everything that the
 * client and the testing entry reach, module by module, in `cjs/` with the same paths.
 *
 *   src/a/b.ts ──▶ cjs/a/b.js, cjs/a/b.d.ts       data files are those of the ES modules; so are worker threads' modules
 *
 * Dependencies that come as ES modules only are taken along in `cjs/vendor`.
 *
 * Not here: the ES modules (pack.ts).
 */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import ts from 'typescript-6'

interface Module {
  readonly file: string
  /** Path below `cjs`, with .js. */
  readonly name: string
}

/** What a dependency's import names stand for. */
function vendored(root: string): Map<string, Module> {
  const packages = join(root, 'node_modules')
  const utils = (name: string): Module => ({
    file: join(packages, 'temporal-utils/dist', `${name}.js`),
    name: `vendor/temporal-utils/${name}.js`,
  })
  return new Map([
    [
      'temporal-polyfill',
      { file: join(packages, 'temporal-polyfill/index.js'), name: 'vendor/temporal-polyfill/index.js' },
    ],
    ['temporal-utils', utils('index')],
    ['temporal-utils/protected', utils('protected')],
    ['temporal-utils/protected-error-messages', utils('protected-error-messages')],
  ])
}

/** Writes `out/cjs` for the entries, which are paths below `source`. Returns how many modules that took. */
export function writeCommonJs(root: string, source: string, out: string, entries: readonly string[]): number {
  const vendor = vendored(root)
  const seen = new Map<string, Module>()
  const queue = entries.map((entry): Module => ({ file: join(source, entry), name: entry.replace(/\.ts$/, '.js') }))
  for (let module = queue.pop(); module !== undefined; module = queue.pop()) {
    if (seen.has(module.file)) continue
    seen.set(module.file, module)
    queue.push(...convert(module, out, vendor))
  }
  writeFileSync(join(out, 'cjs/package.json'), '{"type":"commonjs"}\n')
  return seen.size
}

/** Writes one module and returns those that it needs. */
function convert(module: Module, out: string, vendor: ReadonlyMap<string, Module>): Module[] {
  const target = join(out, 'cjs', module.name)
  mkdirSync(dirname(target), { recursive: true })
  const needed: Module[] = []
  const text = readFileSync(module.file, 'utf8')
    .replaceAll('createRequire(import.meta.url)', 'require')
    // Workers run the ES modules.
    .replaceAll('import.meta.url', `require('node:url').pathToFileURL(${esModule(module, out, target)}).href`)
  const { outputText } = ts.transpileModule(text, {
    fileName: module.file,
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2023, esModuleInterop: true },
  })
  const rewritten = outputText.replace(/\brequire\((["'])([^"']+)\1\)/g, (call, quote: string, name: string) => {
    const other = vendor.get(name) ?? relativeModule(module, name)
    if (other === undefined) return call
    if (name.endsWith('.json')) return `require(${quote}${specifier(target, join(out, other.name))}${quote})`
    needed.push(other)
    return `require(${quote}${specifier(target, join(out, 'cjs', other.name))}${quote})`
  })
  writeFileSync(target, rewritten)
  const types = join(out, module.name.replace(/\.js$/, '.d.ts'))
  if (existsSync(types)) cpSync(types, target.replace(/\.js$/, '.d.ts'))
  return needed
}

function esModule(module: Module, out: string, target: string): string {
  return `require('node:path').join(__dirname, ${JSON.stringify(relative(dirname(target), join(out, module.name)))})`
}

function relativeModule(from: Module, name: string): Module | undefined {
  if (!name.startsWith('.')) return undefined
  return {
    file: join(dirname(from.file), name),
    name: join(dirname(from.name), name).replace(/\.ts$/, '.js'),
  }
}

function specifier(from: string, to: string): string {
  const path = relative(dirname(from), to)
  return path.startsWith('.') ? path : `./${path}`
}
