// What a journal knows of the past, on journals written by hand: paths under every name that their directories had, spellings, questions
// that come together, and what it costs.
import { setImmediate } from 'node:timers/promises'
import { expect } from 'chai'
import { singleContent } from '../../src/core/content.ts'
import type { ContentId, DeviceId, Hash, NodeId } from '../../src/core/ids.ts'
import { NO_CONTENT } from '../../src/core/ids.ts'
import { nameKey } from '../../src/core/names.ts'
import type { JournalEntry } from '../../src/core/past.ts'
import type { PastQuery } from '../../src/core/ports.ts'
import { openDatabase } from '../../src/store/database.ts'
import { Past } from '../../src/sync/past.ts'
import { newHome, removeHomes } from '../store/homes.ts'
import { FOLDER } from '../store/samples.ts'

const options = { signal: new AbortController().signal }
const node = (number: number): NodeId => String(number).padStart(16, 'n') as NodeId
const content = (number: number): ContentId => singleContent(String(number).padStart(32, 'c') as Hash)

/** Oldest first: [node, path, content]; a directory without content. */
type Line = readonly [number, string, number?]

function entryOf([id, path, of]: Line): JournalEntry {
  const facts = { content: of === undefined ? NO_CONTENT : content(of), size: 1, mtime: 0, mode: 0o644 }
  const kind = of === undefined ? 'directory' : 'file'
  return { time: 0, device: 'device' as DeviceId, action: 'edited', node: node(id), kind, path, facts, was: null }
}

class Hand {
  readings = 0
  readonly #lines: readonly Line[]

  constructor(lines: readonly Line[]) {
    this.#lines = lines
  }

  async *journal(): AsyncIterable<JournalEntry> {
    this.readings++
    for (const line of [...this.#lines].reverse()) yield entryOf(line)
  }
}

function pastOf(lines: readonly Line[], options_: { fold?: boolean } = {}): Past {
  return new Past({ store: new Hand(lines), nameKey: name => nameKey(name, options_.fold ?? false) })
}

async function knows(past: Past, path: string, of: number | null, id: number | null = null): Promise<boolean> {
  const query: PastQuery = {
    path,
    node: id === null ? null : node(id),
    content: of === null ? NO_CONTENT : content(of),
    kind: of === null ? 'directory' : 'file',
  }
  const [known] = await past.ask([query], options)
  return known === true
}

describe('the past in a journal', () => {
  it('is a content at its path, or of its node, and nothing else', async () => {
    const past = pastOf([
      [1, 'a', 10],
      [1, 'a', 11],
      [2, 'b', 20],
    ])
    expect(await knows(past, 'a', 10)).to.equal(true)
    expect(await knows(past, 'a', 11)).to.equal(true)
    expect(await knows(past, 'a', 20), 'a copy of another file').to.equal(false)
    expect(await knows(past, 'new', 10), 'a copy at a new name').to.equal(false)
    expect(await knows(past, 'a', 99)).to.equal(false)
    expect(await knows(past, 'elsewhere', 10, 1)).to.equal(true)
    expect(await knows(past, 'elsewhere', 10, 2)).to.equal(false)
  })

  it('follows a file over its moves and edits', async () => {
    const past = pastOf([
      [1, 'a', 10],
      [1, 'b', 10],
      [1, 'b', 11],
      [1, 'c', 11],
    ])
    for (const [path, of] of [
      ['a', 10],
      ['b', 10],
      ['b', 11],
      ['c', 11],
      ['c', 10],
    ] as const)
      expect(await knows(past, path, of), `${path} ${of}`).to.equal(true)
    expect(await knows(past, 'd', 10)).to.equal(false)
  })

  it('follows directories: what is in one was under each of its names, however deep', async () => {
    const past = pastOf([
      [1, 'D'],
      [2, 'D/sub'],
      [3, 'D/sub/x', 30],
      [1, 'E'],
      [2, 'E/deep'],
      [4, 'F'],
      [1, 'F/E'],
    ])
    for (const path of ['D/sub/x', 'E/sub/x', 'E/deep/x', 'F/E/deep/x', 'F/E/sub/x'])
      expect(await knows(past, path, 30), path).to.equal(true)
    expect(await knows(past, 'F/deep/x', 30)).to.equal(false)
    for (const path of ['D', 'E', 'F/E', 'D/sub', 'F/E/deep'])
      expect(await knows(past, path, null), path).to.equal(true)
    expect(await knows(past, 'F/D', null)).to.equal(false)
    expect(await knows(past, 'anything', null, 2)).to.equal(true)
  })

  it('ends where directories were moved into one another, round and round', async () => {
    const past = pastOf([
      [1, 'a'],
      [2, 'b'],
      [1, 'b/a'],
      [1, 'a'],
      [2, 'a/b'],
      [2, 'b'],
      [1, 'b/a'],
      [3, 'b/a/x', 30],
    ])
    expect(await knows(past, 'a/x', 30)).to.equal(true)
    expect(await knows(past, 'b/a/b/a/b/a/x', 30)).to.equal(true)
    expect(await knows(past, 'b/x', 30)).to.equal(false)
  })

  it('takes spellings of one name for one, and cases where the tree does', async () => {
    const lines: Line[] = [
      [1, 'caf\u00e9'],
      [2, 'caf\u00e9/\u00fc', 20],
    ]
    expect(await knows(pastOf(lines), 'cafe\u0301/u\u0308', 20)).to.equal(true)
    expect(await knows(pastOf(lines), 'CAF\u00c9/\u00dc', 20)).to.equal(false)
    expect(await knows(pastOf(lines, { fold: true }), 'CAF\u00c9/\u00dc', 20)).to.equal(true)
  })

  it('answers questions that came meanwhile together, each with its own', async () => {
    const hand = new Hand([
      [1, 'a', 10],
      [2, 'b', 20],
    ])
    const past = new Past({ store: hand, nameKey: name => name })
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) => knows(past, at % 2 === 0 ? 'a' : 'b', at < 10 ? 10 : 20)),
    )
    expect(answers).to.deep.equal(Array.from({ length: 20 }, (_, at) => (at < 10 ? at % 2 === 0 : at % 2 === 1)))
    expect(hand.readings).to.be.at.most(4)
  })

  it('fails those who asked, and them alone, where the journal cannot be read; and who does not wait any more', async () => {
    let broken = true
    const hand = new Hand([[1, 'a', 10]])
    const journal = (): AsyncIterable<JournalEntry> => {
      if (broken) throw new Error('damaged')
      return hand.journal()
    }
    const past = new Past({ store: { journal }, nameKey: name => name })
    const failed = await knows(past, 'a', 10).catch((error: unknown) => error)
    expect(failed).to.be.instanceOf(Error)
    broken = false
    expect(await knows(past, 'a', 10)).to.equal(true)
  })

  it('10,000 questions to a journal of 100,000 entries do not hold the main loop', async function () {
    this.timeout(120_000)
    const database = await openDatabase(await newHome())
    try {
      const store = database.folder(FOLDER)
      for (let from = 0; from < 100_000; from += 5_000) {
        const journal = Array.from({ length: 5_000 }, (_, n) => {
          const at = from + n
          return entryOf(
            at % 50 === 0 ? [at, `directory ${at}`] : [at, `directory ${at - (at % 50)}/file ${at}.txt`, at],
          )
        })
        await store.commit({ journal })
      }
      const past = new Past({ store, nameKey: name => nameKey(name, false) })
      let longest = 0
      let running = true
      const beat = (async () => {
        for (let last = performance.now(); running; last = performance.now()) {
          await setImmediate()
          longest = Math.max(longest, performance.now() - last)
        }
      })()
      const since = performance.now()
      const batches = Array.from({ length: 10 }, (_, batch) =>
        past.ask(
          Array.from({ length: 1_000 }, (_, n): PastQuery => {
            const at = batch * 10_000 + n * 10 + 1
            const path = `directory ${at - (at % 50)}/file ${n % 2 === 0 ? at : 'none'}.txt`
            return { path, node: null, content: content(at), kind: 'file' }
          }),
          options,
        ),
      )
      const known = (await Promise.all(batches)).flat()
      const ms = performance.now() - since
      running = false
      await beat
      console.log(`      ${ms.toFixed(0)} ms, main loop held for at most ${longest.toFixed(0)} ms`)
      expect(known.filter(yes => yes)).to.have.length(5_000)
      // A busy machine is slow; one stretch over all entries would take many times as long.
      expect(longest).to.be.below(Math.max(500, ms / 4))
    } finally {
      await database.close()
      await removeHomes()
    }
  })
})
