// One device as the tests see it: a shared tree, its rows, and what a disk would hold. And ways to compare trees.
import type { Entry, Facts } from '../../../src/core/entry.ts'
import type { ActorId, ContentId, DeviceId, DocId, NodeId } from '../../../src/core/ids.ts'
import { DIRECTORIES_DOC, DOC_COUNT, NO_CONTENT, ROOT_NODE, ROOT_ROW } from '../../../src/core/ids.ts'
import type { DocUpdate, Stat } from '../../../src/core/ports.ts'
import { type Row, RowTable } from '../../../src/core/rows.ts'
import { SharedTree } from '../../../src/crdt/shared-tree.ts'

const ALL_DOCS: readonly DocId[] = [DIRECTORIES_DOC, ...Array.from({ length: DOC_COUNT - 1 }, (_, i) => i as DocId)]

export function statOf(ino: number): Stat {
  return { dev: 1, ino, birthUs: ino, size: 0, mtimeUs: 0, ctimeUs: 0, mode: 0o644, links: 1 }
}

/** A content id that shows which text it stands for. */
export function content(text: string): ContentId {
  return `\x01${text.padEnd(32, '.')}` as ContentId
}

export function textOf(id: ContentId): string {
  return id.slice(1).replace(/\.+$/, '')
}

export function facts(text: string, more: Partial<Facts> = {}): Facts {
  return { content: content(text), size: text.length, mtime: 1000, mode: 0o644, ...more }
}

export const DIRECTORY: Facts = { content: NO_CONTENT, size: 0, mtime: 0, mode: 0o755 }

export interface ReplicaOptions {
  readonly number: number
  now(): number
  readonly foldsCase?: boolean
  readonly rows?: RowTable
  readonly stored?: readonly DocUpdate[]
  readonly seqCeiling?: number
}

export function rootRow(): Row {
  return {
    ...DIRECTORY,
    id: ROOT_ROW,
    parent: ROOT_ROW,
    name: '',
    kind: 'directory',
    stat: statOf(1),
    copy: false,
    nodes: [],
  }
}

function newRows(): RowTable {
  const rows = new RowTable()
  rows.load(rootRow())
  return rows
}

/** Actors have both small and large numbers: 53 bits must hold. */
export function actorOf(number: number): ActorId {
  return (number % 2 === 0 ? number : 2 ** 52 + number) as ActorId
}

export function openTree(options: ReplicaOptions): { tree: SharedTree; rows: RowTable } {
  const rows = options.rows ?? newRows()
  const actor = actorOf(options.number)
  const tree = new SharedTree(
    { rows, now: () => options.now() },
    {
      actor,
      device: `device-${options.number}` as DeviceId,
      label: `dev${options.number}`,
      foldsCase: options.foldsCase ?? false,
      seqCeiling: options.seqCeiling ?? 0,
    },
  )
  tree.load(options.stored ?? [])
  tree.register()
  return { tree, rows }
}

export function snapshots(tree: SharedTree): DocUpdate[] {
  return [...tree.digests().keys()].map(doc => ({ doc, update: tree.snapshot(doc) }))
}

/** Everything that `from` has and `to` lacks. The gate must let it through. */
export function pull(from: SharedTree, to: SharedTree): void {
  const mine = to.digests()
  for (const doc of ALL_DOCS) {
    const theirs = from.digests().get(doc)
    if (theirs === undefined || Buffer.from(theirs).equals(Buffer.from(mine.get(doc) ?? []))) continue
    const update = from.missing(doc, to.stateVector(doc))
    const verdict = to.check(doc, update)
    if (!verdict.ok) throw new Error(`document ${doc}: the gate refused a full exchange: ${JSON.stringify(verdict)}`)
    to.apply(doc, update)
  }
}

export function exchange(a: SharedTree, b: SharedTree): void {
  pull(a, b)
  pull(b, a)
}

/** Path → entry of all that shows. */
export function paths(tree: SharedTree): Map<string, Entry> {
  const out = new Map<string, Entry>()
  const at = new Map<NodeId, string>([[ROOT_NODE, '']])
  for (const entry of tree.allEntries()) {
    const path = `${at.get(entry.directory)}/${entry.name}`
    if (out.has(path)) throw new Error(`two entries at ${path}`)
    out.set(path, entry)
    const [primary] = entry.nodes
    if (entry.kind === 'directory' && primary !== undefined) at.set(primary, path)
  }
  return out
}

export function line(path: string, kind: Entry['kind'], what: Facts): string {
  const mode = what.mode.toString(8)
  if (kind === 'directory') return `${path}/ ${mode}`
  return `${path}${kind === 'symlink' ? '@' : '='}${textOf(what.content)} ${mode} ${what.mtime}`
}

/** The whole tree as text, sorted. */
export function render(tree: SharedTree): string {
  return [...paths(tree)]
    .map(([path, entry]) => line(path, entry.kind, entry.facts))
    .sort()
    .join('\n')
}

/** Names and contents only. */
export function brief(tree: SharedTree): string {
  return [...paths(tree)]
    .map(([path, e]) => (e.kind === 'directory' ? `${path}/` : `${path}=${textOf(e.facts.content)}`))
    .sort()
    .join(' ')
}

export function rowAt(rows: RowTable, path: string): Row {
  const row = rows.at(path)
  if (row === undefined) throw new Error(`no row at ${path}`)
  return row
}
