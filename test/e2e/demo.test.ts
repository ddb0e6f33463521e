// `kith demo` as a newcomer types it: it ends 0, shows two devices that meet and merge, and leaves nothing behind.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { expect } from 'chai'
import { MAIN } from './support/device.ts'
import { figure, seconds } from './support/figures.ts'
import { runProcess } from './support/process.ts'
import { useWorld } from './support/world.ts'

const DEMO_MS = 60_000
const MARK = 'KITH_E2E_DEMO'

describe('e2e: the demo', function () {
  this.timeout(90_000)
  const world = useWorld(['alone'])

  for (const [what, enter] of [
    ['on a machine with a network', (): readonly string[] => world.device('alone').node.enter],
    ['on this machine as it is', (): readonly string[] => []],
  ] as const) {
    it(`${what}: merges, ends 0, leaves no process and no file`, async () => {
      const device = world.device('alone')
      const where = device.path(what.replaceAll(' ', '-'))
      for (const name of ['tmp', 'home', 'cwd']) mkdirSync(`${where}/${name}`, { recursive: true })
      const mark = `${process.pid}-${enter().length}`
      const { KITH_HOME: _, XDG_CONFIG_HOME: __, XDG_DATA_HOME: ___, ...environment } = process.env
      const started = performance.now()
      const result = await runProcess([...enter(), process.execPath, MAIN, 'demo'], {
        timeoutMs: DEMO_MS,
        cwd: `${where}/cwd`,
        env: { ...environment, TMPDIR: `${where}/tmp`, HOME: `${where}/home`, [MARK]: mark },
      })
      figure(`${seconds(performance.now() - started)}, ${result.stdout.split('\n').length} lines`)
      expect(result.code, `${result.stderr}\n${result.stdout}`).to.equal(0)
      expect(result.stderr).to.not.match(/error|\n\s+at /i)
      expect(result.stdout).to.match(/pair/i)
      // `OLD  →  NEW` for each edit made apart; the file shown at the end has every NEW and no OLD
      const edits = [...result.stdout.matchAll(/: +(.+?) +→ +(.+)$/gm)]
      const shown = result.stdout.slice(result.stdout.lastIndexOf('→')).split('\n').slice(1)
      const lines = shown.map(line => line.trim())
      expect(edits).to.have.length(2)
      for (const [, old = '', edited = ''] of edits) {
        expect(lines).to.include(edited)
        expect(lines).to.not.include(old)
      }
      expect(withMark(mark), 'processes left').to.deep.equal([])
      expect(filesBelow(where), 'files left').to.deep.equal([])
    })
  }
})

/** Command lines of the processes that carry the mark in their environment. */
function withMark(mark: string): string[] {
  const found: string[] = []
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      if (readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`${MARK}=${mark}`)) {
        found.push(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '))
      }
    } catch {
      // it ended meanwhile
    }
  }
  return found
}

function filesBelow(directory: string): string[] {
  const out = execFileSync('find', [directory, '!', '-type', 'd'], { encoding: 'utf8' })
  return out.split('\n').filter(line => line !== '')
}
