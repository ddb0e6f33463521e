// Whom an undo asks what was done, and how much of their answers it takes: any of them may be slow, silent, or the very one that is to be undone.
import { expect } from 'chai'
import type { ContentId, DeviceId, NodeId } from '../../src/core/ids.ts'
import type { HistoryQuery, JournalEntry, Standing } from '../../src/core/past.ts'
import { type JournalFilter, MAX_HISTORY } from '../../src/core/ports.ts'
import { askForDeeds, type Deed } from '../../src/sync/deeds.ts'
import { History } from '../../src/sync/history.ts'
import type { Holdings } from '../../src/sync/holdings.ts'
import { journalEntry } from '../store/samples.ts'

const signal = new AbortController().signal
const [OWN, CULPRIT, WITNESS] = ['own', 'culprit', 'witness'] as [DeviceId, DeviceId, DeviceId]

type Answer = (nodes: readonly NodeId[]) => readonly JournalEntry[] | null

const nodesOf = (count: number): NodeId[] => Array.from({ length: count }, (_, at) => `node ${at}`.padEnd(16) as NodeId)

function standing(text: string): Standing {
  return { path: 'f', facts: { content: text as ContentId, size: 1, mtime: 0, mode: 0o644 } }
}

function edit(node: NodeId, device: DeviceId, from: string, to: string): JournalEntry {
  return journalEntry({ node, device, ...standing(to), was: standing(from) })
}

/** This device saw one edit of each node by the culprit, from "1" to "3". */
class Asking {
  readonly nodes: readonly NodeId[]
  /** Who was asked of how many nodes. */
  readonly questions: { readonly of: number; readonly devices: readonly DeviceId[] }[] = []
  readonly #answers: ReadonlyMap<DeviceId, Answer>

  constructor(count: number, answers: readonly (readonly [DeviceId, Answer])[]) {
    this.nodes = nodesOf(count)
    this.#answers = new Map(answers)
  }

  async deeds(): Promise<(node: NodeId) => readonly Deed[]> {
    const { nodes } = this
    const journal = async function* (): AsyncIterable<JournalEntry> {
      for (const node of nodes) yield edit(node, CULPRIT, '1', '3')
    }
    const network = { peers: () => [...this.#answers.keys()], history: this.#history }
    const deps = {
      device: OWN,
      now: () => 0,
      store: { journal },

      network: () => network,
      absent: () => [],
    }
    const asked = await askForDeeds(deps, { device: CULPRIT, since: 0 }, { signal })
    return node => asked.begin()(edit(node, CULPRIT, '1', '3'))
  }

  readonly #history = async (
    { nodes }: HistoryQuery,
    { devices }: { readonly devices?: ReadonlySet<DeviceId> },
  ): Promise<{ device: DeviceId; entries: readonly JournalEntry[] }[]> => {
    const asked = [...this.#answers].filter(([device]) => devices?.has(device) !== false)
    this.questions.push({ of: nodes.length, devices: asked.map(([device]) => device) })
    return asked.flatMap(([device, answer]) => {
      const entries = answer(nodes)
      return entries === null ? [] : [{ device, entries }]
    })
  }
}

/** What others did, and the culprit upon it. */
const steps = (nodes: readonly NodeId[]): readonly JournalEntry[] =>
  nodes.flatMap(node => [edit(node, CULPRIT, '2', '3'), edit(node, WITNESS, '1', '2')]).slice(0, MAX_HISTORY)
const fates = (deeds: readonly Deed[]): string[] =>
  deeds.map(({ entry, fate }) => `${entry.was?.facts.content} ${fate}`)
const TOLD = ['2 back', '1 stays']

describe('sync: deeds', () => {
  it('who does not answer is not asked again', async () => {
    const asking = new Asking(2_500, [
      [CULPRIT, steps],
      [WITNESS, () => null],
    ])
    const deeds = await asking.deeds()
    expect(asking.questions).to.deep.equal([
      { of: 1_000, devices: [CULPRIT, WITNESS] },
      { of: 1_000, devices: [CULPRIT] },
      { of: 500, devices: [CULPRIT] },
    ])
    for (const node of asking.nodes) expect(fates(deeds(node))).to.deep.equal(TOLD)
  })

  it('nobody is asked once nobody answers', async () => {
    const asking = new Asking(2_500, [[CULPRIT, () => null]])
    const deeds = await asking.deeds()
    expect(asking.questions).to.have.length(1)
    expect(fates(deeds(asking.nodes[0] as NodeId))).to.deep.equal(['1 back'])
  })

  it('a full answer is asked for in parts', async () => {
    const many: Answer = nodes =>
      nodes.flatMap(node => [...steps([node]), ...Array(20).fill(edit(node, WITNESS, '0', '1'))]).slice(0, MAX_HISTORY)
    const asking = new Asking(2_000, [[CULPRIT, many]])
    const deeds = await asking.deeds()
    for (const node of asking.nodes) expect(fates(deeds(node))).to.deep.equal(TOLD)
    expect(asking.questions.length).to.be.lessThan(15)
  })

  it('who tells without end counts as one that did not answer, and holds up nobody else', async () => {
    const endless: Answer = nodes => Array(MAX_HISTORY).fill(edit(nodes[0] as NodeId, WITNESS, '1', '3'))
    const asking = new Asking(5_000, [
      [CULPRIT, steps],
      [WITNESS, endless],
    ])
    const deeds = await asking.deeds()
    for (const node of asking.nodes) expect(fates(deeds(node))).to.deep.equal(TOLD)
    expect(asking.questions.filter(({ devices }) => devices.includes(WITNESS)).length).to.be.lessThan(30)
    expect(asking.questions.length).to.be.lessThan(50)
  })

  it('whoever is asked reads of its journal what was asked about, not all of it', async () => {
    const [first, second] = nodesOf(2) as [NodeId, NodeId]
    const read: JournalFilter[] = []
    const journal = async function* (filter: JournalFilter): AsyncIterable<JournalEntry> {
      read.push(filter)
      if (filter.node !== undefined) yield edit(filter.node, WITNESS, '1', '2')
    }
    const holdings = {} as Holdings
    const history = new History({
      device: OWN,
      store: { journal },
      holdings,
      network: () => null,
      nameKey: path => path,
    })
    const told = await history.answer({ path: '', nodes: [first, second] }, { signal })
    expect(told.map(({ node }) => node)).to.deep.equal([first, second])
    expect(read).to.deep.equal([{ node: first }, { node: second }])
  })

  it('of what nobody asked about nothing is taken', async () => {
    const nodes = nodesOf(1_001)
    const [first, last] = [nodes[0], nodes.at(-1)] as [NodeId, NodeId]
    const asking = new Asking(1_001, [[WITNESS, some => steps([some.includes(last) ? first : last])]])
    const deeds = await asking.deeds()
    for (const node of [first, last]) expect(fates(deeds(node))).to.deep.equal(['1 back'])
  })
})
