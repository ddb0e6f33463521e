import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { acquireLock } from '../../src/daemon/lock.ts'
import { makeDirectory } from './support/fake-daemon.ts'
import { refusal } from './support/refusal.ts'

const HOLDER = `import { acquireLock } from ${JSON.stringify(new URL('../../src/daemon/lock.ts', import.meta.url).href)}
await acquireLock(process.argv[1])
console.log('held')
setInterval(() => {}, 1000)`

describe('daemon/lock', () => {
  let directory: Awaited<ReturnType<typeof makeDirectory>>
  let path: string
  const children: ChildProcess[] = []

  beforeEach(async () => {
    directory = await makeDirectory()
    path = join(directory.path, 'daemon.lock')
  })
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
    await directory.remove()
  })

  async function holder(): Promise<ChildProcess> {
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', HOLDER, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    if (child.stdout !== null) await once(child.stdout, 'data')
    return child
  }

  it('is refused while another process has it, with its pid, and had after that one is killed', async () => {
    const child = await holder()
    const error = await refusal(acquireLock(path))
    expect(error.code).to.equal('daemon-running')
    expect(error.message).to.contain(String(child.pid))
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
    await (await acquireLock(path)).release()
  })

  it('is refused to the same process too, and free after release', async () => {
    const lock = await acquireLock(path)
    expect((await stat(path)).mode & 0o777).to.equal(0o600)
    expect((await refusal(acquireLock(path))).code).to.equal('daemon-running')
    await lock.release()
    await (await acquireLock(path)).release()
  })

  it('is not held by a process that got the pid of a dead holder', async function () {
    if (process.platform !== 'linux') this.skip()
    await writeFile(path, JSON.stringify({ pid: process.pid, started: 'another-boot:123' }))
    await (await acquireLock(path)).release()
  })

  it('is not held by a killed process that its parent has not collected', async function () {
    if (process.platform !== 'linux') this.skip()
    const parent = spawn('sh', ['-c', 'true & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(parent)
    const [pid] = (await once(parent.stdout, 'data')) as [Buffer]
    await writeFile(path, JSON.stringify({ pid: Number(pid.toString()), started: null }))
    for (const deadline = performance.now() + 5000; ; ) {
      try {
        await (await acquireLock(path)).release()
        return
      } catch (error) {
        // It may not have ended yet.
        if (performance.now() > deadline) throw error
      }
    }
  })

  it('is had where the file was torn by a power cut', async () => {
    await writeFile(path, '{"pid":')
    await (await acquireLock(path)).release()
  })

  it('goes to one of many starters at once', async () => {
    await writeFile(path, JSON.stringify({ pid: 2 ** 22 + 1, started: null }))
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => acquireLock(path)))
    expect(results.filter(result => result.status === 'fulfilled')).to.have.length(1)
  })

  it('does not take away a lock that is not its own any more', async () => {
    const lock = await acquireLock(path)
    await writeFile(path, JSON.stringify({ pid: 1, started: null }))
    await lock.release()
    expect(await readFile(path, 'utf8')).to.contain('"pid":1')
  })
})
