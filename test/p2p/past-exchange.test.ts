// Questions about the past on one link, against a peer made by hand: who is answered, what counts as no answer, and what is refused.
import { expect } from 'chai'
import { type ContentId, type DeviceId, type FolderId, NO_CONTENT, type NodeId } from '../../src/core/ids.ts'
import type { PastQuery, SharedFolder } from '../../src/core/ports.ts'
import { PastExchange } from '../../src/p2p/past-exchange.ts'
import type { PartLink, Peer } from '../../src/p2p/peer.ts'
import { Meter } from '../../src/p2p/safe-stream.ts'
import type { Blobs, SyncMessage } from '../../src/p2p/wire.ts'
import { frameOf, MAX_PAST_PATH, parseSync } from '../../src/p2p/wire.ts'
import { FakeFolder } from '../contract/fake-folder.ts'
import { silentLog, until } from './loopback.ts'

const FOLDER = 'ab'.repeat(16) as FolderId
const PEER = 'peer' as DeviceId
const options = { signal: new AbortController().signal }
const CONTENT = `\x01${'c'.repeat(32)}` as ContentId
const NODE = 'n'.repeat(16) as NodeId
const QUERY: PastQuery = { path: 'a/b', node: NODE, content: CONTENT, kind: 'file' }

function questionOf(id: number): SyncMessage {
  return { type: 'past', id, folder: FOLDER, queries: [{ path: 'a', kind: 'file' }] }
}

class HandPeer implements Peer {
  readonly device = PEER
  readonly meter = new Meter()
  readonly sent: { message: SyncMessage; blobs: Blobs }[] = []
  readonly #ended = new AbortController()

  get signal(): AbortSignal {
    return this.#ended.signal
  }

  post(message: SyncMessage, blobs: Blobs = []): void {
    this.sent.push({ message, blobs })
  }

  wake(): void {}
  fail(): void {}
  openContentStream(): Promise<never> {
    throw new Error('no streams here')
  }

  last(): SyncMessage {
    const [last] = this.sent.slice(-1)
    if (last === undefined) throw new Error('nothing was sent')
    return last.message
  }
}

describe('the past on a link', () => {
  let shared: SharedFolder | undefined
  let peer: HandPeer
  let link: PartLink
  let exchange: PastExchange

  beforeEach(() => {
    shared = new FakeFolder(FOLDER, 1)
    peer = new HandPeer()
    exchange = new PastExchange({ log: silentLog, sharedWith: folder => (folder === FOLDER ? shared : undefined) })
    link = exchange.attach(peer)
  })

  const ask = (queries: readonly PastQuery[]): Promise<readonly boolean[] | null> =>
    exchange.share(FOLDER).past(queries, options)
  const answer = (known: boolean[]): boolean => {
    const message = peer.last()
    if (message.type !== 'past') throw new Error(`${message.type} was sent`)
    return link.receive({ type: 'known', id: message.id, known }, [])
  }

  it('a peer that does not know the question counts as not there, from then on without asking', async () => {
    const asked = ask([QUERY])
    link.refused?.('get')
    link.refused?.('past')
    expect(await asked).to.equal(null)
    expect(await ask([QUERY])).to.equal(null)
    expect(peer.sent).to.have.length(1)
  })

  it('a peer that lets a question wait too long is asked no more before it answers one', async () => {
    const sharedWith = (): SharedFolder | undefined => shared
    exchange = new PastExchange({ log: silentLog, answerMs: 1, sharedWith })
    link = exchange.attach(peer)
    expect(await ask([QUERY])).to.equal(null)
    expect(await ask([QUERY])).to.equal(null)
    expect(peer.sent).to.have.length(1)
    answer([true])
    const asked = ask([QUERY])
    answer([true])
    expect(await asked).to.deep.equal([true])
  })

  it('an answer of another length is none', async () => {
    for (const known of [[], [true, true]]) {
      const asked = ask([QUERY])
      answer(known)
      expect(await asked).to.equal(null)
    }
    const asked = ask([QUERY])
    answer([true])
    expect(await asked).to.deep.equal([true])
  })

  it('an answer that nobody waits for is dropped', () => {
    expect(link.receive({ type: 'known', id: 7, known: [true] }, [])).to.equal(true)
  })

  it('a path longer than a message takes is not asked about, and not known', async () => {
    const long = { ...QUERY, path: 'x'.repeat(MAX_PAST_PATH + 1) }
    const asked = ask([long, QUERY])
    answer([true])
    expect(await asked).to.deep.equal([false, true])
  })

  it('is asked and answered through the frames of the protocol', async () => {
    const folder = shared as FakeFolder
    const queries: PastQuery[] = [QUERY, { path: 'd', node: null, content: NO_CONTENT, kind: 'directory' }]
    folder.remembers = ({ kind }) => kind === 'directory'
    const asked = ask(queries)
    const [out] = peer.sent
    if (out === undefined) throw new Error('nothing was sent')
    const arrived = parseSync(frameOf(out))
    if ('unknown' in arrived) throw new Error('it is unknown')
    expect(link.receive(arrived, out.blobs)).to.equal(true)
    await until('answered', () => peer.last().type === 'known')
    expect(folder.pasts).to.deep.equal([queries])
    expect(link.receive(peer.last(), [])).to.equal(true)
    expect(await asked).to.deep.equal([false, true])
  })

  it('nothing is told of a folder that is not shared, or cannot answer', async () => {
    const blobs = [Buffer.alloc(49)]
    const question = questionOf(3)
    ;(shared as FakeFolder).forgetful = true
    link.receive(question, blobs)
    await until('answered', () => peer.sent.length === 1)
    shared = undefined
    link.receive(question, blobs)
    await until('answered again', () => peer.sent.length === 2)
    for (const { message } of peer.sent) expect(message).to.deep.equal({ type: 'known', id: 3, known: [] })
  })

  it('a blob of another length, and more questions than allowed, break the link', () => {
    const question = questionOf(1)
    for (const bytes of [0, 48, 50, 98])
      expect(() => link.receive(question, [Buffer.alloc(bytes)])).to.throw(/wrong length/)
    expect(() => link.receive(question, [])).to.throw(/blobs/)
    ;(shared as FakeFolder).reading = () => new Promise(() => undefined)
    const many = (): void => {
      for (let at = 0; at < 20; at++) link.receive(question, [Buffer.alloc(49)])
    }
    expect(many).to.throw(/more questions/)
  })
})
