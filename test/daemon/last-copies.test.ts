// A device is not removed while it may hold something alone: of a folder that cannot be asked nothing is known.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { KithError } from '../../src/core/errors.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import { FakeDaemon, makeDirectory } from './support/fake-daemon.ts'
import { refusal } from './support/refusal.ts'

const OTHER = '12D3KooWOtherDeviceaaaaaaaaaaaaaaaaaaaaaaaaaaaabcde' as DeviceId

describe('daemon: device remove', () => {
  let directory: Awaited<ReturnType<typeof makeDirectory>>
  let daemon: FakeDaemon

  beforeEach(async () => {
    directory = await makeDirectory()
    daemon = await FakeDaemon.create(directory.path)
  })
  afterEach(async () => {
    await daemon.stop()
    await directory.remove()
  })

  async function start(): Promise<void> {
    await daemon.start()
    daemon.network.setDevice(OTHER, { name: 'desktop' })
  }

  const remove = (force: boolean): Promise<unknown> =>
    daemon.control.removeDevice('desktop', { force, signal: new AbortController().signal })

  async function refusesFor(folder: string): Promise<void> {
    const { code, message } = await refusal(remove(false))
    expect(code).to.equal('only-copy')
    expect(message).to.contain(folder).and.contain('desktop').and.contain('--force')
    expect(daemon.network.calls).to.deep.equal([])
    await remove(true)
    expect(daemon.network.calls).to.deep.equal([['remove', OTHER]])
  }

  async function twoFolders(): Promise<void> {
    for (const name of ['notes', 'photos']) {
      await mkdir(join(directory.path, name))
      await daemon.folders.add(join(directory.path, name), { create: false })
    }
  }

  it('is refused while a folder could not be started', async () => {
    await daemon.start()
    await twoFolders()
    await daemon.stop()
    daemon = new FakeDaemon(directory.path, daemon.home)
    daemon.onOpen = engine => {
      if (engine.name === 'photos') engine.startError = new KithError('root-missing', 'The root is gone.')
    }
    await start()
    await refusesFor('photos')
  })

  it('is refused while a folder has nothing loaded', async () => {
    await start()
    await twoFolders()
    daemon.engine('photos').archive.onlyOn = async () => {
      throw new KithError('stopped', 'The folder is not running.')
    }
    await refusesFor('photos')
  })
})
