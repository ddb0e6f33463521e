// The journal's chain over a lost database. The copy beside the versions still says what this disk showed; the rows begin anew. So an entry of
// a thing that stands where the copy has it is no news, and what the copy has and nobody finds again was deleted meanwhile. With these
// corrections the entries lead, newest first, from the rows of now to every earlier time, as if nothing had been lost.
import type { Facts, Kind } from '../core/entry.ts'
import type { DeviceId, NodeId } from '../core/ids.ts'
import type { JournalEntry } from '../core/past.ts'
import { joinPath, parentPath } from './local-changes.ts'
import { sameStanding } from './standing.ts'

interface Item {
  name: string
  kind: Kind
  facts: Facts
  node: NodeId
  parent: Item | null
  /** A row stands for it. */
  found: boolean
  /** Under one name more than one where directories of several devices met: the disk has one for all of them. The newest is the last. */
  readonly children: Map<string, Item[]>
}

const NO_FACTS: Facts = { content: '' as Facts['content'], size: 0, mtime: 0, mode: 0 }

export class Continuity {
  readonly #root = item({ name: '', kind: 'directory', facts: NO_FACTS, node: '' as NodeId })

  /** What the copy says, oldest first. What does not fit (a piece is missing) is taken as it comes. */
  replay(entries: readonly JournalEntry[]): void {
    for (const entry of entries) this.#take(entry, false)
  }

  /** What a row stands for already. */
  found(path: string): void {
    for (const there of this.#all(path)) there.found = true
  }

  /** What is to be stored for these, in order. */
  adjust(entries: readonly JournalEntry[]): JournalEntry[] {
    return entries.flatMap(entry => {
      const out = this.#adjust(entry)
      for (const each of out) this.#take(each, true)
      if (out.length === 0) this.found(entry.path)
      return out
    })
  }

  /** What nobody found. */
  rest(by: { readonly time: number; readonly device: DeviceId }): JournalEntry[] {
    const out = this.#gone(this.#root, '', by)
    for (const entry of out) this.#take(entry, true)
    return out
  }

  #adjust(entry: JournalEntry): JournalEntry[] {
    const there = this.#at(entry.path, entry.node)
    const gone = there === undefined ? [] : this.#gone(there, parentPath(entry.path), entry)
    // What went with a directory, and was never found in it.
    if (entry.action === 'deleted') return [...gone.filter(({ path }) => path !== entry.path), entry]
    if (entry.was !== null || there === undefined || there.found) return [entry]
    if (there.kind !== entry.kind) return [...gone, entry]
    const was = { path: entry.path, facts: there.facts }
    if (sameStanding(was, { path: entry.path, facts: entry.facts })) return []
    return [{ ...entry, action: 'edited', was }]
  }

  /** It and all in it that was not found, what is in a directory before it. */
  #gone(
    top: Item,
    above: string,
    { time, device }: { readonly time: number; readonly device: DeviceId },
  ): JournalEntry[] {
    const path = top === this.#root ? '' : joinPath(above, top.name)
    const out = childrenOf(top).flatMap(child => this.#gone(child, path, { time, device }))
    if (top.found || top === this.#root || childrenOf(top).some(isFound)) return out
    const { node, kind, facts } = top
    return [...out, { time, device, action: 'deleted', node, kind, path, facts, was: { path, facts } }]
  }

  #take(entry: JournalEntry, found: boolean): void {
    const { action, was, path, facts, kind, node } = entry
    const old = was === null ? undefined : this.#at(was.path, node)
    if (action === 'deleted') {
      if (old !== undefined) takeOut(old)
      return
    }
    const now = old !== undefined && old.kind === kind ? old : item({ name: '', kind, facts, node })
    takeOut(now)
    now.facts = facts
    now.found = now.found || found
    this.#put(now, path)
  }

  #put(what: Item, path: string): void {
    let above = this.#root
    const directory = parentPath(path)
    for (const name of directory === '' ? [] : directory.split('/')) {
      let next = above.children.get(name)?.at(-1)
      if (next === undefined) {
        next = item({ name, kind: 'directory', facts: NO_FACTS, node: what.node })
        next.parent = above
        above.children.set(name, [next])
      }
      above = next
    }
    what.name = path.slice(path.lastIndexOf('/') + 1)
    what.parent = above
    const there = above.children.get(what.name) ?? []
    // A file that moved out of a directory to its name is there before that one goes.
    const others = there.filter(({ kind, node }) => kind === 'directory' && node !== what.node)
    above.children.set(what.name, [...others, what])
  }

  /** That of this node where there are several. */
  #at(path: string, node: NodeId): Item | undefined {
    const all = this.#all(path)
    return all.find(one => one.node === node) ?? all.at(-1)
  }

  #all(path: string): Item[] {
    let all = [this.#root]
    for (const name of path.split('/')) all = all.flatMap(one => one.children.get(name) ?? [])
    return all
  }
}

function takeOut(one: Item): void {
  const left = one.parent?.children.get(one.name)?.filter(other => other !== one) ?? []
  if (left.length > 0) one.parent?.children.set(one.name, left)
  else one.parent?.children.delete(one.name)
}

function childrenOf(one: Item): Item[] {
  return [...one.children.values()].flat()
}

function item(about: Pick<Item, 'name' | 'kind' | 'facts' | 'node'>): Item {
  return { ...about, parent: null, found: false, children: new Map() }
}

function isFound(one: Item): boolean {
  return one.found || childrenOf(one).some(isFound)
}
