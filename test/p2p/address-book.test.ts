import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { DeviceId } from '../../src/core/ids.ts'
import type { Log } from '../../src/core/log.ts'
import { AddressBook } from '../../src/p2p/address-book.ts'

const DEVICE = '12D3KooWLiVQ96wiFTJubPF47TMoQ8dDTxtV7j13e3Gsq7eVAYhr' as DeviceId
const ADDRESSES = ['/ip4/192.0.2.7/tcp/40000']
const nothing = (): void => undefined
const silent: Log = { error: nothing, warn: nothing, info: nothing, debug: nothing, child: () => silent }

describe('p2p/address-book', () => {
  let home: string
  let elapsed = 0
  let book: AddressBook
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'kith-book-'))
    const clock = { now: () => 0, elapsed: () => elapsed, sleep: () => Promise.resolve() }
    book = new AddressBook({ clock, log: silent }, { home })
    await book.start()
  })
  afterEach(async () => {
    await book.stop()
    await rm(home, { recursive: true })
  })

  it('has a device in sight for a while after each sighting', () => {
    expect(book.isSighted(DEVICE)).to.equal(false)
    expect(book.sighted(DEVICE, ADDRESSES)).to.equal(true)
    expect(book.sighted(DEVICE, ADDRESSES)).to.equal(false)
    expect(book.isSighted(DEVICE)).to.equal(true)
    elapsed += 60_000
    expect(book.isSighted(DEVICE)).to.equal(false)
    expect(book.sighted(DEVICE, ADDRESSES), 'news again').to.equal(true)
  })

  it('has one whose link ended out of sight until it is seen again', () => {
    book.sighted(DEVICE, ADDRESSES)
    book.left(DEVICE)
    expect(book.isSighted(DEVICE)).to.equal(false)
    expect(book.sighted(DEVICE, ADDRESSES), 'news again').to.equal(true)
    expect(book.isSighted(DEVICE)).to.equal(true)
  })
})
