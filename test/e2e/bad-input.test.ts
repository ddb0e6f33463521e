// What people get wrong. Each is answered by one clear sentence on stderr and the right exit code, and changes nothing.

import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import type { Device } from './support/device.ts'
import type { RunResult } from './support/process.ts'
import { diffTrees, readTree } from './support/tree.ts'
import { pair, useWorld } from './support/world.ts'

describe('e2e: bad input', function () {
  this.timeout(120_000)
  const world = useWorld(['desk', 'lamp', 'shelf'], { ordinary: true })
  let desk: Device
  let lamp: Device

  /** Exit code, one sentence, and it names what it is about. */
  function refused(result: RunResult, code: number, about: RegExp): void {
    const told = result.stderr.trim()
    expect(result.code, told || result.stdout).to.equal(code)
    expect(told, 'one line').to.match(/^[^\n]{10,400}$/)
    expect(told, 'no stack, no object').to.not.match(/\n\s+at |\[object|undefined|^\{/)
    expect(told).to.match(about)
  }

  /** Devices, folders and files are as before. */
  async function changesNothing(device: Device, work: () => Promise<void>): Promise<void> {
    const facts = async () => {
      const { devices, folders } = await device.status()
      return [devices.map(({ id }) => id), folders.map(({ id, path }) => [id, path])]
    }
    const before = await facts()
    const tree = readTree(device.path('files'))
    await work()
    expect(await facts()).to.deep.equal(before)
    expect(diffTrees(tree, readTree(device.path('files')), ['before', 'after'])).to.equal('')
  }

  before(async function () {
    this.timeout(30_000)
    desk = world.device('desk')
    lamp = world.device('lamp')
    for (const device of world.devices) {
      mkdirSync(device.path('files', 'notes', 'inner'), { recursive: true })
      mkdirSync(device.path('files', 'unreadable'))
      writeFileSync(device.path('files', 'a file'), 'a file')
      writeFileSync(device.path('files', 'notes', 'note.txt'), 'note')
      symlinkSync('notes', device.path('files', 'link'))
      chmodSync(device.path('files', 'unreadable'), 0o000)
      await device.start()
    }
    await desk.ok(['add', desk.path('files', 'notes')])
    await desk.ok(['wait', '--timeout', '20'])
  })

  describe('folders', () => {
    const cases: readonly [string, string, RegExp][] = [
      ['a folder inside another', 'files/notes/inner', /notes/],
      ['a folder around another', 'files', /notes/],
      ['the same folder again', 'files/notes', /notes/],
      ['the same folder by a symlink', 'files/link', /notes|link/],
      ['a folder inside another by a symlink', 'files/link/inner', /notes|link/],
      ['a path that is a file', 'files/a file', /a file/],
      ['a path below a file', 'files/a file/below', /a file/],
      ['an unreadable root', 'files/unreadable', /unreadable/],
      ['a path that does not exist', 'files/no such/path', /no such/],
      ['the home itself', 'home', /home/],
    ]
    for (const [what, path, about] of cases) {
      it(`add: ${what}`, () =>
        changesNothing(desk, async () => refused(await desk.cli(['add', desk.path(path)]), 1, about)))
    }

    it('get: a name that nobody offers', () =>
      changesNothing(desk, async () => refused(await desk.cli(['get', 'nothing', desk.path('x')]), 1, /nothing/)))

    it('folder remove: a name that is not here', () =>
      changesNothing(desk, async () => refused(await desk.cli(['folder', 'remove', 'nothing']), 1, /nothing/)))

    it('folder approve: nothing is held', () =>
      changesNothing(desk, async () => refused(await desk.cli(['folder', 'approve', 'notes']), 1, /notes/)))

    it('device remove: a name that is not paired', () =>
      changesNothing(desk, async () => refused(await desk.cli(['device', 'remove', 'nobody']), 1, /nobody/)))
  })

  describe('codes', () => {
    /** The code that `pair` shows; it goes on until `end`. */
    async function shownCode(...args: readonly string[]): Promise<{ code: string; end: () => Promise<number> }> {
      const shower = desk.spawn(['pair', '--json', ...args])
      const { code } = JSON.parse(await shower.lines.next(10_000)) as { code: string }
      expect(code).to.match(/^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/)
      return {
        code,
        end: () => {
          shower.end()
          return shower.ended()
        },
      }
    }

    it('what cannot be a code at all is wrong usage or refused', () =>
      changesNothing(lamp, async () => {
        const result = await lamp.cli(['pair', 'not-a-code!'])
        expect(result.code).to.be.oneOf([1, 2])
        refused(result, result.code, /code/i)
      }))

    it('a wrong code', () =>
      changesNothing(lamp, async () => {
        const { code, end } = await shownCode()
        const wrong = `${code.slice(0, -1)}${code.endsWith('0') ? '1' : '0'}`
        refused(await lamp.cli(['pair', wrong]), 1, /code/i)
        await end()
      }))

    it('a code that nobody shows', () =>
      changesNothing(lamp, async () => refused(await lamp.cli(['pair', '0000-0000']), 1, /code|device/i)))

    it('a code whose time is over', () =>
      changesNothing(lamp, async () => {
        const shower = desk.spawn(['pair', '--json', '--timeout', '1'])
        const { code } = JSON.parse(await shower.lines.next(10_000)) as { code: string }
        expect(await shower.ended()).to.equal(4)
        refused(await lamp.cli(['pair', code]), 1, /code|device/i)
        expect((await desk.status()).devices).to.deep.equal([])
      }))

    it('a code that was used', async () => {
      const shelf = world.device('shelf')
      const { code, end } = await shownCode()
      await lamp.ok(['pair', code])
      expect(await end()).to.equal(0)
      await changesNothing(shelf, async () => refused(await shelf.cli(['pair', code]), 1, /code|device/i))
      expect((await desk.status()).devices.map(({ name }) => name)).to.deep.equal(['lamp'])
    })

    it('two groups that both have members', async () => {
      const shelf = world.device('shelf')
      const fourth = world.add('fourth')
      await fourth.start()
      await pair(shelf, fourth)
      const { code, end } = await shownCode()
      await changesNothing(shelf, async () => refused(await shelf.cli(['pair', code]), 1, /group|home|already/i))
      await end()
    })
  })

  describe('usage', () => {
    const cases: readonly (readonly string[])[] = [
      ['nonsense'],
      ['add'],
      ['status', '--nonsense'],
      ['wait', '--timeout', 'soon'],
    ]
    for (const args of cases) {
      it(`kith ${args.join(' ')}: exit 2`, async () => {
        const result = await desk.cli(args)
        expect(result.code, result.stderr).to.equal(2)
        expect(result.stderr).to.match(/\S{3}/)
        expect(result.stderr).to.not.match(/\n\s+at /)
      })
    }

    it('help and version end 0 on stdout, without a daemon too', async () => {
      for (const args of [['help'], ['--help'], ['add', '--help'], ['--version']]) {
        const result = await world.device('shelf').ok(args)
        expect(result.stdout.trim()).not.to.equal('')
        expect(result.stderr).to.equal('')
      }
    })
  })

  describe('the daemon', () => {
    it('a second one on the same home ends 1, the first goes on', async () => {
      const { daemon } = await desk.status()
      const result = await desk.cli(['up'], { timeoutMs: 20_000 })
      expect(result.code).to.equal(1)
      expect(sentences(result)).to.have.length(1)
      expect(sentences(result)[0]).to.match(/running|already/i)
      expect((await desk.status()).daemon.pid).to.equal(daemon.pid)
    })

    it('none: exit 3, for every command that needs one', async () => {
      await desk.stop()
      for (const args of [
        ['status'],
        ['status', '--json'],
        ['wait'],
        ['pair'],
        ['pair', '7F3K-Q2XM'],
        ['devices'],
        ['device', 'remove', 'lamp'],
        ['add', desk.path('files')],
        ['folders'],
        ['get', 'notes'],
        ['folder', 'remove', 'notes'],
        ['conflicts'],
        ['events'],
        ['stop'],
      ]) {
        refused(await desk.cli(args, { timeoutMs: 20_000 }), 3, /daemon|kith (up|start)/i)
      }
    })

    it('a damaged config: exit 1, names the file and the line, leaves it as it is', async () => {
      const path = `${desk.home}/config.toml`
      for (const damage of ['this is = = not toml\n', '[[[\n', 'no-such-setting-at-all = 5\n', 'name = 5\n']) {
        writeFileSync(path, damage, { mode: 0o600 })
        const before = readdirSync(desk.home).sort()
        const result = await desk.cli(['up'], { timeoutMs: 20_000 })
        expect(result.code, damage).to.equal(1)
        expect(sentences(result), damage).to.have.length(1)
        expect(sentences(result)[0], damage).to.match(/config\.toml/)
        expect(readFileSync(path, 'utf8')).to.equal(damage)
        expect(readdirSync(desk.home).sort()).to.deep.equal(before)
      }
    })

    it('a home that others may read: exit 1', async () => {
      writeFileSync(`${desk.home}/config.toml`, '')
      await desk.start()
      await desk.stop()
      chmodSync(desk.home, 0o755)
      for (const name of readdirSync(desk.home)) {
        if (/key|identity/.test(name)) chmodSync(`${desk.home}/${name}`, 0o644)
      }
      const result = await desk.cli(['up'], { timeoutMs: 20_000 })
      expect(result.code).to.equal(1)
      expect(sentences(result)).to.have.length(1)
    })
  })
})

/** What was said to a person: the lines of stderr that are no log records. */
function sentences(result: RunResult): string[] {
  return result.stderr.split('\n').filter(line => line.trim() !== '' && !line.startsWith('{'))
}
