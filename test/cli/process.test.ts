// The real command line as real processes: start, a second daemon, kill and start again, stop, and what a person can get wrong.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { statusSchema } from '../../src/daemon/api/schema.ts'
import { makeDirectory } from '../daemon/support/fake-daemon.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

/** As the tests themselves are run, from any directory. */
const TYPESCRIPT = [
  new URL('../../node_modules/tsx/dist/loader.mjs', import.meta.url).href,
  new URL('../support/typescript-workers.mjs', import.meta.url).href,
].flatMap(url => ['--import', url])

describe('cli: the process', function () {
  this.timeout(60_000)
  let directory: Awaited<ReturnType<typeof makeDirectory>>
  let home: string
  const children = new Set<ChildProcess>()

  beforeEach(async () => {
    directory = await makeDirectory()
    home = join(directory.path, 'home')
    await mkdir(home, { mode: 0o700 })
    // Nothing of a test goes on the network.
    await writeFile(join(home, 'config.toml'), 'discovery = false\n')
  })
  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL')
    await killBackground()
    await directory.remove()
  })

  /** What `start` left behind, if a test failed: its own lock names it. */
  async function killBackground(): Promise<void> {
    const lock = await readFile(join(home, 'daemon.lock'), 'utf8').catch(() => null)
    if (lock === null) return
    const { pid } = JSON.parse(lock) as { pid: number }
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It is gone already.
    }
  }

  function kith(...args: string[]) {
    const child = spawn(process.execPath, [...TYPESCRIPT, MAIN, '--home', home, ...args], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    children.add(child)
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (part: Buffer) => (stdout += part.toString()))
    child.stderr.on('data', (part: Buffer) => (stderr += part.toString()))
    const ended = once(child, 'close').then(() => {
      children.delete(child)
      return { code: child.exitCode, signal: child.signalCode, stdout, stderr }
    })
    const ready = async (): Promise<ReturnType<typeof statusSchema.parse>> => {
      while (!stdout.endsWith('}\n')) {
        await Promise.race([once(child.stdout, 'data'), ended])
        if (child.exitCode !== null) throw new Error(stderr)
      }
      return statusSchema.parse(JSON.parse(stdout))
    }
    return { child, ended, ready }
  }

  it('up: answers, is alone on its home, survives a kill, ends cleanly on SIGTERM', async () => {
    const folder = join(directory.path, 'notes')
    const first = kith('up', folder, '--json')
    const status = await first.ready()
    expect(status.daemon).to.deep.include({ pid: first.child.pid, home })
    expect(status.folders.map(each => each.path)).to.deep.equal([folder])
    expect((await stat(join(home, 'daemon.sock'))).mode & 0o777).to.equal(0o600)
    for (const name of await readdir(home)) {
      if (name !== 'config.toml') expect((await stat(join(home, name))).mode & 0o077, name).to.equal(0)
    }

    const second = await kith('up').ended
    expect(second).to.include({ code: 1, stdout: '' })
    expect(second.stderr).to.match(/^kith: A daemon is running for this home already \(pid \d+\)[^\n]*\n$/)
    expect(await kith('start').ended).to.include({ code: 1 })

    first.child.kill('SIGKILL')
    await first.ended
    expect(await kith('status').ended).to.include({ code: 3 })
    const third = kith('up', '--json')
    const again = await third.ready()
    expect(again.device).to.deep.equal(status.device)
    expect(again.folders.map(each => each.id)).to.deep.equal(status.folders.map(each => each.id))
    third.child.kill('SIGTERM')
    expect(await third.ended).to.include({ code: 0, signal: null })
    expect(await readdir(home))
      .not.to.include.members(['daemon.sock'])
      .and.not.include.members(['daemon.lock'])
  })

  it('start, restart, stop: in the background, with a log in the home', async () => {
    const started = await kith('start', '--json').ended
    expect(started).to.include({ code: 0, stderr: '' })
    const { daemon } = statusSchema.parse(JSON.parse(started.stdout))
    expect(await readFile(`/proc/${daemon.pid}/environ`, 'utf8'), 'its allocator').to.contain('MALLOC_TRIM_THRESHOLD_=')
    const restarted = await kith('restart', '--json').ended
    expect(statusSchema.parse(JSON.parse(restarted.stdout)).daemon.pid).not.to.equal(daemon.pid)
    expect(await hasEnded(daemon.pid)).to.equal(true)
    expect((await kith('stop').ended).stdout).to.equal('Kith has stopped.\n')
    expect(await kith('stop').ended).to.include({ code: 3 })
    expect(await readFile(join(home, 'daemon.log'), 'utf8')).to.contain('"msg":"started"')
  })

  it('a damaged config: exit 1, its line, nothing made', async () => {
    await writeFile(join(home, 'config.toml'), 'name = "x"\nport = "many"\n')
    for (const command of ['up', 'start']) {
      const { code, stderr, stdout } = await kith(command).ended
      expect({ code, stdout }).to.deep.equal({ code: 1, stdout: '' })
      expect(stderr).to.match(/^kith: .*config\.toml .*"port"[^\n]*\n$/)
    }
    expect((await readdir(home)).sort()).to.deep.equal(['config.toml', 'home.json'])
  })
})

/** Nobody waits for a process in the background: ended, it may still be listed (Z) until its parent looks. */
async function hasEnded(pid: number): Promise<boolean> {
  try {
    return /^\d+ \(.*\) Z /s.test(await readFile(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return true
  }
}
