import { chmod, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { clearTemporaries, openHome } from '../../src/daemon/home.ts'
import { makeDirectory } from './support/fake-daemon.ts'
import { refusal } from './support/refusal.ts'

describe('daemon/home', () => {
  let directory: Awaited<ReturnType<typeof makeDirectory>>
  const at = (...parts: string[]): string => join(directory.path, ...parts)
  const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777

  beforeEach(async () => {
    directory = await makeDirectory()
  })
  afterEach(() => directory.remove())

  it('is made for its user alone, whatever the umask, parents included', async () => {
    const umask = process.umask(0)
    try {
      const home = await openHome(at('deep', 'home'))
      expect(home.root).to.equal(at('deep', 'home'))
      expect(await modeOf(home.root)).to.equal(0o700)
      expect(await modeOf(at('deep'))).to.equal(0o700)
      expect(await modeOf(join(home.root, 'home.json'))).to.equal(0o600)
    } finally {
      process.umask(umask)
    }
  })

  it('opens again, also through a symlink, as the same home', async () => {
    const home = await openHome(at('home'))
    await symlink(at('home'), at('link'))
    expect((await openHome(at('link'))).root).to.equal(home.root)
  })

  it('takes an empty directory that others could look into, and closes it', async () => {
    await mkdir(at('home'), { mode: 0o755 })
    await writeFile(at('home', 'config.toml'), 'name = "x"\n')
    await openHome(at('home'))
    expect(await modeOf(at('home'))).to.equal(0o700)
  })

  it('refuses a directory of something else, and leaves it as it was', async () => {
    await mkdir(at('documents'), { mode: 0o755 })
    await writeFile(at('documents', 'letter.txt'), 'dear')
    const error = await refusal(openHome(at('documents')))
    expect(error.code).to.equal('home-unsafe')
    expect(error.message).to.contain('letter.txt').and.contain(at('documents'))
    expect(await readdir(at('documents'))).to.deep.equal(['letter.txt'])
    expect(await modeOf(at('documents'))).to.equal(0o755)
  })

  it('refuses a file', async () => {
    await writeFile(at('file'), '')
    expect((await refusal(openHome(at('file')))).code).to.equal('home-unsafe')
    expect((await refusal(openHome(at('file', 'below')))).code).to.equal('home-unsafe')
  })

  for (const [what, mode] of [
    ['by its group', 0o740],
    ['by everybody', 0o705],
  ] as const) {
    it(`refuses a home that can be entered ${what}, and says how to mend it`, async () => {
      await openHome(at('home'))
      await chmod(at('home'), mode)
      const error = await refusal(openHome(at('home')))
      expect(error.code).to.equal('home-unsafe')
      expect(error.message).to.contain('chmod 700')
      expect(await modeOf(at('home'))).to.equal(mode)
    })
  }

  it('refuses a home with a key that others can read; settings may be readable', async () => {
    await openHome(at('home'))
    await writeFile(at('home', 'config.toml'), '', { mode: 0o644 })
    await openHome(at('home'))
    await writeFile(at('home', 'identity.key'), 'secret', { mode: 0o600 })
    await openHome(at('home'))
    await chmod(at('home', 'identity.key'), 0o644)
    const error = await refusal(openHome(at('home')))
    expect(error.code).to.equal('home-unsafe')
    expect(error.message).to.contain('identity.key').and.contain('chmod 600')
  })

  it('refuses the home of a newer Kith, untouched', async () => {
    await openHome(at('home'))
    await writeFile(at('home', 'home.json'), '{"format":2}\n')
    expect((await refusal(openHome(at('home')))).code).to.equal('home-newer')
    expect(await readFile(at('home', 'home.json'), 'utf8')).to.equal('{"format":2}\n')
  })

  it('is cleared of what a killed daemon was writing, but not of the lock that another starter makes this moment', async () => {
    const home = await openHome(at('home'))
    const old = new Date(Date.now() - 3_600_000)
    const names = ['folders.json.0123456789ab.tmp', 'daemon.lock.0123456789ab.tmp', 'daemon.lock.ba9876543210.tmp']
    for (const name of [...names, 'notes.tmp']) await writeFile(at('home', name), '{}', { mode: 0o600 })
    await utimes(at('home', 'daemon.lock.0123456789ab.tmp'), old, old)
    await mkdir(at('home', 'a.0123456789ab.tmp'), { mode: 0o700 })
    await clearTemporaries(home)
    expect((await readdir(home.root)).sort(), 'no directory').to.deep.equal([
      ...['a.0123456789ab.tmp', 'daemon.lock.ba9876543210.tmp', 'home.json', 'notes.tmp'],
    ])
  })

  it('refuses a damaged home, untouched', async () => {
    await openHome(at('home'))
    await writeFile(at('home', 'home.json'), '{"form')
    expect((await refusal(openHome(at('home')))).code).to.equal('home-damaged')
    expect(await readdir(at('home'))).to.deep.equal(['home.json'])
  })
})
