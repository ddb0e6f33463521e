// Who is told of the beginnings of files that are being read, and what can be asked for.
import { expect } from 'chai'
import { contentOf, listOf } from '../../src/core/content-list.ts'
import type { ContentId, DeviceId } from '../../src/core/ids.ts'
import type { FolderNetwork, HashRequest } from '../../src/core/ports.ts'
import { Beginnings } from '../../src/sync/beginnings.ts'
import { EarlyContents } from '../../src/sync/early-contents.ts'
import { pseudorandom } from '../contract/network-contract.ts'
import { rootRow } from '../store/samples.ts'

describe('sync/beginnings', () => {
  const { stat } = rootRow()
  const whole = contentOf(pseudorandom(1 << 20, 5))
  const [shorter, longer] = [3, 5].map(count => listOf(whole.chunks.slice(0, count))) as [typeof whole, typeof whole]
  let peers: DeviceId[]
  let told: [number, ContentId | null][]
  let early: EarlyContents
  let beginnings: Beginnings
  const requestOf = (path: string): HashRequest => ({ path, kind: 'file', stat })
  beforeEach(() => {
    peers = ['peer' as DeviceId]
    told = []
    early = new EarlyContents()
    const offer = (file: number, prefix: ContentId | null): number => told.push([file, prefix])
    const network = { peers: () => peers, offer } as unknown as FolderNetwork
    beginnings = new Beginnings({ early, network: () => network })
  })

  it('tells each, which can be had from where the file lies until it is stored', () => {
    beginnings.known(requestOf('d/f'), shorter)
    const place = { at: 'file', path: 'd/f', kind: 'file', stat } as const
    expect(early.places(shorter.content)).to.deep.equal([place])
    beginnings.known(requestOf('d/f'), longer)
    expect([shorter, longer].map(({ content }) => early.places(content).length)).to.deep.equal([0, 1])
    expect(early.progress(longer.content)).to.equal('all')
    expect(early.find(whole.chunks[1]?.hash ?? ('' as never))).to.include({ offset: whole.chunks[0]?.length })
    early.keep(() => false)
    expect(early.places(longer.content).length, 'nobody needs to want it').to.equal(1)
    beginnings.end()
    expect(early.places(longer.content)).to.deep.equal([])
    expect(told).to.deep.equal([
      [1, shorter.content],
      [1, longer.content],
      [1, null],
    ])
  })

  it('numbers each file, and each reading of it', () => {
    beginnings.known(requestOf('f'), shorter)
    beginnings.known(requestOf('g'), longer)
    beginnings.end()
    beginnings.known(requestOf('f'), longer)
    expect(told.map(([file]) => file)).to.deep.equal([1, 2, 1, 2, 3])
  })

  it('remembers those of four files', () => {
    const lists = [2, 3, 4, 5, 6].map(count => listOf(whole.chunks.slice(0, count)))
    for (const [at, list] of lists.entries()) beginnings.known(requestOf(`f${at}`), list)
    expect(lists.map(({ content }) => early.places(content).length)).to.deep.equal([0, 1, 1, 1, 1])
  })

  it('tells nobody where nobody is linked', () => {
    peers = []
    beginnings.known(requestOf('f'), shorter)
    beginnings.end()
    expect([told, early.places(shorter.content)]).to.deep.equal([[], []])
  })
})
