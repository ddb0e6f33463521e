// What `npm run build` made: few files with the packages in them, and beside them what is loaded by its name.
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { expect } from 'chai'
import { MAIN } from './support/device.ts'
import { ended, Lines } from './support/process.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** Of 900 that there are unbundled. Most are those of the two packages that stay outside. */
const MOST_MODULES = 100

describe('e2e: the build', function () {
  this.timeout(60_000)
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'kith-build-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  it('a daemon loads few modules, and knows its version', async () => {
    const home = join(directory, 'home')
    const loaded = join(directory, 'loaded')
    mkdirSync(home, { mode: 0o700 })
    writeFileSync(join(home, 'config.toml'), 'discovery = false\n')
    const child = spawn(process.execPath, [MAIN, '--home', home, 'up', '--json'], {
      // Node writes down there what it has loaded.
      env: { ...process.env, NODE_V8_COVERAGE: loaded },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const lines = new Lines(child)
    let text = ''
    try {
      while (!text.endsWith('\n}\n')) text += `${await lines.next(30_000)}\n`
    } finally {
      child.kill('SIGTERM')
      await ended(child)
    }
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
    expect(JSON.parse(text)).to.have.nested.property('device.version', version)
    const modules = readdirSync(loaded).flatMap(file => modulesOf(join(loaded, file)))
    expect(modules).to.include(pathToFileURL(MAIN).href)
    expect(modules).to.have.length.below(MOST_MODULES)
  })

  for (const file of readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('-worker.ts')) continue
    const name = basename(file, '.ts')
    it(`${name} is beside what starts it, and loads`, () => {
      // With nothing to do it ends; the one that checks a database makes one there.
      execFileSync(process.execPath, [join(dirname(MAIN), `${name}.js`), join(directory, 'database')])
    })
  }
})

function modulesOf(coverage: string): string[] {
  const { result } = JSON.parse(readFileSync(coverage, 'utf8')) as { result: readonly { url: string }[] }
  return result.map(each => each.url).filter(url => url.startsWith('file:'))
}
