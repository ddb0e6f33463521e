// Trees of simulated devices as text, to compare and to print.
import { contentOf } from '../../src/core/content-list.ts'
import type { ContentId, DeviceId } from '../../src/core/ids.ts'
import { hexOf, ROOT_NODE } from '../../src/core/ids.ts'
import type { RowTable } from '../../src/core/rows.ts'
import type { Shown } from '../../src/core/status.ts'
import { SharedTree } from '../../src/crdt/shared-tree.ts'
import type { SimDevice } from './sim-device.ts'

/** One line an entry. `exact`: with mode, mtime and the spelling of this disk; else what all devices must agree on, by folded names. */
export function treeLines(
  device: SimDevice,
  options: { exact: boolean; folded?: boolean; without?: ReadonlySet<string> },
): string[] {
  const lines: string[] = []
  for (const { path, inode } of device.volume.all()) {
    const shown = options.exact ? path : agreed(path, options.folded ?? false)
    if (options.without?.has(shown) === true) continue
    const content = inode.kind === 'directory' ? '/' : ` ${inode.kind} ${contentName(inode.data)}`
    const facts = options.exact ? ` ${inode.mode.toString(8)} ${inode.kind === 'file' ? inode.mtimeUs : ''}` : ''
    lines.push(`${shown}${content}${facts}`)
  }
  return lines.sort()
}

/** Path → text, directories as `name/` → ''. */
export function treeOf(device: SimDevice): Record<string, string> {
  const out: Record<string, string> = {}
  for (const { path, inode } of device.volume.all()) {
    if (inode.kind === 'directory') out[`${path}/`] = ''
    else out[path] = Buffer.from(inode.data).toString('utf8')
  }
  return out
}

function agreed(path: string, folded: boolean): string {
  const composed = path.normalize('NFC')
  return folded ? composed.toLowerCase() : composed
}

function contentName(bytes: Uint8Array): string {
  const short = bytes.length <= 40 ? JSON.stringify(Buffer.from(bytes).toString('latin1')) : `${bytes.length} bytes`
  return `${hexOf(contentIdOf(bytes)).slice(2, 10)} ${short}`
}

/** What this device stored, as its next process would load it. */
export interface Stored {
  readonly tree: SharedTree
  readonly rows: RowTable
  /** Entries with their paths, parents first. */
  readonly shown: readonly Shown[]
}

export async function loadStored(device: SimDevice): Promise<Stored> {
  const rows = await device.database.loadRows()
  const meta = await device.database.meta()
  if (meta === null) throw new Error(`${device.name} stored nothing`)
  const tree = new SharedTree(
    { rows, now: () => 0 },
    { actor: meta.actor, device: device.id as DeviceId, label: 'x', foldsCase: false, seqCeiling: meta.seqCeiling },
  )
  const updates = []
  for await (const update of device.database.loadDocs()) updates.push(update)
  tree.load(updates)
  const paths = new Map([[ROOT_NODE, '']])
  const shown: Shown[] = []
  for (const entry of tree.allEntries()) {
    const above = paths.get(entry.directory)
    if (above === undefined) throw new Error(`${entry.name} is in a directory that does not show`)
    const path = above === '' ? entry.name : `${above}/${entry.name}`
    const primary = entry.nodes[0]
    if (entry.kind === 'directory' && primary !== undefined) paths.set(primary, path)
    shown.push({ path, entry, device: null })
  }
  return { tree, rows, shown }
}

const known = new WeakMap<Uint8Array, ContentId>()

/** The content id of bytes that nobody changes. */
export function contentIdOf(bytes: Uint8Array): ContentId {
  let content = known.get(bytes)
  if (content === undefined) {
    content = contentOf(bytes).content
    known.set(bytes, content)
  }
  return content
}

/** Every content that this device could still give: on its disk, kept, staged, or the base of a text. */
export function heldContents(device: SimDevice): Set<ContentId> {
  const held = new Set<ContentId>()
  for (const { inode } of device.volume.all()) if (inode.kind !== 'directory') held.add(contentIdOf(inode.data))
  const kith = device.volume.root?.kith ?? null
  for (const content of kith?.versions.keys() ?? []) held.add(content)
  for (const [content, staged] of kith?.stage ?? []) if (staged.whole !== null) held.add(content)
  for (const content of device.database.bases()) held.add(content)
  return held
}

export function agreedPath(path: string, folded: boolean): string {
  return agreed(path, folded)
}
