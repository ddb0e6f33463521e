// One link between two simulated devices: messages in order each way, with the faults of the network, and the comparison of
// documents by digests and state vectors. When it ends, what was on its way is lost.
import { decodeTop } from '../../src/core/content-list.ts'
import { isKithError } from '../../src/core/errors.ts'
import type { DeviceId, DocId, Hash } from '../../src/core/ids.ts'
import { binary, DIRECTORIES_DOC, hexOf } from '../../src/core/ids.ts'
import type { DocUpdate, FolderState, SharedFolder } from '../../src/core/ports.ts'
import type { NetworkFaults } from './memory-network.ts'
import type { Random } from './random.ts'
import type { VirtualClock } from './virtual-clock.ts'

type Vectors = ReadonlyMap<DocId, Uint8Array>

type Message =
  | { readonly type: 'updates'; readonly updates: readonly DocUpdate[] }
  | { readonly type: 'state'; readonly state: FolderState }
  /** Digests of all documents; the other answers with `vectors`, or finds that all are equal. */
  | { readonly type: 'compare'; readonly digests: Vectors }
  | { readonly type: 'equal' }
  /** State vectors of documents that differ; `answer`: send yours back. */
  | { readonly type: 'vectors'; readonly vectors: Vectors; readonly answer: boolean }

/** Peers whose documents still differ after a while of quiet compare again. */
const RECOMPARE_MS = 2_000
/** More rounds for one difference than this say that the documents cannot be joined. */
const MAX_COMPARISONS = 200
/** Bad pieces of content after which a peer is not asked again on this link. */
const BAD_PIECES = 3

interface Deps {
  readonly clock: VirtualClock
  readonly random: Random
  readonly trace?: (line: string) => void
  readonly faults: () => NetworkFaults
  readonly onFailure: (error: unknown) => void
}

interface End {
  readonly device: DeviceId
  readonly folder: SharedFolder
}

interface Side extends End {
  readonly queue: Message[]
  busy: boolean
  /** The last state this side was told of the other. */
  told: FolderState | null
  stateDue: boolean
  /** The last state this side told of itself: nothing is said twice. */
  said: string
  /** Pieces of content from the other side that did not match. */
  bad: number
  /** No message to this side arrives before. */
  earliest: number
}

export class MemoryLink {
  readonly #deps: Deps
  readonly #sides: readonly [Side, Side]
  readonly closed: Promise<void>
  #close: () => void = () => undefined
  #open = true
  #onWay = 0
  #statesOnWay = 0
  #comparisons = 0
  #recompareDue = false

  constructor(deps: Deps, first: End, second: End) {
    this.#deps = deps
    const side = (end: End): Side => ({
      ...end,
      queue: [],
      busy: false,
      told: null,
      stateDue: false,
      said: '',
      bad: 0,
      earliest: 0,
    })
    this.#sides = [side(first), side(second)]
    this.closed = new Promise(resolve => {
      this.#close = resolve
    })
  }

  get isOpen(): boolean {
    return this.#open
  }

  get idle(): boolean {
    return this.#onWay === 0 && !this.#recompareDue && this.#sides.every(side => !side.busy && side.queue.length === 0)
  }

  /** Nothing is on its way but what the devices say of themselves. */
  get tellsOnly(): boolean {
    return (
      this.#onWay === this.#statesOnWay &&
      !this.#recompareDue &&
      this.#sides.every(side => !side.busy && side.queue.every(message => message.type === 'state'))
    )
  }

  joins(device: DeviceId): boolean {
    return this.#sides.some(side => side.device === device)
  }

  other(device: DeviceId): DeviceId {
    return this.#far(device).device
  }

  folderOf(device: DeviceId): SharedFolder {
    return this.#near(device).folder
  }

  open(): void {
    // Not within the caller's turn: a folder learns of its peers after it was given its network.
    this.#deps.clock.after(0, () => {
      if (!this.#open) return
      for (const side of this.#sides) this.stateChanged(side.device)
      this.#compare()
    })
  }

  /** `gone`: the device whose process ended and is not told. */
  close(gone: DeviceId | null): void {
    if (!this.#open) return
    this.#open = false
    this.#close()
    for (const side of this.#sides) {
      side.queue.length = 0
      if (side.device !== gone) side.folder.onPeerState(this.other(side.device), null)
    }
  }

  reportBad(device: DeviceId): void {
    this.#near(device).bad++
  }

  trusts(device: DeviceId): boolean {
    return this.#near(device).bad < BAD_PIECES
  }

  stateChanged(device: DeviceId): void {
    const near = this.#near(device)
    if (near.stateDue) return
    near.stateDue = true
    this.#deps.clock.after(0, () => {
      near.stateDue = false
      if (!this.#open) return
      const state = near.folder.state()
      const said = JSON.stringify(state)
      if (said === near.said) return
      near.said = said
      this.send(device, { type: 'state', state })
    })
  }

  /** From this device to the other one. */
  send(from: DeviceId, message: Message): void {
    if (!this.#open) return
    const { random, clock } = this.#deps
    const faults = this.#deps.faults()
    const to = this.#far(from)
    const isUpdate = message.type === 'updates'
    if (isUpdate && random.chance(faults.loss)) {
      this.#deps.trace?.(`net ${from} -> ${to.device} loses updates`)
      this.#recompareLater()
      return
    }
    const copies = isUpdate && random.chance(faults.repeat) ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      const due = clock.elapsed() + random.int(faults.delayMs + 1)
      const overtakes = isUpdate && random.chance(faults.reorder)
      const at = overtakes ? due : Math.max(due, to.earliest)
      if (!overtakes) to.earliest = at
      const isState = message.type === 'state'
      this.#onWay++
      if (isState) this.#statesOnWay++
      clock.after(at - clock.elapsed(), () => {
        this.#onWay--
        if (isState) this.#statesOnWay--
        if (!this.#open) return
        to.queue.push(message)
        this.#drain(to).catch(error => this.#refused(error))
      })
    }
  }

  async #drain(side: Side): Promise<void> {
    if (side.busy) return
    side.busy = true
    try {
      for (;;) {
        const message = side.queue.shift()
        if (message === undefined || !this.#open) break
        await this.#take(side, message)
      }
    } finally {
      side.busy = false
    }
  }

  async #take(side: Side, message: Message): Promise<void> {
    const from = this.other(side.device)
    switch (message.type) {
      case 'updates': {
        const { gaps, refused } = await side.folder.receive(message.updates, from)
        this.#deps.trace?.(`net ${from} -> ${side.device} updates ${message.updates.map(({ doc }) => doc).join()}`)
        if (refused !== null) throw new Error(`${side.device} refused an update of ${from}: ${refused}`)
        if (gaps.length > 0) {
          // What it builds on, or the registration of who wrote it, is missing: ask for both.
          const docs = [...new Set([DIRECTORIES_DOC, ...gaps])]
          this.send(side.device, { type: 'vectors', vectors: vectors(side.folder, docs), answer: false })
        }
        return
      }
      case 'state':
        side.told = message.state
        side.folder.onPeerState(from, message.state)
        if (message.state.digest !== side.folder.state().digest) this.#recompareLater()
        return
      case 'compare': {
        const differ = differing(side.folder.digests(), message.digests)
        if (differ.length > 0) {
          this.send(side.device, { type: 'vectors', vectors: vectors(side.folder, differ), answer: true })
          return
        }
        this.#comparisons = 0
        side.folder.onCompared(from)
        this.send(side.device, { type: 'equal' })
        return
      }
      case 'equal':
        side.folder.onCompared(from)
        return
      case 'vectors':
        this.#answer(side, message.vectors, message.answer)
    }
  }

  #answer(side: Side, theirs: Vectors, answer: boolean): void {
    const docs = [...theirs.keys()].sort(
      (a, b) => Number(b === DIRECTORIES_DOC) - Number(a === DIRECTORIES_DOC) || a - b,
    )
    const updates: DocUpdate[] = []
    for (const doc of docs) {
      const update = side.folder.missing(doc, theirs.get(doc) ?? new Uint8Array([0]))
      // It is on its way to the store: asked again with the next comparison. Without the directories the others make no sense.
      if (update !== null) updates.push({ doc, update })
      else if (doc === DIRECTORIES_DOC) break
    }
    if (updates.length > 0) this.send(side.device, { type: 'updates', updates })
    if (answer) this.send(side.device, { type: 'vectors', vectors: vectors(side.folder, docs), answer: false })
    this.#recompareLater()
  }

  #recompareLater(): void {
    if (this.#recompareDue || !this.#open) return
    this.#recompareDue = true
    this.#deps.clock.after(RECOMPARE_MS, () => {
      this.#recompareDue = false
      if (this.#open) this.#compare()
    })
  }

  #compare(): void {
    const [first, second] = this.#sides
    if (++this.#comparisons > MAX_COMPARISONS) {
      this.#deps.onFailure(new Error(`the documents of ${first.device} and ${second.device} do not become equal`))
      return
    }
    try {
      this.send(first.device, { type: 'compare', digests: first.folder.digests() })
    } catch (error) {
      this.#refused(error)
    }
  }

  /** A folder that cannot answer now (its database failed, it is being loaded again) is asked again later; anything else must not be. */
  #refused(error: unknown): void {
    if (isKithError(error) && error.retry) this.#recompareLater()
    else this.#deps.onFailure(error)
  }

  #near(device: DeviceId): Side {
    const [first, second] = this.#sides
    return first.device === device ? first : second
  }

  #far(device: DeviceId): Side {
    const [first, second] = this.#sides
    return first.device === device ? second : first
  }
}

export function decodeTopHashes(top: Uint8Array): Hash[] {
  return decodeTop(top).segments.map(segment => segment.hash)
}

function vectors(folder: SharedFolder, docs: readonly DocId[]): Vectors {
  return new Map(docs.map(doc => [doc, folder.stateVector(doc)]))
}

function differing(ours: Vectors, theirs: Vectors): DocId[] {
  const docs = new Set([...ours.keys(), ...theirs.keys()])
  return [...docs].filter(doc => hex(ours.get(doc)) !== hex(theirs.get(doc))).sort((a, b) => a - b)
}

function hex(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? '' : hexOf(binary(bytes))
}
