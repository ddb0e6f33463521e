import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { isKithError } from '../../src/core/errors.ts'
import { loadIdentity } from '../../src/p2p/identity.ts'

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return isKithError(error) ? error.code : String(error)
  }
  return 'no error'
}

describe('identity', () => {
  let home: string
  const key = (): string => join(home, 'identity.key')
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'kith-identity-'))
  })
  afterEach(async () => {
    await rm(home, { recursive: true, force: true })
  })

  it('makes a key once, for this user alone, whatever the umask', async () => {
    const umask = process.umask(0)
    try {
      const first = await loadIdentity(home)
      expect((await stat(key())).mode & 0o777).to.equal(0o600)
      expect(await loadIdentity(home)).to.have.property('device', first.device)
    } finally {
      process.umask(umask)
    }
  })

  it('starts afresh after a first start that was killed half-way', async () => {
    await writeFile(`${key()}.new`, 'half', { mode: 0o600 })
    const first = await loadIdentity(home)
    expect(await loadIdentity(home)).to.have.property('device', first.device)
  })

  for (const mode of [0o640, 0o604, 0o660]) {
    it(`refuses a key that others may read or write (${mode.toString(8)})`, async () => {
      await loadIdentity(home)
      await chmod(key(), mode)
      expect(await codeOf(loadIdentity(home))).to.equal('home-unsafe')
    })
  }

  it('refuses a damaged key and leaves it as it is', async () => {
    await writeFile(key(), 'rubbish', { mode: 0o600 })
    expect(await codeOf(loadIdentity(home))).to.equal('home-unsafe')
    expect(await readFile(key(), 'utf8')).to.equal('rubbish')
  })
})
