// What must be true between the quiet points, at every step after which a daemon says that it is at rest: what its disk showed and nobody
// disposed of, it still shows. Judged where there is no doubt: where its own documents still hold that content, or where all devices agree.
// (Elsewhere half of what a person did may be on its way.) So what is only hidden for now, could not be read, or was on the move while it
// was looked for never leaves a disk. Where a watcher loses or delays what it sees, a move may honestly look like a deletion until the next
// full look: then nothing is judged.
import type { ContentId } from '../../src/core/ids.ts'
import { readRecords } from '../crdt/support/full-projection.ts'
import { snapshots } from '../crdt/support/replica.ts'
import type { SimDevice } from '../support/sim-device.ts'
import { contentIdOf, loadStored } from '../support/sim-tree.ts'

const WORD = /w\d+w/g

interface Part {
  readonly words: readonly string[]
  readonly content: ContentId
}

export class Staying {
  readonly #isDisposed: (word: string) => boolean
  /** Word → the content that it was last seen in. */
  readonly #seen = new Map<SimDevice, Map<string, ContentId>>()
  readonly #away = new Map<SimDevice, ReadonlySet<string>>()
  readonly #parts = new WeakMap<Uint8Array, Part>()

  constructor(isDisposed: (word: string) => boolean) {
    this.#isDisposed = isDisposed
  }

  /** A power cut takes back what the daemon did last: what this disk shows from then on counts anew. */
  watch(device: SimDevice): void {
    const { onPowerCut } = device
    device.onPowerCut = () => {
      onPowerCut()
      this.#seen.delete(device)
    }
  }

  /** Its disk goes away for a while, with what stands there unseen. */
  async leaves(device: SimDevice): Promise<void> {
    this.#away.set(device, await this.#notSeenYet([device]))
  }

  /** Its disk is another one now. */
  forget(device: SimDevice): void {
    this.#seen.delete(device)
  }

  async check(devices: readonly SimDevice[]): Promise<void> {
    const states = devices.map(device => (device.started ? device.engine.state() : null))
    const agreed = states.every(state => state?.settled === true && state.digest === states[0]?.digest)
    for (const [at, device] of devices.entries()) {
      const state = states[at]
      if (state?.settled !== true || state.needFiles > 0 || device.person.unmounted) continue
      const missing = this.#look(device)
      for (const word of missing.size === 0 ? [] : await this.#notSeenYet(devices)) missing.delete(word)
      if (missing.size === 0) continue
      const words = [...missing.keys()].join(', ')
      if (agreed) throw new Error(`I2: ${words} vanished from ${device.name}, and all agree`)
      const live = await liveContents(device)
      for (const [word, content] of missing)
        if (live.has(content)) throw new Error(`I2: ${word} vanished from ${device.name}, whose documents have it`)
    }
  }

  /** What this disk does not show any more, though nobody disposed of it. */
  #look(device: SimDevice): Map<string, ContentId> {
    const missing = new Map(this.#seen.get(device))
    const shown = new Map<string, ContentId>()
    for (const { inode } of device.volume.all()) {
      if (inode.kind === 'directory') continue
      const { words, content } = this.#part(inode.data)
      for (const word of words) shown.set(word, content)
    }
    for (const word of missing.keys()) if (shown.has(word) || this.#isDisposed(word)) missing.delete(word)
    this.#seen.set(device, new Map([...missing, ...shown]))
    return missing
  }

  /**
   * What stands where its daemon could not see it yet: a person moved it to where it cannot look, or the word of the other half of a swap is
   * still on its way from the watcher.
   */
  async #notSeenYet(devices: readonly SimDevice[]): Promise<Set<string>> {
    const words = new Set<string>()
    for (const device of devices) {
      const rows = await device.database.loadRows()
      if (device.person.unmounted) for (const word of this.#away.get(device) ?? []) words.add(word)
      for (const { path, inode } of device.volume.all()) {
        if (inode.kind === 'directory' || (device.hintsUnderWay === 0 && !device.volume.blocked(path))) continue
        const { words: hidden, content } = this.#part(inode.data)
        if (rows.at(path)?.content !== content) for (const word of hidden) words.add(word)
      }
    }
    return words
  }

  #part(bytes: Uint8Array): Part {
    let part = this.#parts.get(bytes)
    if (part === undefined) {
      const words = Buffer.from(bytes).toString('latin1').match(WORD) ?? []
      part = { words, content: contentIdOf(bytes) }
      this.#parts.set(bytes, part)
    }
    return part
  }
}

/** The contents of every file that this device's documents hold, shown or hidden. */
async function liveContents(device: SimDevice): Promise<Set<ContentId>> {
  const { tree } = await loadStored(device)
  const { nodes } = readRecords(snapshots(tree))
  return new Set([...nodes.values()].flatMap(node => node.versions.map(version => version.content)))
}
