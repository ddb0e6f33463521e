import { expect } from 'chai'
import { addressOf, linked, Neighbourhood, pair, until, waiting } from './network-fixture.ts'

describe('network', () => {
  let there: Neighbourhood
  beforeEach(() => {
    there = new Neighbourhood()
  })
  afterEach(async () => {
    await there.close()
  })

  it('pairs two devices by a code and links them', async () => {
    const [laptop, desktop] = [await there.device('laptop'), await there.device('desktop')]
    const offer = await laptop.network.offerPairing(waiting())
    const joined = await desktop.network.join(offer.code, { ...waiting(), address: addressOf(laptop) })
    expect(joined).to.deep.equal({ id: laptop.id, name: 'laptop' })
    expect(await offer.paired).to.deep.equal({ id: desktop.id, name: 'desktop' })
    await until('they are linked', () => linked(laptop, desktop))
  })

  it('links again after a restart on another port', async () => {
    const [laptop, desktop] = [await there.device('laptop'), await there.device('desktop')]
    await pair(laptop, desktop)
    await until('they are linked', () => linked(laptop, desktop))
    await laptop.stop()
    await until('the other notices', () => desktop.network.devices()[0]?.connected === false)
    const again = await there.device('laptop', { home: laptop.home })
    expect(again.id).to.equal(laptop.id)
    await again.network.addAddress(desktop.id, addressOf(desktop))
    await until('they are linked again', () => linked(again, desktop))
  })
})
