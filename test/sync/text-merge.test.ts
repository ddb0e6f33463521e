// Texts edited on both sides while apart: merged line by line where that is safe, kept twice where it is not, through whole engines.
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import { MERGE_LIMIT_BYTES } from '../../src/sync/merge-text.ts'
import { type Act, type Scene, scene } from '../support/scene.ts'
import type { SimDevice } from '../support/sim-device.ts'

const FIVE = 'one\ntwo\nthree\nfour\nfive\n'

interface Case {
  readonly name: string
  readonly base: string | Uint8Array
  readonly a: string | Uint8Array
  readonly b: string | Uint8Array
  /** The one content, or null where both must be kept. */
  readonly merged: string | Uint8Array | null
}

const utf16 = (text: string): Uint8Array => Buffer.from(`\ufeff${text}`, 'utf16le')
const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1')

/** A text of so many bytes, in lines of 1000; `edits` replace the first characters of these lines. */
function long(size: number, edits: Readonly<Record<number, string>> = {}): string {
  const lines = Array.from({ length: Math.ceil(size / 1000) }, (_, at) => {
    const width = Math.min(1000, size - at * 1000) - 1
    return `${(edits[at] ?? `line ${at} `).padEnd(width, '.').slice(0, width)}\n`
  })
  return lines.join('')
}

const CASES: readonly Case[] = [
  { name: 'adjacent lines', base: FIVE, a: FIVE.replace('two', 'A'), b: FIVE.replace('three', 'B'), merged: null },
  {
    name: 'lines with one untouched between them',
    base: FIVE,
    a: FIVE.replace('two', 'A'),
    b: FIVE.replace('four', 'B'),
    merged: 'one\nA\nthree\nB\nfive\n',
  },
  {
    name: 'different lines',
    base: FIVE,
    a: FIVE.replace('one', 'ONE'),
    b: FIVE.replace('five', 'FIVE'),
    merged: 'ONE\ntwo\nthree\nfour\nFIVE\n',
  },
  {
    name: 'a line added here, another dropped there',
    base: FIVE,
    a: `zero\n${FIVE}`,
    b: FIVE.replace('four\n', ''),
    merged: 'zero\none\ntwo\nthree\nfive\n',
  },
  { name: 'the same line', base: FIVE, a: FIVE.replace('three', 'A'), b: FIVE.replace('three', 'B'), merged: null },
  {
    name: 'the same change on both sides, and another on one',
    base: FIVE,
    a: FIVE.replace('three', 'A'),
    b: FIVE.replace('three', 'A').replace('five', 'B'),
    merged: 'one\ntwo\nA\nfour\nB\n',
  },
  { name: 'both append at the end', base: FIVE, a: `${FIVE}six a\n`, b: `${FIVE}six b\n`, merged: null },
  {
    name: 'CRLF stays CRLF',
    base: FIVE.replaceAll('\n', '\r\n'),
    a: FIVE.replace('one', 'ONE').replaceAll('\n', '\r\n'),
    b: FIVE.replace('five', 'FIVE').replaceAll('\n', '\r\n'),
    merged: 'ONE\r\ntwo\r\nthree\r\nfour\r\nFIVE\r\n',
  },
  {
    name: 'no newline at the end',
    base: 'one\ntwo\nthree\nfour',
    a: 'ONE\ntwo\nthree\nfour',
    b: 'one\ntwo\nthree\nFOUR',
    merged: 'ONE\ntwo\nthree\nFOUR',
  },
  {
    name: 'a byte order mark on all',
    base: `\ufeff${FIVE}`,
    a: `\ufeff${FIVE.replace('one', 'ONE')}`,
    b: `\ufeff${FIVE.replace('five', 'FIVE')}`,
    merged: '\ufeffONE\ntwo\nthree\nfour\nFIVE\n',
  },
  {
    name: 'bytes that are no UTF-8',
    base: latin1('caf\xe9\ntwo\nthree\n'),
    a: latin1('CAF\xe9\ntwo\nthree\n'),
    b: latin1('caf\xe9\ntwo\nTHREE\n'),
    merged: null,
  },
  {
    name: 'a byte order mark on one side only',
    base: FIVE,
    a: `\ufeff${FIVE.replace('one', 'ONE')}`,
    b: FIVE.replace('five', 'FIVE'),
    merged: null,
  },
  {
    name: 'both append where no newline was at the end',
    base: 'one\ntwo\nthree',
    a: 'one\ntwo\nthree\na',
    b: 'one\ntwo\nthree\nb\n',
    merged: null,
  },
  {
    name: 'an edit here, CRLF for LF there',
    base: FIVE,
    a: FIVE.replace('one', 'ONE'),
    b: FIVE.replaceAll('\n', '\r\n'),
    merged: null,
  },
  {
    name: 'UTF-16 with a byte order mark',
    base: utf16(FIVE),
    a: utf16(FIVE.replace('one', 'ONE')),
    b: utf16(FIVE.replace('five', 'FIVE')),
    merged: utf16('ONE\ntwo\nthree\nfour\nFIVE\n'),
  },
  {
    name: 'UTF-16 of one side saved as UTF-8 on the other',
    base: utf16(FIVE),
    a: utf16(FIVE.replace('one', 'ONE')),
    b: FIVE.replace('five', 'FIVE'),
    merged: null,
  },
  {
    name: 'exactly as long as is merged',
    base: long(MERGE_LIMIT_BYTES),
    a: long(MERGE_LIMIT_BYTES, { 0: 'A' }),
    b: long(MERGE_LIMIT_BYTES, { 9: 'B' }),
    merged: long(MERGE_LIMIT_BYTES, { 0: 'A', 9: 'B' }),
  },
  {
    name: 'one byte longer than is merged',
    base: long(MERGE_LIMIT_BYTES + 1),
    a: long(MERGE_LIMIT_BYTES + 1, { 0: 'A' }),
    b: long(MERGE_LIMIT_BYTES + 1, { 9: 'B' }),
    merged: null,
  },
  {
    name: 'each side short enough, both together not',
    base: long(MERGE_LIMIT_BYTES - 2_000),
    a: `${'a'.repeat(1_500)}\n${long(MERGE_LIMIT_BYTES - 2_000)}`,
    b: long(MERGE_LIMIT_BYTES - 2_000).replace('line 9 ', `line 9 ${'b'.repeat(1_500)}`),
    merged: null,
  },
  { name: 'a NUL in it', base: `\0\n${FIVE}`, a: `\0\n${FIVE}a\n`, b: `\0\nb\n${FIVE}`, merged: null },
]

/** Long enough for two devices to link, exchange, merge and show it. */
const MERGE_MS = 30_000

function bytes(content: string | Uint8Array): Buffer {
  return Buffer.from(content)
}

/** The contents of all files on each device, sorted, as latin1: equal everywhere. */
function contents(stage: Scene): string[] {
  const all = stage.world.devices.map(device =>
    [...device.volume.all()].map(entry => Buffer.from(entry.inode.data).toString('latin1')).sort(),
  )
  for (const each of all) expect(each.map(short)).to.deep.equal(all[0]?.map(short))
  return all[0] ?? []
}

/** Megabytes of difference are no message. */
function short(text: string): string {
  return text.length < 200 ? text : `${text.length} ${contentOf(Buffer.from(text, 'latin1')).content}`
}

const write =
  (content: string | Uint8Array): Act =>
  p =>
    p.write('text.txt', content)

const mergesOn = (stage: Scene): number[] =>
  stage.world.devices.map(device => device.events.filter(event => event.type === 'file:merged').length)

describe('texts edited on both sides', function () {
  this.timeout(60_000)
  for (const { name, base, a, b, merged } of CASES) {
    for (const order of ['a first', 'b first'] as const) {
      for (const devices of [2, 3]) {
        const where = devices === 3 ? ', with a third device' : ''
        it(`${name}: ${merged === null ? 'both are kept' : 'one text'} (${order}${where})`, () =>
          scene({ devices }, async stage => {
            await stage.begin(write(base))
            const acts = [[0, write(a)] as const, [1, write(b)] as const]
            await stage.apart(...(order === 'a first' ? acts : acts.reverse()))
            const expected = merged === null ? [a, b] : [merged]
            expect(contents(stage).map(short)).to.deep.equal(
              expected
                .map(content => bytes(content).toString('latin1'))
                .sort()
                .map(short),
            )
            for (const device of stage.world.devices)
              expect(device.engine.conflicts(), device.name).to.have.length(merged === null ? 1 : 0)
          }))
      }
    }
  }

  const ONE = FIVE.replace('one', 'ONE')
  const THREE = FIVE.replace('three', 'THREE')
  const FIFTH = FIVE.replace('five', 'FIVE')

  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
  ] as const) {
    it(`three devices that edit three places, ${order.join()}: nothing is lost, and there are two texts`, () =>
      scene({ devices: 3 }, async stage => {
        const texts = [ONE, THREE, FIFTH] as const
        await stage.begin(write(FIVE))
        await stage.apart(...order.map(at => [at, write(texts[at])] as const))
        // What a merge descends from is told by one base only: that the third edit began where the two did cannot be shown. And where two
        // devices merge two pairs at once, merges are not merged again.
        const all = contents(stage)
        expect(all).to.have.length(2)
        const edits = all.map(text => ['ONE', 'THREE', 'FIVE'].filter(word => text.includes(word)))
        expect([...new Set(edits.flat())].sort()).to.deep.equal(['FIVE', 'ONE', 'THREE'])
        expect(Math.max(...edits.map(words => words.length))).to.equal(2)
        for (const device of stage.world.devices) expect(device.engine.conflicts()).to.have.length(1)
      }))

    it(`a chain: two merge while a third edits, then all meet, ${order.join()}: nothing is lost, and there are two texts`, () =>
      scene({ devices: 3 }, async stage => {
        const [x, y, z] = order.map(at => stage.device(at)) as [SimDevice, SimDevice, SimDevice]
        await stage.begin(write(FIVE))
        stage.world.partition()
        await stage.act(order[0], write(ONE))
        await stage.act(order[1], write(THREE))
        stage.world.network.setLinked(x.id, y.id, true)
        await stage.world.pass(MERGE_MS)
        const merged = 'ONE\ntwo\nTHREE\nfour\nfive\n'
        for (const device of [x, y]) expect(Buffer.from(device.person.read('text.txt')).toString()).to.equal(merged)
        await stage.act(order[2], write(FIFTH))
        expect(Buffer.from(z.person.read('text.txt')).toString()).to.equal(FIFTH)
        await stage.meet()
        expect(contents(stage)).to.deep.equal([merged, FIFTH].sort())
        for (const device of stage.world.devices) expect(device.engine.conflicts()).to.have.length(1)
      }))
  }

  for (const devices of [2, 3]) {
    it(`the same merge made on ${devices} devices at once is one version and no conflict`, () =>
      scene({ devices }, async stage => {
        await stage.begin(write(FIVE))
        stage.world.partition()
        await stage.act(0, write(ONE))
        await stage.act(1, write(FIFTH))
        // Slow enough for all to have both edits long before anybody hears of a merge.
        stage.world.network.faults = { delayMs: 20_000, loss: 0, repeat: 0, reorder: 0 }
        await stage.meet()
        expect(mergesOn(stage).filter(count => count > 0).length).to.be.at.least(2)
        expect(stage.tree()).to.deep.equal({ 'text.txt': 'ONE\ntwo\nthree\nfour\nFIVE\n' })
        for (const device of stage.world.devices) expect(device.engine.conflicts()).to.deep.equal([])
      }))
  }

  for (const order of [
    [0, 1, 2, 3],
    [3, 2, 1, 0],
  ] as const) {
    it(`merged versions that meet are kept and not merged with each other, ${order.join()}`, () =>
      scene({ devices: 4 }, async stage => {
        const { network } = stage.world
        await stage.begin(write(FIVE))
        stage.world.partition()
        for (const [n, text] of [ONE, THREE, FIVE.replace('two', 'ZWEI'), FIFTH].entries())
          await stage.act(order[n] ?? 0, write(text))
        network.setLinked(stage.device(order[0]).id, stage.device(order[1]).id, true)
        network.setLinked(stage.device(order[2]).id, stage.device(order[3]).id, true)
        await stage.world.pass(MERGE_MS)
        const before = mergesOn(stage)
        await stage.meet()
        expect(contents(stage)).to.deep.equal(
          ['ONE\ntwo\nTHREE\nfour\nfive\n', 'one\nZWEI\nthree\nfour\nFIVE\n'].sort(),
        )
        expect(mergesOn(stage)).to.deep.equal(before)
        for (const device of stage.world.devices) expect(device.engine.conflicts()).to.have.length(1)
      }))
  }

  it('a storm: four devices append a line every second while apart, and meet, ten times', () =>
    scene({ devices: 4 }, async stage => {
      const ROUNDS = 10
      const said: string[] = []
      await stage.begin(p => p.write('log.txt', 'start\n'))
      for (let round = 0; round < ROUNDS; round++) {
        stage.world.partition()
        for (let second = 0; second < 4; second++) {
          for (const device of stage.world.devices) {
            const line = `${device.name} ${round} ${second}`
            said.push(line)
            device.person.write('log.txt', `${Buffer.from(device.person.read('log.txt')).toString()}${line}\n`)
          }
          await stage.world.pass(1_000)
        }
        await stage.meet()
      }
      const files = Object.entries(stage.tree())
      const all = files.flatMap(([, text]) => text.split('\n'))
      for (const line of said) expect(all).to.include(line)
      for (const [path, text] of files) {
        const lines = text.split('\n')
        expect(lines.length, path).to.equal(new Set(lines).size)
        expect(path.split('(conflict').length, path).to.be.at.most(2)
      }
      // Of each round one text goes on and three are kept, as they were: nobody ever copies a copy.
      expect(files).to.have.length(1 + 3 * ROUNDS)
      // All apart, each said it once: of the texts kept from one round no two hold the same line of that round.
      for (let round = 0; round < ROUNDS; round++) {
        const ends = files.filter(([, text]) => text.trimEnd().split('\n').at(-1)?.split(' ')[1] === String(round))
        const own = ends.flatMap(([, text]) => text.split('\n').filter(line => line.split(' ')[1] === String(round)))
        expect(own.length, `round ${round}`).to.equal(new Set(own).size)
      }
      await stage.world.pass(600_000)
      await stage.meet()
      expect(Object.keys(stage.tree())).to.have.length(1 + 3 * ROUNDS)
    }))

  it('a storm on two devices, each in its own part of the text, stays one text with every line once', () =>
    scene({}, async stage => {
      const said: string[] = []
      const head = (name: string): string => `# ${name}\n`
      await stage.begin(p => p.write('log.txt', `${head('anna')}\n\n\n${head('bert')}\n`))
      for (let round = 0; round < 10; round++) {
        stage.world.partition()
        for (let second = 0; second < 4; second++) {
          for (const device of stage.world.devices) {
            const line = `${device.name} ${round} ${second}`
            said.push(line)
            const text = Buffer.from(device.person.read('log.txt')).toString()
            device.person.write('log.txt', text.replace(head(device.name), `${head(device.name)}${line}\n`))
          }
          await stage.world.pass(1_000)
        }
        await stage.meet()
      }
      const tree = stage.tree()
      expect(Object.keys(tree)).to.deep.equal(['log.txt'])
      const lines = (tree['log.txt'] ?? '').split('\n').filter(line => /^\w+ \d+ \d+$/.test(line))
      expect(lines.sort()).to.deep.equal(said.sort())
    }))

  it('several edits on each side merge against what both last had', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('text.txt', FIVE))
      const first = FIVE.replace('one', 'ONE')
      await stage.apart(
        [0, p => p.write('text.txt', FIVE.replace('one', 'draft'))],
        [0, p => p.write('text.txt', first)],
        [1, p => p.write('text.txt', FIVE.replace('four', 'draft'))],
        [1, p => p.write('text.txt', FIVE.replace('four', 'FOUR'))],
      )
      expect(stage.tree()).to.deep.equal({ 'text.txt': 'ONE\ntwo\nthree\nFOUR\nfive\n' })
    }))

  it('merges what is edited on one side and renamed and edited on the other', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('text.txt', FIVE))
      await stage.apart(
        [0, p => p.write('text.txt', FIVE.replace('one', 'ONE'))],
        [
          1,
          p => {
            p.rename('text.txt', 'new.txt')
            p.write('new.txt', FIVE.replace('five', 'FIVE'))
          },
        ],
      )
      const contents = Object.values(stage.tree()).join('')
      expect(contents).to.include('ONE')
      expect(contents).to.include('FIVE')
    }))

  it('merges again after a merge', () =>
    scene({}, async stage => {
      await stage.begin(p => p.write('text.txt', FIVE))
      await stage.apart(
        [0, p => p.write('text.txt', FIVE.replace('one', 'ONE'))],
        [1, p => p.write('text.txt', FIVE.replace('five', 'FIVE'))],
      )
      const merged = 'ONE\ntwo\nthree\nfour\nFIVE\n'
      expect(stage.tree()).to.deep.equal({ 'text.txt': merged })
      await stage.apart(
        [0, p => p.write('text.txt', merged.replace('two', 'TWO'))],
        [1, p => p.write('text.txt', merged.replace('four', 'FOUR'))],
      )
      expect(stage.tree()).to.deep.equal({ 'text.txt': 'ONE\nTWO\nthree\nFOUR\nFIVE\n' })
    }))
})
