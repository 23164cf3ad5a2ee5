/**
 * Serves a page and the TypeScript that it is made of to a browser, with no build: types are stripped as files are asked
 * for, and packages that browsers cannot load as they are (CommonJS) are wrapped.
 *
 *   /src/…, /examples/…, /test/browser/…    files of this checkout; of .ts what remains without types
 *   /packages/NAME/…                        ES modules of packages, as they are
 *   /wrapped/NAME                           a CommonJS package as an ES module
 *
 * A page finds packages by the import map that `importMap` gives. Not here: pages.
 */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire, stripTypeScriptTypes } from 'node:module'
import { extname, join, normalize, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const require = createRequire(import.meta.url)

const shown = ['src/', 'examples/', 'test/browser/']
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.ts': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** CommonJS packages by the file that is the package in production, and the packages that it asks for. */
const wrapped: Record<string, string> = {
  react: 'react/cjs/react.production.js',
  'react-dom': 'react-dom/cjs/react-dom.production.js',
  'react-dom/client': 'react-dom/cjs/react-dom-client.production.js',
  scheduler: 'scheduler/cjs/scheduler.production.js',
}

export const importMap = {
  imports: {
    'latticedb/events': '/src/client/events/browser.ts',
    'latticedb/events/react': '/src/client/events/react.ts',
    '@noble/hashes/': '/packages/@noble/hashes/esm/',
    ...Object.fromEntries(Object.keys(wrapped).map((name) => [name, `/wrapped/${name}`])),
  },
}

export interface ModuleServer {
  readonly url: string
  close(): Promise<void>
}

/** `pages` answers paths that are no files: text of a page, or undefined for 404. Port 0 picks a free one. */
export async function serveModules(port: number, pages: (path: string) => string | undefined): Promise<ModuleServer> {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    try {
      const page = pages(pathname)
      const [type, body] = page === undefined ? await fileOf(decodeURIComponent(pathname)) : [types['.html'], page]
      response.writeHead(200, { 'content-type': type, 'cache-control': 'no-cache' }).end(body)
    } catch {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('not here')
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const { port: bound } = server.address() as { port: number }
  const close = () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections()
      server.close(() => resolve())
    })
  return { url: `http://localhost:${bound}`, close }
}

/** Type and content. Throws for what is not there or not to be shown. */
async function fileOf(path: string): Promise<[type: string, body: string | Uint8Array]> {
  const name = normalize(path).slice(1)
  if (name.startsWith('wrapped/')) return [types['.js'], await wrap(name.slice('wrapped/'.length))]
  if (name.startsWith('packages/')) {
    const file = extname(name) === '' ? `${name}.js` : name
    return [types['.js'], await readFile(join(root, 'node_modules', file.slice('packages/'.length)))]
  }
  const type = types[extname(name)]
  if (type === undefined || !shown.some((folder) => name.startsWith(folder))) throw new Error('not shown')
  const body = await readFile(join(root, name), 'utf8')
  return [type, name.endsWith('.ts') ? stripTypeScriptTypes(body) : body]
}

async function wrap(name: string): Promise<string> {
  const text = await readFile(join(root, 'node_modules', wrapped[name]), 'utf8')
  const asked = [...new Set(Array.from(text.matchAll(/\brequire\("([^"]+)"\)/g), (m) => m[1]))]
  const imports = asked.map((other, i) => `import * as package${i} from ${JSON.stringify(other)}`)
  const given = asked.map((other, i) => `${JSON.stringify(other)}: package${i}`)
  const names = Object.keys(require(name)).filter((n) => /^[a-zA-Z_$][\w$]*$/.test(n) && n !== 'default')
  return [
    ...imports,
    'const module = { exports: {} }',
    `;(function (module, exports, require) {${text}\n})(module, module.exports, (name) => ({ ${given.join(', ')} })[name])`,
    'export default module.exports',
    `export const { ${names.join(', ')} } = module.exports`,
  ].join('\n')
}
