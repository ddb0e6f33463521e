// Edits of one text on two devices, joined line by line before anybody sees a conflict copy. It finds the nodes whose siblings may be
// merged, says which contents it still needs, and writes the merged version. What cannot be merged is left to the projection, which
// shows both. Two devices that merge at once write the same bytes, which are one version.
import { contentOf } from '../core/content-list.ts'
import type { Emit } from '../core/events.ts'
import type { FolderId, NodeId } from '../core/ids.ts'
import type { ContentPlace, FolderBatch, FolderDisk, FolderStore, Waiting } from '../core/ports.ts'
import type { RowTable } from '../core/rows.ts'
import { commonBase, type Group } from '../crdt/versions.ts'
import { entryPath } from './conflicts.ts'
import { MERGE_LIMIT_BYTES } from './merge-text.ts'
import type { Want } from './plan.ts'
import type { Tree } from './tree.ts'

/** A file waits this long for what it is to be merged with; then it shows what is there, and is merged when the rest comes. */
const PATIENCE_MS = 30_000

export interface TextMergerDeps {
  readonly folder: FolderId
  readonly rows: RowTable
  readonly tree: Tree
  readonly disk: FolderDisk
  readonly store: Pick<FolderStore, 'base' | 'contentOfDot'>
  readonly elapsed: () => number
  readonly commit: (batch: FolderBatch) => Promise<void>
  /** Off the main loop; null where the changes overlap. */
  readonly merge: (base: Uint8Array, a: Uint8Array, b: Uint8Array, options: Waiting) => Promise<Uint8Array | null>
  readonly emit: Emit
}

interface Job {
  readonly node: NodeId
  readonly one: Group
  readonly other: Group
  readonly base: Uint8Array
}

export class TextMerger {
  readonly #deps: TextMergerDeps
  /** Since when, in monotone ms. */
  readonly #waiting = new Map<NodeId, number>()
  readonly #held = new Set<NodeId>()
  /** Pairs that were tried and overlap. In memory only: another try after a restart costs a merge. */
  readonly #given = new Set<string>()

  constructor(deps: TextMergerDeps) {
    this.#deps = deps
  }

  /** Is this node waiting for a content that its merge needs? Then the plan leaves it alone. */
  holds(node: NodeId): boolean {
    return this.#held.has(node)
  }

  /** ms until the first of them is held no longer; null where none is. */
  nextDueMs(): number | null {
    const due = [...this.#held].map(node => (this.#waiting.get(node) ?? 0) + PATIENCE_MS - this.#deps.elapsed())
    return due.length === 0 ? null : Math.max(0, Math.min(...due))
  }

  /**
   * Merges what can be merged among these nodes and those that wait. `wants`: the contents missing for the rest; `released`: nodes that
   * are held no longer, to be planned.
   */
  async run(
    nodes: Iterable<NodeId>,
    options: Waiting,
  ): Promise<{ wants: readonly Want[]; released: readonly NodeId[] }> {
    const wants: Want[] = []
    const held = [...this.#held]
    for (const node of new Set([...nodes, ...this.#waiting.keys()])) {
      const since = this.#waiting.get(node) ?? this.#deps.elapsed()
      this.#waiting.delete(node)
      this.#held.delete(node)
      // A merge may leave a third sibling: go on until nothing more can be done.
      for (let job = await this.#job(node); job !== null; job = await this.#job(node)) {
        const missing = await this.#try(job, options)
        if (missing === null) continue
        if (missing.length > 0) {
          this.#waiting.set(node, since)
          if (this.#deps.elapsed() < since + PATIENCE_MS) this.#held.add(node)
          wants.push(...missing)
        }
        break
      }
    }
    return { wants, released: held.filter(node => !this.#held.has(node)) }
  }

  async #job(node: NodeId): Promise<Job | null> {
    const { tree, store } = this.#deps
    if (tree.node(node)?.kind !== 'file') return null
    const [one, other] = tree.siblings(node)
    if (one === undefined || other === undefined) return null
    const [v] = one.versions
    const [w] = other.versions
    if (v === undefined || w === undefined || (v.merged && w.merged)) return null
    if (one.facts.size > MERGE_LIMIT_BYTES || other.facts.size > MERGE_LIMIT_BYTES) return null
    if (this.#given.has(pairKey(node, one, other))) return null
    const actors = tree.actors()
    const dot = commonBase(
      v,
      w,
      (a, b) => a === b || (actors.has(a) && actors.get(a)?.device === actors.get(b)?.device),
    )
    const content = dot && store.contentOfDot(node, dot.actor, dot.seq)
    const base = content ? await store.base(content) : null
    return base === null ? null : { node, one, other, base }
  }

  /** Null: merged or given up, look at the node again. Otherwise the contents still missing. */
  async #try(job: Job, options: Waiting): Promise<readonly Want[] | null> {
    const one = await this.#bytes(job.one, options)
    const other = await this.#bytes(job.other, options)
    if (one === null || other === null) {
      // What is staged for the merge stays wanted while the rest is on its way, or it would be swept.
      const staged = (s: Group): boolean => this.#deps.disk.stage.has(s.facts.content)
      const missing = [
        ...(one === null || staged(job.one) ? [job.one] : []),
        ...(other === null || staged(job.other) ? [job.other] : []),
      ]
      return missing.map(s => this.#want(job.node, s))
    }
    const merged = await this.#deps.merge(job.base, one, other, options)
    if (merged === null) this.#given.add(pairKey(job.node, job.one, job.other))
    else await this.#write(job, merged, options)
    return null
  }

  #want(node: NodeId, { facts }: Group): Want {
    const entry = this.#deps.tree.entriesOf(node)[0]
    return {
      content: facts.content,
      size: facts.size,
      mtime: facts.mtime,
      path: entry?.name ?? '',
      node,
      directory: entry?.directory ?? node,
    }
  }

  async #bytes({ facts }: Group, options: Waiting): Promise<Uint8Array | null> {
    const { disk, rows, store } = this.#deps
    const kept = await store.base(facts.content)
    if (kept !== null) return kept
    const places: ContentPlace[] = []
    for (const row of rows.byContent(facts.content)) {
      const path = rows.path(row.id)
      if (path !== undefined && row.kind === 'file') places.push({ at: 'file', path, stat: row.stat, kind: 'file' })
    }
    if (disk.stage.has(facts.content)) places.push({ at: 'stage', content: facts.content })
    if (disk.hasVersion(facts.content)) places.push({ at: 'version', content: facts.content })
    for (const place of places) {
      const bytes = await disk.read(place, 0, facts.size, options)
      // A file may have been rewritten in place since: only what still is that content will do.
      if (bytes !== null && contentOf(bytes).content === facts.content) return bytes
    }
    return null
  }

  async #write(job: Job, bytes: Uint8Array, options: Waiting): Promise<void> {
    const { tree, disk, folder } = this.#deps
    const list = contentOf(bytes)
    // Nobody else has these bytes yet: they are on the platter before a record speaks of them.
    await disk.stage.putWhole([{ content: list.content, bytes }], options)
    const { one, other, node } = job
    // While it was merged a newer version may have come: then the merge is stale and the new siblings are looked at instead.
    const [first, second] = tree.siblings(node)
    if (first === undefined || second === undefined || pairKey(node, first, second) !== pairKey(node, one, other))
      return
    const facts = {
      content: list.content,
      size: bytes.byteLength,
      mtime: Math.max(one.facts.mtime, other.facts.mtime),
      mode: one.facts.mode,
    }
    const version = tree.merge(
      node,
      [...one.versions, ...other.versions].map(v => v.dot),
      facts,
    )
    const [entry] = tree.entriesOf(node)
    const path = entry === undefined ? '' : entryPath(tree, entry)
    // The journal has it when this disk shows it.
    await this.#deps.commit({
      lists: list.segments.size > 0 ? [list] : [],
      bases: [{ content: list.content, bytes }],
      dots: [{ node, actor: version.dot.actor, seq: version.dot.seq, content: list.content }],
    })
    this.#deps.emit({ type: 'file:merged', folder, path })
  }
}

function pairKey(node: NodeId, one: Group, other: Group): string {
  return `${node}${[one.facts.content, other.facts.content].sort().join('')}`
}
