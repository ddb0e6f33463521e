// What must be true at every quiet point, of every history. It knows what people wrote, and what they overwrote or deleted with it
// before their eyes; everything else must be there, once the world is at rest, the same everywhere, and nothing more.
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId } from '../../src/core/ids.ts'
import type { SimDevice } from '../support/sim-device.ts'
import { agreedPath, heldContents, sharedTree, treeLines } from '../support/sim-tree.ts'
import type { SimWorld } from '../support/sim-world.ts'
import type { Words } from './user-actions.ts'

const WORD = /w\d+w/g
/** ` (conflict 2026-01-05 12-00-00 anna-x1y2)`, ` (3fa9c1)`, ` (parked 1)`. */
const SUFFIX = / \((?:conflict \d{4}-\d\d-\d\d \d\d-\d\d-\d\d [\w.-]+|[0-9a-f]{6,32}|parked \d+)\)/g

export class Oracle implements Words {
  readonly #world: SimWorld
  readonly #written = new Map<string, string>()
  readonly #disposed = new Map<string, string>()
  readonly #contents = new Set<ContentId>()
  readonly #lines = new Set<string>()
  readonly #names = new Set<string>()
  readonly #wordsOf = new Map<Uint8Array, readonly string[]>()
  readonly #noted = new Set<Uint8Array>()
  #count = 0
  counts = { contents: 0, copies: 0, merged: 0, unavailable: 0 }

  constructor(world: SimWorld) {
    this.#world = world
  }

  next(): string {
    return `w${++this.#count}w`
  }

  /** Listens to what the person at this device disposes of. */
  watch(device: SimDevice): void {
    device.person.onDisposed = (bytes, by) => {
      const left = new Set(by === null ? [] : this.#words(by))
      for (const word of this.#words(bytes)) if (!left.has(word)) this.#disposed.set(word, device.name)
    }
  }

  /** Takes in what a person just put on the disk. */
  noteWritten(device: SimDevice, what: string): void {
    for (const { inode, name } of device.volume.all()) {
      this.#names.add(nameKey(name))
      if (inode.kind === 'directory' || this.#noted.has(inode.data)) continue
      this.#noted.add(inode.data)
      const words = this.#words(inode.data)
      const id = contentOf(inode.data).content
      this.counts.contents++
      this.#contents.add(id)
      for (const line of linesOf(inode.data)) this.#lines.add(line)
      for (const word of words) if (!this.#written.has(word)) this.#written.set(word, `${device.name}: ${what}`)
    }
  }

  /** What stands on the disks now was there before the person's next action: seen, but not written by them. */
  seen(device: SimDevice): void {
    for (const { inode } of device.volume.all()) if (inode.kind !== 'directory') this.#noted.add(inode.data)
  }

  /** At rest: throws what is wrong. */
  async check(): Promise<void> {
    this.#sameTrees(await this.#unavailable())
    for (const device of this.#world.devices) await this.#asShared(device)
    this.#nothingLost()
    this.#nothingInvented()
    await this.#nothingLeftOver()
  }

  get #folded(): boolean {
    return this.#world.devices.some(device => device.options.foldsCase === true)
  }

  /**
   * Paths whose content nobody has any more: edited and then deleted by its only holder, while another device's unseen touch kept the
   * node. There each disk keeps what it had.
   */
  async #unavailable(): Promise<Set<string>> {
    const [first] = this.#world.devices
    if (first === undefined) return new Set()
    const held = new Set(this.#world.devices.flatMap(other => [...heldContents(other)]))
    const lines = await sharedTree(first)
    const gone = lines.filter(({ kind, content }) => kind !== 'directory' && !held.has(content))
    return new Set(gone.map(({ path }) => agreedPath(path, this.#folded)))
  }

  #sameTrees(unavailable: ReadonlySet<string>): void {
    const folded = this.#folded
    const [first, ...rest] = this.#world.devices.map(device => ({
      device,
      tree: treeLines(device, { exact: false, folded, without: unavailable }).join('\n'),
    }))
    if (first === undefined) return
    for (const other of rest) {
      if (other.tree !== first.tree) {
        throw new Error(`the trees of ${first.device.name} and ${other.device.name} differ\n${this.#world.picture()}`)
      }
    }
    const digests = new Set(this.#world.devices.map(device => device.engine.state().digest))
    if (digests.size > 1) throw new Error('the documents differ')
  }

  /** The disk shows what the documents show, but for contents that no device has any more. */
  async #asShared(device: SimDevice): Promise<void> {
    const folded = this.#folded
    const disk = new Map<string, string>()
    for (const { path, inode } of device.volume.all()) {
      const content = inode.kind === 'directory' ? '' : contentOf(inode.data).content
      disk.set(agreedPath(path, folded), `${inode.kind} ${content}`)
    }
    const held = new Set(this.#world.devices.flatMap(other => [...heldContents(other)]))
    for (const { path, kind, content } of await sharedTree(device)) {
      const key = agreedPath(path, folded)
      const there = disk.get(key)
      disk.delete(key)
      if (there === `${kind} ${content}`) continue
      if (kind !== 'directory' && !held.has(content)) {
        this.counts.unavailable++
        continue
      }
      throw new Error(`${device.name} does not show ${kind} ${path} as the documents do\n${this.#world.picture()}`)
    }
    const [more] = disk.keys()
    if (more !== undefined)
      throw new Error(`${device.name} shows ${more}, which is not in the documents\n${this.#world.picture()}`)
  }

  #nothingLost(): void {
    for (const device of this.#world.devices) {
      const shown = new Set<string>()
      for (const { inode } of device.volume.all()) {
        if (inode.kind !== 'directory') for (const word of this.#words(inode.data)) shown.add(word)
      }
      for (const [word, origin] of this.#written) {
        if (!shown.has(word) && !this.#disposed.has(word)) {
          throw new Error(
            `${word} is lost on ${device.name} (written by ${origin})${this.#kept(word)}\n${this.#world.picture()}`,
          )
        }
      }
    }
  }

  #kept(word: string): string {
    const holders = this.#world.devices.filter(device =>
      [...(device.volume.root?.kith?.versions.values() ?? [])].some(bytes => this.#words(bytes).includes(word)),
    )
    return holders.length === 0 ? '' : `, a kept version on ${holders.map(device => device.name).join(', ')}`
  }

  #nothingInvented(): void {
    for (const device of this.#world.devices) {
      for (const { inode, name, path } of device.volume.all()) {
        if (!this.#names.has(nameKey(name.replace(SUFFIX, ''))))
          throw new Error(`invented name ${path} on ${device.name}`)
        if (name.match(SUFFIX) !== null) this.counts.copies++
        if (inode.kind === 'directory' || this.#contents.has(contentOf(inode.data).content)) continue
        const strange = inode.kind === 'file' ? linesOf(inode.data).filter(line => !this.#lines.has(line)) : [path]
        if (strange.length > 0) throw new Error(`invented content in ${path} on ${device.name}: ${strange.join(' | ')}`)
        this.counts.merged++
      }
    }
  }

  async #nothingLeftOver(): Promise<void> {
    const held = new Set(this.#world.devices.flatMap(other => [...heldContents(other)]))
    for (const device of this.#world.devices) {
      const kith = device.volume.root?.kith ?? null
      if (kith === null) throw new Error(`${device.name} has no .kith`)
      if (kith.parked.size > 0) throw new Error(`${device.name} left ${[...kith.parked.keys()].join(', ')} parked`)
      // Begun, still wanted, and nobody has it any more: what came of it is kept for the day when somebody does.
      const wanted = new Set((await sharedTree(device)).map(({ content }) => content).filter(id => !held.has(id)))
      const left = [...kith.stage].filter(([content, { whole }]) => whole !== null || !wanted.has(content))
      if (left.length > 0) throw new Error(`${device.name} left ${left.length} contents staged`)
    }
  }

  #words(bytes: Uint8Array): readonly string[] {
    let words = this.#wordsOf.get(bytes)
    if (words === undefined) {
      words = Buffer.from(bytes).toString('latin1').match(WORD) ?? []
      this.#wordsOf.set(bytes, words)
    }
    return words
  }
}

function linesOf(bytes: Uint8Array): string[] {
  if (bytes.includes(0)) return []
  return Buffer.from(bytes)
    .toString('utf8')
    .replace(/^\ufeff/, '')
    .split('\n')
    .map(line => line.replace(/\r$/, ''))
}

function nameKey(name: string): string {
  return name.normalize('NFC').toLowerCase()
}
