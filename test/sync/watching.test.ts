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
