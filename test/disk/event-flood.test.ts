// So many events in one turn of the loop that the system's queue may have been full: everything is doubted, once.
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { expect } from 'chai'
import { EventFlood } from '../../src/disk/event-flood.ts'
import { DirectoryWatch } from '../../src/disk/watcher.ts'
import { temporaryRoot } from './real-person.ts'

const DEADLINE_MS = 10_000
/** More than the system queues (16,384). */
const OVERFLOWING = 20_000

describe('disk/event-flood', () => {
  let told = 0
  let flood: EventFlood
  const count = (events: number): void => {
    for (let n = 0; n < events; n++) flood.count()
  }
  beforeEach(() => {
    told = 0
    flood = new EventFlood(100)
    flood.listen(() => told++)
  })

  it('tells once of half of what the queue holds, in one turn', async () => {
    count(50)
    await setImmediate()
    expect(told).to.equal(1)
    count(49)
    await setImmediate()
    expect(told).to.equal(1)
  })

  it('does not add up what came in several turns', async () => {
    for (let turn = 0; turn < 5; turn++) {
      count(49)
      await setImmediate()
    }
    expect(told).to.equal(0)
  })

  it('tells nobody who ended it', async () => {
    const end = flood.listen(() => expect.fail('told after the end'))
    end()
    count(50)
    await setImmediate()
    expect(told).to.equal(1)
  })

  it('a watch doubts everything when the queue of the system was full', async function () {
    if (process.platform !== 'linux') return this.skip()
    const root = temporaryRoot()
    mkdirSync(`${root}/d`)
    for (const name of ['one', 'two']) writeFileSync(`${root}/d/${name}`, name)
    const doubts: string[] = []
    let dirty = 0
    const watch = new DirectoryWatch(root, {
      onDirty: () => dirty++,
      onDoubt: reason => doubts.push(reason),
      onDegraded: problem => expect.fail(problem.message),
    })
    try {
      watch.add(['', 'd'])
      for (const deadline = Date.now() + DEADLINE_MS; dirty === 0 && Date.now() < deadline; await setImmediate())
        writeFileSync(`${root}/d/probe`, `${Date.now()}`)
      // Equal events that follow one another are one: these are never equal. Nothing reads them meanwhile: this holds the loop.
      for (let n = 0; n < OVERFLOWING; n++) utimesSync(`${root}/d/${n % 2 === 0 ? 'one' : 'two'}`, 1e9, 1e9 + n)
      for (const deadline = Date.now() + DEADLINE_MS; doubts.length === 0 && Date.now() < deadline; )
        await setImmediate()
      expect(doubts).to.deep.equal(['More changed at a time than the system tells of.'])
    } finally {
      await watch.close()
      rmSync(root, { recursive: true, force: true })
    }
  }).timeout(30_000)
})
