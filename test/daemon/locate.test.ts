// Which folder a path lies in, whether it still exists or not.
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { FolderId } from '../../src/core/ids.ts'
import { DEFAULT_SETTINGS } from '../../src/core/status.ts'
import type { FolderRecord } from '../../src/daemon/folder-list.ts'
import { locate } from '../../src/daemon/locate.ts'
import { makeDirectory } from './support/fake-daemon.ts'
import { refusal } from './support/refusal.ts'

describe('daemon/locate', () => {
  let directory: Awaited<ReturnType<typeof makeDirectory>>
  let records: FolderRecord[]
  const at = (...parts: string[]): string => join(directory.path, ...parts)

  beforeEach(async () => {
    directory = await makeDirectory()
    await mkdir(at('notes', 'sub'), { recursive: true })
    await mkdir(at('notes2'))
    records = ['notes', 'notes2'].map((name, n) => ({
      id: String(n).repeat(32) as FolderId,
      name,
      path: at(name),
      taken: false,
      paused: false,
      foldsCase: false,
      marked: true,
      settings: DEFAULT_SETTINGS,
    }))
  })
  afterEach(() => directory.remove())

  const found = async (path: string): Promise<string> => {
    const { record, path: inside } = await locate(path, records)
    return `${record.name}:${inside}`
  }

  it('finds what is there, what is gone, and the root itself', async () => {
    await writeFile(at('notes', 'sub', 'a'), '')
    expect(await found(at('notes', 'sub', 'a'))).to.equal('notes:sub/a')
    expect(await found(at('notes', 'gone', 'long', 'since'))).to.equal('notes:gone/long/since')
    expect(await found(at('notes'))).to.equal('notes:')
    expect(await found(`${at('notes')}/`)).to.equal('notes:')
    expect(await found(at('notes2', 'x'))).to.equal('notes2:x')
    expect(await found(`${at('notes')}/sub/../b`)).to.equal('notes:b')
    // What was a directory may be a file by now.
    expect(await found(at('notes', 'sub', 'a', 'b'))).to.equal('notes:sub/a/b')
  })

  it('goes through symlinks to the root, and into it from outside', async () => {
    await symlink(at('notes'), at('link'))
    await symlink(at('notes', 'sub'), at('deep'))
    expect(await found(at('link', 'sub', 'a'))).to.equal('notes:sub/a')
    expect(await found(at('link'))).to.equal('notes:')
    expect(await found(at('deep', 'gone'))).to.equal('notes:sub/gone')
  })

  it('takes a symlink in the folder for what it is', async () => {
    await symlink('/etc', at('notes', 'etc'))
    expect(await found(at('notes', 'etc'))).to.equal('notes:etc')
    expect(await found(at('notes', 'etc', 'passwd'))).to.equal('notes:etc/passwd')
    await symlink(at('notes', 'etc'), at('outside'))
    expect((await refusal(locate(at('outside'), records))).code).to.equal('path-outside')
  })

  it('finds a folder whose root is gone', async () => {
    await rm(at('notes'), { recursive: true })
    expect(await found(at('notes', 'a'))).to.equal('notes:a')
  })

  it('refuses what is in no folder, is no path, or is its own', async () => {
    for (const path of ['/', directory.path, at('notes3'), at('other', 'a')]) {
      expect((await refusal(locate(path, records))).code, path).to.equal('path-outside')
    }
    for (const path of ['notes/a', `${at('notes')}/a\0`]) {
      expect((await refusal(locate(path, records))).code, path).to.equal('bad-path')
    }
    for (const own of ['.kith', '.KITH/versions', 'sub/.kith/x']) {
      expect((await refusal(locate(at('notes', own), records))).code, own).to.equal('bad-path')
    }
  })
})
