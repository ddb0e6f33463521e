// The first minute: `up DIR` answers fast and says what to do next; `start` and `stop` run the same in the background.

import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { figure, seconds, timed } from './support/figures.ts'
import { until } from './support/until.ts'
import { useWorld } from './support/world.ts'

const START_MS = 5_000

describe('e2e: starting', function () {
  this.timeout(60_000)
  const world = useWorld(['desk', 'lamp'])

  it('`up DIR` answers in under 5 s, syncs DIR, and says what to do next', async () => {
    const desk = world.device('desk')
    mkdirSync(desk.path('notes'))
    writeFileSync(desk.path('notes', 'a.txt'), 'a')
    const took = await timed(() => desk.start(desk.path('notes')))
    figure(`answered after ${seconds(took)}`)
    expect(took).to.be.below(START_MS)
    await until(() => / pair$/m.test(desk.logTail()), { timeoutMs: START_MS, what: 'it says what to do next' })
    await desk.ok(['wait', '--timeout', '10'])
    const folder = await desk.folder('notes')
    expect(folder).to.include({ path: desk.path('notes'), state: 'idle', mode: 'two-way', files: 1, error: null })
    const again = await timed(async () => {
      await desk.stop()
      await desk.start(desk.path('notes'))
    })
    figure(`stopped and started again in ${seconds(again)}`)
    expect((await desk.folder('notes')).id).to.equal(folder.id)
  })

  it('keeps what it owns to itself', async () => {
    const desk = world.device('desk')
    const { stdout } = await desk.ok(['status', '--json'])
    expect(JSON.parse(stdout)).to.deep.include({ device: { ...(await desk.status()).device } })
    expect(statSync(desk.home).mode & 0o077).to.equal(0)
    expect(statSync(desk.path('notes', '.kith')).mode & 0o777).to.equal(0o700)
  })

  it('`events` tells what happens, one JSON document a line', async () => {
    const desk = world.device('desk')
    const events = desk.spawn(['events'])
    try {
      // the stream is open when a first event came; saves are repeated until then
      let saves = 0
      const types = new Set<string>()
      await until(
        async () => {
          writeFileSync(desk.path('notes', 'a.txt'), `save ${++saves}`)
          const event = JSON.parse(await events.lines.next(2_000)) as { type: string; path?: string }
          types.add(event.type)
          return event.type === 'file:published' && event.path === 'a.txt'
        },
        { timeoutMs: 15_000, what: 'the save is told' },
      )
      figure(`told: ${[...types].join(', ')}`)
    } finally {
      events.end()
    }
  })

  it('`folder remove` leaves the files', async () => {
    const desk = world.device('desk')
    await desk.ok(['folder', 'remove', 'notes'])
    expect((await desk.status()).folders).to.deep.equal([])
    expect(readFileSync(desk.path('notes', 'a.txt'), 'utf8')).to.match(/^save /)
    await desk.ok(['add', desk.path('notes')])
    await desk.ok(['wait', '--timeout', '10'])
    expect((await desk.folder('notes')).files).to.equal(1)
  })

  it('`start` and `stop` in the background', async () => {
    const lamp = world.device('lamp')
    const starting = await timed(() => lamp.ok(['start']))
    figure(`\`start\` returned after ${seconds(starting)}`)
    const { daemon } = await lamp.status()
    try {
      expect((await lamp.cli(['start'])).code, 'start again').to.be.oneOf([0, 1])
      expect((await lamp.status()).daemon.pid).to.equal(daemon.pid)
      await lamp.ok(['stop'])
      expect((await lamp.cli(['status'])).code).to.equal(3)
      await until(() => !alive(daemon.pid), { timeoutMs: 5_000, what: 'the process ends' })
    } finally {
      if (alive(daemon.pid)) process.kill(daemon.pid, 'SIGKILL')
    }
  })
})

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
