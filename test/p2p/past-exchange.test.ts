// Questions about the past on one link, against a peer made by hand: who is answered, what counts as no answer, and what is refused.
import { expect } from 'chai'
import { type ContentId, type DeviceId, type FolderId, NO_CONTENT, type NodeId } from '../../src/core/ids.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import { MAX_HISTORY, type PastQuery, type SharedFolder } from '../../src/core/ports.ts'
import { encodeFrame } from '../../src/p2p/frame.ts'
import { PastExchange } from '../../src/p2p/past-exchange.ts'
import { packEntries, unpackEntries } from '../../src/p2p/past-wire.ts'
import type { PartLink, Peer } from '../../src/p2p/peer.ts'
import { Meter } from '../../src/p2p/safe-stream.ts'
import type { Blobs, Outgoing, SyncMessage } from '../../src/p2p/wire.ts'
import { frameOf, MAX_ENTRIES, MAX_PAST_PATH, onlyBlob, parseSync } from '../../src/p2p/wire.ts'
import { FakeFolder } from '../contract/fake-folder.ts'
import { silentLog, until } from './loopback.ts'

const FOLDER = 'ab'.repeat(16) as FolderId
const PEER = 'peer' as DeviceId
const options = { signal: new AbortController().signal }
const CONTENT = `\x01${'c'.repeat(32)}` as ContentId
const OTHER = `\x01${'d'.repeat(32)}` as ContentId
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
    exchange = new PastExchange({ log: silentLog, sharedWith }, { pastTimeoutMs: 1 })
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

  describe('histories', () => {
    const QUESTION = { path: 'a/b', nodes: [NODE] }
    const facts = { content: CONTENT, size: 3, mtime: -5, mode: 0o644 }
    const ENTRY: JournalEntry = {
      time: 7,
      device: 'not a device' as DeviceId,
      action: 'moved',
      node: NODE,
      kind: 'file',
      path: 'a/b',
      facts,
      was: { path: 'ü', facts: { ...facts, content: OTHER, size: 0 } },
    }
    const history = () => exchange.share(FOLDER).history(QUESTION, options)
    /** What the peer would send if it had these. */
    const pieces = (entries: readonly JournalEntry[]) => packEntries(entries)
    const id = (): number => {
      const message = peer.last()
      if (message.type !== 'history') throw new Error(`${message.type} was sent`)
      return message.id
    }

    it('a peer that does not know one of the questions is still asked the others', async () => {
      const asked = history()
      link.refused?.('history')
      expect(await asked).to.deep.equal([])
      const holders = exchange.share(FOLDER).holders([CONTENT], options)
      const { message } = peer.sent[1] ?? {}
      if (message?.type !== 'holds') throw new Error('it was not asked')
      link.receive({ type: 'held', id: message.id, holds: [true] }, [])
      expect(await holders).to.deep.equal([{ device: PEER, holds: [true] }])
      expect(await history()).to.deep.equal([])
      expect(peer.sent).to.have.length(2)
    })

    it('only those that are to be asked are', async () => {
      const history = (devices: readonly DeviceId[]): Promise<unknown> =>
        exchange.share(FOLDER).history({ path: 'a', nodes: [] }, { ...options, devices: new Set(devices) })
      expect(await history(['another' as DeviceId])).to.deep.equal([])
      expect(peer.sent).to.deep.equal([])
      void history([PEER])
      expect(peer.last().type).to.equal('history')
    })

    it('an entry at a path that is none is left out, the others are not', async () => {
      const bad = ['', '/a', 'a/../b', '.kith/x', 'a//b', 'a/\0', 'x'.repeat(300)].map(path => ({ ...ENTRY, path }))
      const was = { path: '../up', facts }
      const asked = history()
      for (const { entries, blob } of pieces([...bad, { ...ENTRY, was }, ENTRY])) {
        link.receive({ type: 'events', id: id(), failed: false, more: false, entries: [...entries] }, [blob])
      }
      expect(await asked).to.deep.equal([{ device: PEER, entries: [ENTRY] }])
    })

    it('what the schema does not allow ends the link', () => {
      const [piece] = pieces([ENTRY])
      if (piece === undefined) throw new Error('nothing was packed')
      const [good] = piece.entries
      const of = (entries: unknown[]) => {
        const fields = { id: 1, failed: false, more: false, entries }
        return parseSync({ type: 'events', fields, blobs: [piece.blob] })
      }
      expect(of([good])).to.deep.include({ type: 'events' })
      const wrong = [
        { ...good, time: 1.5 },
        { ...good, action: 'purged' },
        { ...good, kind: 'device' },
        { ...good, device: 'x'.repeat(129) },
        { ...good, path: 'x'.repeat(MAX_PAST_PATH + 1) },
        { ...good, facts: { size: -1, mtime: 0, mode: 0 } },
        { ...good, facts: { size: 1, mtime: 0, mode: 0o4755 } },
        { ...good, was: {} },
      ]
      for (const entry of wrong) expect(() => of([entry]), JSON.stringify(entry).slice(0, 200)).to.throw(/malformed/)
      expect(() => of(Array.from({ length: MAX_ENTRIES + 1 }, () => good))).to.throw(/malformed/)
      expect(() => link.receive({ type: 'holds', id: 1, folder: FOLDER }, [Buffer.alloc(34)])).to.throw(/wrong length/)
      expect(() => link.receive({ type: 'history', id: 1, folder: FOLDER, path: '' }, [Buffer.alloc(17)])).to.throw()
    })

    it('a blob of another length, and more than a history may have, end the link', async () => {
      void history()
      const [piece] = pieces(Array.from({ length: 400 }, () => ENTRY))
      if (piece === undefined) throw new Error('nothing was packed')
      const send = (blob: Uint8Array): void => {
        const entries = [...piece.entries]
        link.receive({ type: 'events', id: id(), failed: false, more: true, entries }, [blob])
      }
      expect(() => send(piece.blob.subarray(1))).to.throw(/wrong length/)
      for (let sent = 0; sent < MAX_HISTORY; sent += piece.entries.length) send(piece.blob)
      expect(() => send(piece.blob)).to.throw(/more of a history/)
    })

    it('frames stay within their limit whatever the paths', async () => {
      const long = Array.from({ length: 64 }, () => '\u{10348}'.repeat(60)).join('/')
      const entries = Array.from({ length: 40 }, () => ({ ...ENTRY, path: long, was: { path: long, facts } }))
      ;(shared as FakeFolder).journal = entries
      link.receive({ type: 'history', id: 9, folder: FOLDER, path: long }, [new Uint8Array(0)])
      const out: Outgoing[] = []
      await until('answered', () => {
        for (let next = link.next(); next !== null; next = link.next()) out.push(next)
        const { message } = out.at(-1) ?? {}
        return message?.type === 'events' && !message.more
      })
      expect(out.length).to.be.greaterThan(5)
      for (const each of out) await encodeFrame(frameOf(each), { compress: false })
      const told = out.flatMap(({ message, blobs }) =>
        message.type === 'events' ? unpackEntries(message.entries, onlyBlob(blobs)) : [],
      )
      expect(told).to.deep.equal(entries)
    })

    it('who does not take what it asked for is read for once, and fills no memory', async () => {
      const folder = shared as FakeFolder
      let read = 0
      folder.history = async () => {
        read++
        return [ENTRY]
      }
      const ask = (id: number): boolean =>
        link.receive({ type: 'history', id, folder: FOLDER, path: 'a' }, [new Uint8Array(0)])
      for (let id = 1; id <= 16; id++) ask(id)
      await until('read', () => read === 1)
      expect(() => ask(17)).to.throw(/more questions/)
      const taken: number[] = []
      await until('answered', () => {
        const next = link.next()
        if (next?.message.type === 'events' && !next.message.more) taken.push(next.message.id)
        // Never more than the one whose answer is on its way.
        expect(read).to.be.at.most(taken.length + 1)
        return taken.length === 16
      })
      expect(taken).to.deep.equal(Array.from({ length: 16 }, (_, at) => at + 1))
    })

    it('nothing is told of a folder that is not shared', async () => {
      shared = undefined
      link.receive({ type: 'history', id: 3, folder: FOLDER, path: 'a' }, [new Uint8Array(0)])
      link.receive({ type: 'holds', id: 4, folder: FOLDER }, [Buffer.alloc(33)])
      let answer: Outgoing | null = null
      await until('answered', () => {
        answer ??= link.next()
        return answer !== null && peer.sent.length === 1
      })
      expect(answer).to.deep.equal({
        message: { type: 'events', id: 3, failed: true, more: false, entries: [] },
        blobs: [new Uint8Array(0)],
      })
      expect(peer.last()).to.deep.equal({ type: 'held', id: 4, holds: [] })
    })
  })
})
