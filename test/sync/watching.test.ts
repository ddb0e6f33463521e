// What a person does in a directory that another device made or moved is seen at once, not at the next full look minutes later.
import { expect } from 'chai'
import { SimWorld } from '../support/sim-world.ts'

const SOON_MS = 20_000

describe('directories that another device made or moved', () => {
  it('are watched from then on, with all below them', async () => {
    const world = new SimWorld(1)
    const anna = world.add({ name: 'anna', pull: false })
    const bert = world.add({ name: 'bert', pull: true })
    anna.person.write('first', 'first')
    await world.startAll()
    await world.pass(SOON_MS)
    anna.person.mkdirs('new/below')
    anna.person.write('new/below/f', 'one')
    await world.pass(SOON_MS)
    bert.person.write('new/below/f', 'two')
    await world.pass(SOON_MS)
    expect(anna.person.text('new/below/f'), 'made there').to.equal('two')
    anna.person.rename('new', 'moved')
    await world.pass(SOON_MS)
    bert.person.write('moved/below/f', 'three')
    await world.pass(SOON_MS)
    expect(anna.person.text('moved/below/f'), 'moved there').to.equal('three')
    await world.stopAll()
  })
})

describe('a watcher that did not see all', () => {
  it('is told of in the log, once until everything was looked at', async () => {
    const world = new SimWorld(1)
    const anna = world.add({ name: 'anna', pull: false })
    anna.watcher.loss = 1
    await world.startAll()
    await world.pass(SOON_MS)
    const warned = (): string[] => world.log.filter(line => line.includes('the watcher may have missed changes'))
    anna.person.write('f', 'one')
    for (const reason of ['too many', 'too many', 'too many', 'another']) anna.doubt(reason)
    await world.pass(SOON_MS)
    expect(warned().map(line => line.slice(line.indexOf('reason=')))).to.deep.equal([
      ...['reason="too many"', 'reason="another"'],
    ])
    expect([...anna.engine.entries()].map(({ path }) => path)).to.include('f')
    anna.doubt('too many')
    await world.pass(SOON_MS)
    expect(warned()).to.have.length(3)
    await world.stopAll()
  })
})
