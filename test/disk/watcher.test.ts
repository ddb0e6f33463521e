// Hints arrive for what chokidar is used for here, its private parts are still what they were, and what cannot be watched is polled.
import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { FSWatcher } from 'chokidar'
import { DirectoryWatch } from '../../src/disk/watcher.ts'
import { RealPerson, temporaryRoot } from './real-person.ts'

const DEADLINE_MS = 5000

describe('disk/watcher', () => {
  let root: string
  let person: RealPerson
  let watch: DirectoryWatch
  let dirty: string[]
  let wake: () => void

  beforeEach(() => {
    root = temporaryRoot()
    person = new RealPerson(root)
    dirty = []
    wake = () => undefined
    watch = new DirectoryWatch(root, {
      onDirty(path) {
        dirty.push(path)
        wake()
      },
      onDoubt: reason => {
        throw new Error(reason)
      },
      onDegraded: problem => {
        throw new Error(problem.message)
      },
    })
  })
  afterEach(async () => {
    await watch.close()
    rmSync(root, { recursive: true, force: true })
  })

  /** Until a hint for `path` came. */
  async function hint(path: string): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS
    while (!dirty.includes(path)) {
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`no hint for '${path}', only for ${JSON.stringify(dirty)}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** Watching begins a moment after `add`: prods each directory until it answers. */
  async function ready(...paths: string[]): Promise<void> {
    watch.add(paths)
    for (const path of paths) {
      const probe = path === '' ? 'probe' : `${path}/probe`
      for (const deadline = Date.now() + DEADLINE_MS; !dirty.includes(path) && Date.now() < deadline; ) {
        person.write(probe, `${Date.now()}`)
        await new Promise(resolve => setTimeout(resolve, 60))
      }
    }
    // The echo of the probes, until it is silent.
    for (let seen = -1; seen !== dirty.length; ) {
      seen = dirty.length
      await new Promise(resolve => setTimeout(resolve, 1200))
    }
    dirty = []
  }

  it('watches a directory that was deleted and made again', async () => {
    mkdirSync(`${root}/d/in`, { recursive: true })
    await ready('', 'd', 'd/in')
    rmSync(`${root}/d`, { recursive: true })
    mkdirSync(`${root}/d/in`, { recursive: true })
    await ready('', 'd', 'd/in')
    person.write('d/in/g', '2')
    await hint('d/in')
    person.write('d/h', '3')
    await hint('d')
  })

  it('uses private parts of chokidar that are there', () => {
    const watcher = new FSWatcher() as unknown as {
      _closePath: unknown
      _watched: unknown
      _nodeFsHandler: { _handleRead: unknown; _handleDir: unknown; _addToNodeFs: unknown }
    }
    expect(watcher._closePath).to.be.a('function')
    expect(watcher._watched).to.be.instanceOf(Map)
    expect(watcher._nodeFsHandler._handleRead).to.be.a('function')
    expect(watcher._nodeFsHandler._handleDir).to.be.a('function')
    expect(watcher._nodeFsHandler._addToNodeFs).to.be.a('function')
  })

  it('hints at the directory of every kind of change, and at no other', async () => {
    person.mkdir('d')
    person.mkdir('d/e')
    person.write('d/f', 'x')
    await ready('', 'd', 'd/e')
    const acts: [string, () => void][] = [
      ['d', () => appendFileSync(person.path('d/f'), 'more')],
      ['d', () => person.chmod('d/f', 0o600)],
      ['d', () => person.rename('d/f', 'd/g')],
      ['d/e', () => person.write('d/e/new', '')],
      ['d', () => person.remove('d/g')],
      ['d', () => person.mkdir('d/new')],
      ['d', () => person.write('d/f~', 'backup')],
      ['d', () => person.symlink('d/l', 'nowhere')],
      ['', () => person.write('top', 'x')],
    ]
    for (const [path, act] of acts) {
      dirty = []
      act()
      await hint(path)
      expect(dirty.filter(other => other !== path)).to.deep.equal([])
    }
  }).timeout(30_000)

  it('does not hear Kith itself, and follows a directory that was renamed', async () => {
    person.mkdir('.kith')
    person.mkdir('d')
    await ready('', 'd')
    person.write('.kith/x', 'x')
    person.rename('d', 'moved')
    await hint('')
    watch.remove('d')
    await ready('moved')
    person.write('moved/g', 'x')
    await hint('moved')
    expect(dirty).not.to.include('d')
    expect(dirty.some(path => path.startsWith('.kith'))).to.equal(false)
  }).timeout(30_000)

  it('holds no handle of directories that are gone', async () => {
    const handles = (): number => process.getActiveResourcesInfo().filter(type => type === 'FSEventWrap').length
    mkdirSync(`${root}/stays`)
    await ready('', 'stays')
    const before = handles()
    for (const name of ['a', 'b']) mkdirSync(`${root}/${name}/below/deep`, { recursive: true })
    await ready('a', 'a/below', 'a/below/deep', 'b', 'b/below', 'b/below/deep')
    expect(handles()).to.equal(before + 6)
    dirty = []
    renameSync(`${root}/a`, `${root}/c`)
    rmSync(`${root}/b`, { recursive: true })
    await hint('')
    // A while after: they might come back to their names.
    const gone = performance.now()
    while (handles() > before && performance.now() - gone < 20_000)
      await new Promise(resolve => setTimeout(resolve, 50))
    expect(handles()).to.equal(before)
    await ready('c', 'c/below')
    expect(handles()).to.equal(before + 2)
  })

  it('hears what is below a directory that left its name and came back at once', async () => {
    mkdirSync(`${root}/d/below`, { recursive: true })
    await ready('', 'd', 'd/below')
    renameSync(`${root}/d`, `${root}/t`)
    // Its event comes while it is away.
    await new Promise(resolve => setTimeout(resolve, 20))
    renameSync(`${root}/t`, `${root}/d`)
    await hint('')
    // Longer than what is gone is waited for.
    await new Promise(resolve => setTimeout(resolve, 1500))
    dirty = []
    person.write('d/below/f', 'x')
    await hint('d/below')
  }).timeout(30_000)

  it('hints at what was read before it was watched: a rewrite in between gave no event, and left the directory as it was', async () => {
    mkdirSync(`${root}/d`)
    person.write('d/f', 'old')
    const { mtimeMs } = statSync(`${root}/d`)
    utimesSync(`${root}/d`, mtimeMs / 1000 - 3600, mtimeMs / 1000 - 3600)
    watch.add(['', 'd'])
    person.write('d/f', 'new')
    await hint('d')
    await hint('')
  })

  it('watches what is read next, and hints at none of it', async () => {
    const { signal } = new AbortController()
    for (const path of ['d', 'e']) person.mkdir(path)
    await watch.addBefore(['', 'd', 'e', 'gone'], { signal })
    person.write('d/f', 'new')
    await hint('d')
    expect(dirty).to.deep.equal(['d'])
    // Idempotent: found by the scan that follows.
    watch.add(['', 'd', 'e'])
    dirty = []
    person.write('e/f', 'new')
    await hint('e')
    expect(dirty).to.deep.equal(['e'])
  })

  it('watches and waits for what is called as no path is elsewhere', async () => {
    const { signal } = new AbortController()
    const names = ['a\\b', '..\\up', ' a ', 'b\n', '...', '~', 'a*', '[x]', '!y', '{a,b}']
    for (const name of names) mkdirSync(`${root}/${name}`)
    await watch.addBefore(names, { signal })
    for (const name of names) {
      writeFileSync(`${root}/${name}/f`, 'new')
      await hint(name)
    }
  })

  it('waits for what was deleted, and made anew, while it was added', async () => {
    for (const name of ['d', 'e']) mkdirSync(`${root}/${name}`)
    const added = watch.addBefore(['', 'd', 'e'], { signal: new AbortController().signal })
    for (const name of ['d', 'e']) rmSync(`${root}/${name}`, { recursive: true })
    watch.remove('e')
    mkdirSync(`${root}/other`)
    mkdirSync(`${root}/d`)
    watch.add(['d'])
    await added
    await hint('d')
    dirty = []
    person.write('d/f', 'new')
    await hint('d')
  })

  it('does not wait any longer when it is stopped', async () => {
    person.mkdir('d')
    const stop = new AbortController()
    const stopped = watch.addBefore(['', 'd'], { signal: stop.signal }).catch((error: unknown) => error)
    stop.abort(new Error('stopped'))
    expect(await stopped).to.be.an('error')
  })

  it('does not wait any longer when it is closed', async () => {
    const names = Array.from({ length: 3000 }, (_, at) => `d${at}`)
    for (const name of names) mkdirSync(`${root}/${name}`)
    const waits = watch.addBefore(names, { signal: new AbortController().signal })
    await new Promise(resolve => setImmediate(resolve))
    await watch.close()
    await waits
  })

  it('coalesces a storm of events', async () => {
    person.mkdir('d')
    await ready('', 'd')
    for (let at = 0; at < 2000; at++) person.write(`d/${at}`, '')
    await hint('d')
    expect(dirty.length).to.be.below(50)
  }).timeout(30_000)

  it('polls what the system does not let it watch, and says so', function () {
    const probe = spawnSync('unshare', ['-U', '-r', 'sh', '-c', 'echo 5 > /proc/sys/user/max_inotify_watches'])
    if (probe.status !== 0) {
      console.log('      SKIP: no user namespaces here')
      return this.skip()
    }
    for (let at = 0; at < 20; at++) person.mkdir(`d${at}`)
    const script = `
      import { DirectoryWatch } from './src/disk/watcher.ts'
      const told = []
      const watch = new DirectoryWatch(${JSON.stringify(root)}, {
        onDirty() {}, onDoubt(reason) { told.push(['doubt', reason]) }, onDegraded(p) { told.push([p.code, p.message]); done() },
      })
      let done
      const wait = new Promise(resolve => { done = resolve; setTimeout(resolve, 8000) })
      watch.add(['', ...Array.from({ length: 20 }, (_, i) => 'd' + i)])
      await wait
      await watch.close()
      console.log(JSON.stringify(told))
      process.exit(0)`
    const shell = 'echo 5 > /proc/sys/user/max_inotify_watches; exec "$@"'
    const args = ['-U', '-r', 'sh', '-c', shell, 'sh', process.execPath, ...process.execArgv]
    const { stdout } = spawnSync('unshare', [...args, '--input-type=module', '-e', script], { encoding: 'utf8' })
    const told = JSON.parse(stdout) as [string, string][]
    expect(told.map(([code]) => code)).to.deep.equal(['degraded'])
    expect(told[0]?.[1]).to.include('max_user_watches')
  }).timeout(30_000)
})
