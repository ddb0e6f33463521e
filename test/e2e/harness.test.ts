// The harness itself, before it is trusted: the network carries and cuts what it should, its counters count, the right process is
// killed, and the comparison of trees sees every kind of difference.

import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { Lan, type LanNode } from './support/lan.ts'
import { ended, Lines, runProcess, startProcess } from './support/process.ts'
import { diffTrees, pathsHolding, readTree } from './support/tree.ts'
import { until } from './support/until.ts'

const LISTEN = `const s = require('dgram').createSocket({ type: 'udp4', reuseAddr: true })
  s.bind(5353, () => { s.addMembership('224.0.0.251'); console.log('ready') }); s.on('message', m => console.log(String(m)))
  require('net').createServer(c => c.resume()).listen(4000)`
const SAY = `const s = require('dgram').createSocket('udp4')
  s.bind(() => s.send(process.argv[1], 5353, '224.0.0.251', () => s.close()))`
const POUR = `const c = require('net').connect(4000, process.argv[1], () => c.end(Buffer.alloc(1_000_000)))
  c.on('close', () => process.exit(0)); c.on('error', () => process.exit(1)); setTimeout(() => process.exit(2), 2000)`

describe('e2e: the harness', () => {
  let lan: Lan
  let a: LanNode
  let b: LanNode
  before(() => {
    lan = Lan.create()
    a = lan.add('a')
    b = lan.add('b')
  })
  after(() => lan.destroy())

  it('carries multicast and TCP between nodes, is cut and healed, and counts bytes', async () => {
    const inA = (script: string, arg: string) =>
      runProcess([...a.enter, process.execPath, '-e', script, arg], { timeoutMs: 10_000 })
    const listener = startProcess([...b.enter, process.execPath, '-e', LISTEN], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const heard = new Lines(listener)
    expect(await heard.next(5_000)).to.equal('ready')

    await inA(SAY, 'one')
    expect(await heard.next(5_000)).to.equal('one')

    const before = a.bytes()
    expect((await inA(POUR, b.address)).code).to.equal(0)
    const sent = a.bytes().sent - before.sent
    expect(sent).to.be.within(1_000_000, 1_200_000)

    b.partition()
    await inA(SAY, 'lost')
    expect((await inA(POUR, b.address)).code).not.to.equal(0)
    b.heal()
    await inA(SAY, 'two')
    expect(await heard.next(5_000)).to.equal('two')

    b.linkDown()
    expect((await inA(POUR, b.address)).code).not.to.equal(0)
    b.linkUp()
    b.moveTo(99)
    expect(b.address).to.match(/\.99$/)
    expect((await inA(POUR, b.address)).code).to.equal(0)
    await inA(SAY, 'three')

    b.limit('8mbit')
    a.limit('8mbit')
    const started = performance.now()
    expect((await inA(POUR, b.address)).code).to.equal(0)
    expect(performance.now() - started).to.be.greaterThan(800)
    a.unlimit()

    listener.kill('SIGKILL')
    expect(await ended(listener)).to.equal(137)
    expect(() => process.kill(listener.pid ?? 0, 0)).to.throw(/ESRCH/)
  })

  it('sees every kind of difference between two trees', () => {
    const directory = mkdtempSync(join(tmpdir(), 'kithe2e-tree-'))
    const make = (name: string): string => {
      const root = join(directory, name)
      mkdirSync(join(root, 'd', 'empty'), { recursive: true })
      writeFileSync(join(root, 'd', 'f'), 'content')
      utimesSync(join(root, 'd', 'f'), 1000, 1000.5)
      symlinkSync('d/f', join(root, 'l'))
      return root
    }
    const base = make('base')
    const differs = (change: (root: string) => void): string => {
      const other = make('other')
      change(other)
      const diff = diffTrees(readTree(base), readTree(other), ['base', 'other'])
      rmSync(other, { recursive: true })
      return diff
    }
    const file = (root: string): string => join(root, 'd', 'f')
    const relink = (root: string): void => {
      unlinkSync(join(root, 'l'))
      symlinkSync('d/g', join(root, 'l'))
    }
    const rewrite = (root: string): void => {
      writeFileSync(file(root), 'CONTENT')
      utimesSync(file(root), 1000, 1000.5)
    }
    expect(differs(() => undefined)).to.equal('')
    expect(differs(root => mkdirSync(join(root, '.kith')))).to.equal('')
    expect(differs(rewrite)).to.match(/d\/f/)
    expect(differs(root => utimesSync(file(root), 1000, 1000.625))).to.match(/mtime/)
    expect(differs(root => chmodSync(file(root), 0o755))).to.match(/755/)
    expect(differs(root => chmodSync(join(root, 'd'), 0o700))).to.match(/directory 700/)
    expect(differs(relink)).to.match(/→ d\/g/)
    expect(differs(root => rmSync(join(root, 'd', 'empty'), { recursive: true }))).to.match(/only on base/)
    expect(differs(root => writeFileSync(join(root, 'line\nbreak'), ''))).to.match(/only on other: "line\\nbreak"/)
    expect(pathsHolding(readTree(base), 'content')).to.deep.equal(['d/f'])
    rmSync(directory, { recursive: true })
  })

  it('waits for conditions, and says what did not come', async () => {
    let calls = 0
    expect(await until(() => ++calls === 3, { timeoutMs: 1_000, what: 'three', everyMs: 1 })).to.equal(true)
    const failed = until(() => expect(1).to.equal(2), { timeoutMs: 20, what: 'one is two', everyMs: 1 })
    await failed.then(
      () => expect.fail('it passed'),
      (error: Error) => expect(error.message).to.match(/one is two: expected 1 to equal 2/),
    )
  })
})
