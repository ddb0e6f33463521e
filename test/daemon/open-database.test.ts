import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { KithError } from '../../src/core/errors.ts'
import type { FolderId } from '../../src/core/ids.ts'
import type { Log } from '../../src/core/log.ts'
import { DEFAULT_SETTINGS } from '../../src/core/status.ts'
import { folderListFile } from '../../src/daemon/folder-list.ts'
import { type Opened, openOrRebuild } from '../../src/daemon/open-database.ts'
import { Openings } from '../../src/daemon/openings.ts'
import { openDatabase } from '../../src/store/database.ts'
import { makeDeadly } from '../store/deadly.ts'
import { makeDirectory, silentLog } from './support/fake-daemon.ts'
import { refusal } from './support/refusal.ts'

const CHILD = fileURLToPath(new URL('./opening-child.ts', import.meta.url))
const KEY = 'kept'
const CHECKED = /it is checked before it is opened/

describe('daemon/open-database', function () {
  this.timeout(60_000)
  let directory: Awaited<ReturnType<typeof makeDirectory>>
  let warnings: string[]
  /** Something stands where the new one should go. */
  let blocked: boolean
  const at = (name: string): string => join(directory.path, name)
  const log: Log = {
    ...silentLog,
    warn: (_: unknown, text?: string) => warnings.push(text ?? ''),
    error: (_: unknown, text?: string) => {
      if (blocked && text?.includes('set aside')) writeFileSync(at('database'), '')
    },
    child: () => log,
  }

  beforeEach(async () => {
    warnings = []
    blocked = false
    directory = await makeDirectory()
    const database = await openDatabase(at('database'))
    await database.state.set(KEY, 'value')
    await database.close()
  })
  afterEach(() => directory.remove())

  it('is built anew at the third start where LevelDB ends whoever opens it', async () => {
    await makeDeadly(at('database'))
    expect(await life()).to.deep.equal({ signal: 'SIGABRT', rebuilt: false })
    expect(await life()).to.deep.equal({ signal: 'SIGABRT', rebuilt: false })
    expect(await unclosed()).to.equal(2)
    expect(await life()).to.deep.equal({ signal: null, rebuilt: true })
    expect((await aside()).length).to.equal(1)
    expect(await unclosed()).to.equal(null)
  })

  it('is opened as it is where it is sound, however often daemons were killed', async () => {
    await kill(5)
    const { database, rebuilt, close } = await open()
    expect(rebuilt).to.equal(false)
    expect(await database.state.get(KEY)).to.equal('value')
    expect(warnings.join()).to.match(CHECKED)
    expect(await unclosed(), 'a sound one is counted anew').to.equal(1)
    await close()
    expect(await aside()).to.deep.equal([])
  })

  it('is built anew, once, where the daemon before found it damaged and did not end well', async () => {
    await new Openings(at('openings.json')).leaveDamaged()
    const { database, rebuilt } = await open()
    expect(rebuilt).to.equal(true)
    expect(await database.state.get(KEY)).to.equal(null)
    expect(await unclosed()).to.equal(1)
    // Killed instead of closed.
    await database.close()
    const again = await open()
    expect(again.rebuilt).to.equal(false)
    await again.close()
    expect((await aside()).length).to.equal(1)
  })

  it('is built anew where it was closed after it was found damaged', async () => {
    const { close } = await open()
    await new Openings(at('openings.json')).leaveDamaged()
    await close()
    expect(await unclosed(), 'it was closed').to.equal(0)
    const again = await open()
    expect(again.rebuilt).to.equal(true)
    await again.close()
    expect(await unclosed()).to.equal(null)
  })

  it('stays known as damaged where it cannot be built anew', async () => {
    await new Openings(at('openings.json')).leaveDamaged()
    blocked = true
    const { database, rebuilt } = await open()
    expect(rebuilt).to.equal(false)
    expect(await database.state.get(KEY), 'it stays in use').to.equal('value')
    // Killed instead of closed.
    await database.close()
    blocked = false
    const anew = await open()
    expect(anew.rebuilt).to.equal(true)
    await anew.close()
  })

  it('also where a check found it', async () => {
    await makeDeadly(at('database'))
    await kill(2)
    blocked = true
    await refusal(open())
    expect((await new Openings(at('openings.json')).known()).damaged).to.equal(true)
  })

  it('is no longer known as damaged once a check found it sound', async () => {
    await writeFile(at('openings.json'), '{"unclosed":2,"damaged":true}')
    blocked = true
    const { database } = await open()
    expect(warnings.join()).to.match(CHECKED)
    await database.close()
    blocked = false
    const again = await open()
    expect(again.rebuilt).to.equal(false)
    await again.close()
  })

  it('is not opened where the stop is asked for while it is checked: it stays suspect', async () => {
    await kill(2)
    const asked = new AbortController()
    const opening = open({ signal: asked.signal })
    setTimeout(() => asked.abort(new KithError('stopped', 'it was asked')), 20)
    expect((await refusal(opening)).code).to.equal('stopped')
    expect(await unclosed()).to.equal(2)
  })

  for (const times of [0, 1]) {
    it(`is not checked after ${times} that did not close it`, async () => {
      if (times > 0) await kill(times)
      const { close } = await open()
      expect(warnings).to.deep.equal([])
      expect(await unclosed()).to.equal(times + 1)
      await close()
      expect(await unclosed()).to.equal(null)
    })
  }

  it('is set aside where it knows no folder and the device has one; not where there is none', async () => {
    const folder = { id: '11'.repeat(16) as FolderId, name: 'notes', path: '/notes', taken: false, paused: false }
    const settings = DEFAULT_SETTINGS
    const folders = [{ ...folder, foldsCase: false, marked: true, settings }]
    await folderListFile(at('folders.json')).save({ folders, erasing: [] })
    const { database, rebuilt, close } = await open()
    expect(rebuilt).to.equal(true)
    expect(await database.state.get(KEY), 'nothing of it is used').to.equal(null)
    await close()
    expect((await aside()).length).to.equal(1)
    await rm(at('database'), { recursive: true })
    const anew = await open()
    expect(anew.rebuilt).to.equal(true)
    await anew.close()
    expect((await aside()).length).to.equal(1)
  })

  it('is opened where the count cannot be read', async () => {
    await writeFile(at('openings.json'), '{"unc')
    const { close } = await open()
    expect(await unclosed()).to.equal(1)
    await close()
  })

  function open(options: { signal?: AbortSignal } = {}): Promise<Opened> {
    const home = { database: at('database'), openingsFile: at('openings.json') }
    return openOrRebuild({ list: folderListFile(at('folders.json')), log }, { home, ...options })
  }

  /** A process that opens it: what ended it before it was asked to, and whether it built anew. */
  async function life(): Promise<{ signal: NodeJS.Signals | null; rebuilt: boolean }> {
    const child = spawn(process.execPath, ['--import', 'tsx', CHILD, directory.path], {
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    let rebuilt = false
    child.stdout.setEncoding('utf8').on('data', (line: string) => {
      rebuilt ||= (JSON.parse(line) as { rebuilt: boolean }).rebuilt
      // What was not built anew is yet to be compacted, which ends it.
      if (rebuilt) child.stdin.end()
    })
    const [, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    return { signal, rebuilt }
  }

  function kill(times: number): Promise<void> {
    return writeFile(at('openings.json'), `{"unclosed":${times}}\n`)
  }

  async function unclosed(): Promise<number | null> {
    try {
      return (JSON.parse(await readFile(at('openings.json'), 'utf8')) as { unclosed: number }).unclosed
    } catch {
      return null
    }
  }

  async function aside(): Promise<string[]> {
    return (await readdir(directory.path)).filter(name => /^database-damaged.*Z$/.test(name))
  }
})
