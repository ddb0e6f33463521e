// What a person sets of a folder takes effect at once, and holds over a restart: a backup device keeps what was edited on it, old versions
// stay below their limit, and files that too few devices have are told of.
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Device } from './support/device.ts'
import { randomBytes } from './support/random.ts'
import { until } from './support/until.ts'
import { get, pair, settle, useWorld } from './support/world.ts'

interface Version {
  readonly id: string
  readonly here: boolean
}

async function versionsOf(device: Device, ...path: readonly string[]): Promise<readonly Version[]> {
  const { versions } = (await device.json(['history', device.path(...path)])) as { versions: readonly Version[] }
  return versions
}

function keptSizes(versions: string): readonly number[] {
  const files = readdirSync(versions, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  return files.map(entry => statSync(join(entry.parentPath, entry.name)).size)
}

describe('e2e: settings of a folder', function () {
  this.timeout(120_000)
  const world = useWorld(['desk', 'lamp'])
  let desk: Device
  let lamp: Device

  /** Goes on when that version is known. */
  async function write(name: string, bytes: Buffer, versions: number): Promise<void> {
    writeFileSync(desk.path('notes', name), bytes)
    const isKnown = async (): Promise<boolean> => {
      const { code, stdout } = await desk.cli(['history', desk.path('notes', name), '--json'])
      return code === 0 && (JSON.parse(stdout) as { versions: readonly unknown[] }).versions.length === versions
    }
    await until(isKnown, { timeoutMs: 20_000, what: `version ${versions} of ${name} is known` })
  }

  async function editAndRestore(name: string): Promise<Buffer> {
    const old = randomBytes(100_000)
    await write(name, old, 1)
    await write(name, randomBytes(90_000), 2)
    await desk.cli([
      'restore',
      desk.path('notes', name),
      '--version',
      (await versionsOf(desk, 'notes', name))[1]?.id ?? '',
    ])
    return old
  }

  before(async () => {
    desk = world.device('desk')
    lamp = world.device('lamp')
    mkdirSync(desk.path('notes'))
    await desk.start(desk.path('notes'))
  })

  it('by default the content that a person writes over in place is nowhere any more', async () => {
    const old = await editAndRestore('plain.bin')
    expect(readFileSync(desk.path('notes', 'plain.bin')).equals(old)).to.equal(false)
  })

  it('versions = all keeps it, of files that were there before too, and over a restart', async () => {
    const before = randomBytes(50_000)
    await write('before.bin', before, 1)
    await desk.ok(['folder', 'set', 'notes', 'versions=all'])
    const isKept = (): boolean => keptSizes(desk.path('notes', '.kith', 'versions')).includes(before.length)
    await until(isKept, { timeoutMs: 10_000, what: 'what is there already is kept' })
    expect((await editAndRestore('a.bin')).equals(readFileSync(desk.path('notes', 'a.bin')))).to.equal(true)
    await write('before.bin', randomBytes(40_000), 2)
    const [, first] = await versionsOf(desk, 'notes', 'before.bin')
    expect(first?.here).to.equal(true)
    await desk.stop()
    await desk.start()
    expect((await editAndRestore('b.bin')).equals(readFileSync(desk.path('notes', 'b.bin')))).to.equal(true)
  })

  it('min-copies: status warns, in words, of what fewer devices have', async () => {
    await desk.ok(['folder', 'set', 'notes', 'min-copies=2'])
    const warned = async (): Promise<boolean> => (await desk.ok(['status'])).stdout.includes('fewer than 2 devices')
    await until(warned, { timeoutMs: 30_000, what: 'status warns' })
    const { problems } = await desk.folder('notes')
    expect(problems.map(({ code }) => code)).to.deep.equal(['few-copies'])
    await lamp.start()
    await pair(desk, lamp)
    await get(lamp, 'notes', lamp.path('notes'))
    await settle([desk, lamp], 'notes')
    await until(async () => !(await warned()), { timeoutMs: 60_000, what: 'status warns no more' })
  })

  it('a limit is written down, shown, and refused where it is none', async () => {
    const { stdout } = await desk.ok(['folder', 'set', 'notes', 'version-limit=200MB'])
    expect(stdout).to.contain('version-limit = 200')
    expect((await desk.cli(['folder', 'set', 'notes', 'version-limit=much'])).code).to.not.equal(0)
    await desk.stop()
    await desk.start()
    expect((await desk.ok(['folder', 'set', 'notes'])).stdout).to.contain('version-limit = 200')
  })
})
