import { cp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { openHome } from '../../src/daemon/home.ts'
import { placeOf } from '../../src/daemon/home-place.ts'
import { makeDirectory } from './support/fake-daemon.ts'

describe('daemon/home-place', () => {
  let directory: Awaited<ReturnType<typeof makeDirectory>>
  const at = (...parts: string[]): string => join(directory.path, ...parts)
  const isCopied = async (name: string): Promise<boolean> => (await placeOf(await openHome(at(name)))).copied

  beforeEach(async () => {
    directory = await makeDirectory()
    await (await placeOf(await openHome(at('home')))).settle()
  })
  afterEach(() => directory.remove())

  it('knows its own home again, however often, and where it was renamed', async () => {
    expect(await isCopied('home')).to.equal(false)
    await (await placeOf(await openHome(at('home')))).settle()
    await rename(at('home'), at('renamed'))
    expect(await isCopied('renamed')).to.equal(false)
  })

  it('says so of a copy, until it is settled there', async () => {
    await cp(at('home'), at('copy'), { recursive: true, preserveTimestamps: true })
    for (let start = 0; start < 2; start++) expect(await isCopied('copy')).to.equal(true)
    await (await placeOf(await openHome(at('copy')))).settle()
    expect(await isCopied('copy')).to.equal(false)
    expect(await isCopied('home')).to.equal(false)
  })

  it('says so of a backup that was put back in its place, also file by file', async () => {
    await cp(at('home'), at('backup'), { recursive: true, preserveTimestamps: true })
    const format = await readFile(at('home', 'home.json'))
    await rm(at('home', 'home.json'))
    // The next file may get the inode that was just given up.
    await writeFile(at('other'), '')
    await writeFile(at('home', 'home.json'), format, { mode: 0o600 })
    expect(await isCopied('home')).to.equal(true)
    await rm(at('home'), { recursive: true })
    await cp(at('backup'), at('home'), { recursive: true, preserveTimestamps: true })
    expect(await isCopied('home')).to.equal(true)
  })

  it('knows nothing of a home without a place, or with one that cannot be read', async () => {
    await writeFile(at('home', 'place.json'), '{', { mode: 0o600 })
    expect(await isCopied('home')).to.equal(false)
    await rm(at('home', 'place.json'))
    expect(await isCopied('home')).to.equal(false)
  })
})
