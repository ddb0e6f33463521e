// Rot as a disk makes it: bits of files and of kept versions are flipped in the unmounted block device, so that no inode, size, mtime or
// ctime shows it. `kith verify` must find all of it, mend what another device holds, and no device may ever show a rotten byte.
// In a mount namespace of its own (`npm run test:fault`); needs root and e2fsprogs.
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { expect } from 'chai'
import { noise } from '../contract/versions-contract.ts'
import { figure } from '../e2e/support/figures.ts'
import { until } from '../e2e/support/until.ts'
import { get, linked, pair, useWorld } from '../e2e/support/world.ts'

const VERSIONS = 50
/** Both others applied the edit of these: the one that stays has them too. */
const HELD_ELSEWHERE = 25
const BLOCK_BYTES = 4096
const FILE_BYTES = 5 * BLOCK_BYTES
/** What two files are apart that were not written at the same moment. */
const RACY_MS = 3_000
const SETTLE_MS = 120_000
/** Longer than a late writer is waited for. */
const AGED_MS = 120_000

interface Verified {
  readonly checked: number
  readonly damaged: readonly { readonly path: string; readonly version: boolean; readonly repaired: boolean }[]
}

/** A file system in a file, which can be taken away and looked into. */
class Disk {
  readonly #image: string
  readonly #at: string

  constructor(image: string, at: string) {
    this.#image = image
    this.#at = at
    writeFileSync(image, '')
    truncateSync(image, 256 * 1024 * 1024)
    execFileSync('mkfs.ext4', ['-q', '-F', '-b', String(BLOCK_BYTES), image])
    mkdirSync(at)
    this.mount()
  }

  mount(): void {
    execFileSync('mount', ['-o', 'loop', this.#image, this.#at])
  }

  unmount(): void {
    execFileSync('umount', [this.#at])
  }

  /** One bit in the first block of each of these inodes. Unmounted. */
  flip(inodes: readonly bigint[]): void {
    const fd = openSync(this.#image, 'r+')
    try {
      for (const ino of inodes) {
        const answer = execFileSync('debugfs', ['-R', `bmap <${ino}> 0`, this.#image], {
          stdio: ['ignore', 'pipe', 'ignore'],
        })
        const block = Number(answer.toString().trim())
        if (!(block > 0)) throw new Error(`inode ${ino} has no block: ${answer}`)
        const byte = Buffer.alloc(1)
        readSync(fd, byte, 0, 1, block * BLOCK_BYTES + 100)
        writeSync(fd, Buffer.of((byte[0] ?? 0) ^ 0x10), 0, 1, block * BLOCK_BYTES + 100)
      }
    } finally {
      closeSync(fd)
    }
  }
}

describe('fault: rot', function () {
  this.timeout(300_000)
  let disk: Disk | undefined
  let other: Disk | undefined
  // Before the world is removed.
  after(async () => {
    for (const device of world.devices) await device.destroy()
    disk?.unmount()
    other?.unmount()
  })
  const world = useWorld(['desk', 'lamp', 'shed'])

  before(() => {
    // On a machine that is shared, nothing else may see the mounts.
    if (process.env['KITH_FAULT'] !== 'unshared') throw new Error('run it by `npm run test:fault`: it mounts')
  })
  it('is found, mended where another device has it, and spreads nowhere', async () => {
    const [desk, lamp, shed] = [world.device('desk'), world.device('lamp'), world.device('shed')]
    disk = new Disk(desk.path('disk.img'), desk.path('disk'))
    const root = desk.path('disk', 'docs')
    mkdirSync(root)
    const path = (n: number): string => `f${String(n).padStart(2, '0')}`
    const first = (n: number): Buffer => noise(1000 + n, FILE_BYTES)
    const second = (n: number): Buffer => noise(2000 + n, FILE_BYTES)
    for (let n = 0; n < VERSIONS + 3; n++) writeFileSync(`${root}/${path(n)}`, first(n))

    for (const device of [desk, lamp, shed]) await device.start()
    await pair(desk, lamp)
    await pair(desk, shed)
    await desk.ok(['add', root])
    for (const device of [lamp, shed]) await get(device, 'docs', device.path('docs'))
    await settled()
    const edit = async (by: typeof lamp, from: number, to: number): Promise<void> => {
      for (let n = from; n < to; n++) writeFileSync(by.path('docs', path(n)), second(n))
      await until(() => readdirSync(`${root}/.kith/versions`).length >= to, { timeoutMs: SETTLE_MS, what: 'versions' })
      await settled()
    }
    await edit(shed, 0, HELD_ELSEWHERE)
    await edit(lamp, HELD_ELSEWHERE, VERSIONS)
    await shed.stop()
    await lamp.stop()
    // Nobody else has these two yet.
    const lone = ['lone1', 'lone2']
    for (const [n, name] of lone.entries()) writeFileSync(`${root}/${name}`, noise(3000 + n, FILE_BYTES))
    // What was written last before the end is looked at anew at the start, and what it is then is a person's: rot in it is no rot.
    const rests = Number(look(`${root}/lone2`).ctimeNs) / 1e6 + RACY_MS
    await until(() => Date.now() > rests, { timeoutMs: 10_000, what: 'the clock moves on' })
    writeFileSync(`${root}/last`, noise(4000, FILE_BYTES))
    await until(async () => (await desk.folder('docs')).files === VERSIONS + 6, {
      timeoutMs: 30_000,
      what: 'they are seen',
    })
    await desk.stop()

    const files = [path(VERSIONS), path(VERSIONS + 1), path(VERSIONS + 2), ...lone].map(name => `${root}/${name}`)
    const versions = readdirSync(`${root}/.kith/versions`).map(name => `${root}/.kith/versions/${name}`)
    expect(versions).to.have.length(VERSIONS)
    age(`${root}/.kith/late.log`)
    const before = [...files, ...versions].map(look)
    const bytes = [...files, ...versions].map(file => readFileSync(file))
    const { dev } = lstatSync(root)
    disk.unmount()
    disk.flip(before.map(({ ino }) => ino))
    // As after a restart, or when it was plugged in again: another has its number by now.
    other = new Disk(desk.path('other.img'), desk.path('other'))
    disk.mount()
    expect(lstatSync(root).dev).not.to.equal(dev)
    expect([...files, ...versions].map(look), 'no stat shows it').to.deep.equal(before)
    for (const [n, file] of [...files, ...versions].entries())
      expect(readFileSync(file).equals(bytes[n] as Buffer), `${file} is rotten`).to.equal(false)
    const rotten = new Map(files.map(file => [file.slice(root.length + 1), readFileSync(file)]))

    await lamp.start()
    await desk.start()
    await linked(desk, lamp)
    const isSound = (name: string): boolean => !readFileSync(`${root}/${name}`).equals(rotten.get(name) as Buffer)
    const others = [50, 51, 52].map(path)
    const run = await desk.cli(['verify', '--json'], { timeoutMs: 120_000 })
    const { checked, damaged } = JSON.parse(run.stdout) as Verified
    const mended = damaged.filter(({ repaired }) => repaired)
    await until(async () => others.every(isSound), { timeoutMs: 60_000, what: 'what another device has is mended' })
    // What was stored last is read again after a start: some of the files may be found and mended before they are asked for. What is sound
    // by now was found.
    const early = others.filter(name => !names(damaged.filter(({ version }) => !version)).includes(name))
    const found = new Set([...early, ...names(damaged)])
    figure(`${checked} read, ${found.size} damaged, ${new Set([...others, ...names(mended)]).size} mended`)
    expect(run.code, 'not all could be mended').to.equal(1)
    expect(damaged.filter(({ version }) => version)).to.have.length(VERSIONS)
    expect(
      new Set(damaged.filter(({ version }) => version).map(each => each.path)).size,
      'named by their paths',
    ).to.equal(VERSIONS)
    const asked = names(damaged.filter(({ version }) => !version))
    expect([...new Set([...early, ...asked])].sort()).to.deep.equal(
      files.map(file => file.slice(root.length + 1)).sort(),
    )
    expect(names(mended.filter(({ version }) => version))).to.deep.equal(range(0, HELD_ELSEWHERE).map(path))

    for (const [n, file] of files.entries()) expect(readFileSync(file).equals(bytes[n] as Buffer), file).to.equal(n < 3)
    const told = async (): Promise<string> => {
      const { problems } = await desk.folder('docs')
      const damages = problems.filter(({ code }) => code === 'damaged')
      return damages
        .map(each => each.path)
        .sort()
        .join()
    }
    await until(async () => (await told()) === lone.join(), {
      timeoutMs: 10_000,
      what: 'status names just the lone two',
    })
    // A new time on a rotten file makes no edit of it.
    for (const name of lone) utimesSync(`${root}/${name}`, 1_700_000_000, 1_700_000_000)
    await until(async () => (await lamp.folder('docs')).need.files === 2, { timeoutMs: 60_000, what: 'lamp lacks two' })
    const seen = readdirSync(lamp.path('docs')).filter(name => name !== '.kith')
    expect(seen.sort(), 'nothing rotten arrived').to.deep.equal([...range(0, VERSIONS + 3).map(path), 'last'])
    for (const n of range(0, VERSIONS + 3))
      expect(readFileSync(lamp.path('docs', path(n))).equals(n < VERSIONS ? second(n) : first(n)), path(n)).to.equal(
        true,
      )
    const again = JSON.parse((await desk.cli(['verify', '--json'], { timeoutMs: 120_000 })).stdout) as Verified
    const missing = range(HELD_ELSEWHERE, VERSIONS).map(path)
    expect(names(again.damaged), 'what nobody has stays known').to.deep.equal([...missing, ...lone])

    // The one that has the other versions comes back: nobody needs to ask.
    await shed.start()
    await linked(desk, shed)
    const isWhole = (file: string): boolean => {
      const index = files.length + versions.indexOf(file)
      return existsSync(file) && readFileSync(file).equals(bytes[index] as Buffer)
    }
    await until(async () => versions.every(isWhole), { timeoutMs: 60_000, what: 'the other versions are mended' })
    const last = JSON.parse((await desk.cli(['verify', '--json'], { timeoutMs: 120_000 })).stdout) as Verified
    expect(names(last.damaged)).to.deep.equal(lone)

    async function settled(): Promise<void> {
      const devices = [desk, lamp, shed]
      const seconds = String(SETTLE_MS / 1000)
      await Promise.all(
        devices.map(device => device.ok(['wait', '--timeout', seconds], { timeoutMs: SETTLE_MS + 10_000 })),
      )
    }
  })
})

function names(found: Verified['damaged']): string[] {
  return found.map(({ path }) => path).sort()
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, n) => from + n)
}

function look(path: string): { ino: bigint; size: bigint; mtimeNs: bigint; ctimeNs: bigint } {
  const { ino, size, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true })
  return { ino, size, mtimeNs, ctimeNs }
}

/** As if what was replaced had been replaced a while ago. */
function age(log: string): void {
  const lines = readFileSync(log, 'utf8')
    .split('\n')
    .filter(line => line !== '')
  const aged = lines
    .map(line => JSON.parse(line) as { time: number })
    .map(each => ({ ...each, time: each.time - AGED_MS }))
  writeFileSync(log, aged.map(each => `${JSON.stringify(each)}\n`).join(''))
}
