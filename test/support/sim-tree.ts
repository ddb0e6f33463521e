// Trees of simulated devices as text, to compare and to print.
import { contentOf } from '../../src/core/content-list.ts'
import { hexOf } from '../../src/core/ids.ts'
import type { SimDevice } from './sim-device.ts'

/** One line an entry. `exact`: with mode, mtime and the spelling of this disk; else what all devices must agree on, by folded names. */
export function treeLines(device: SimDevice, options: { exact: boolean; folded?: boolean }): string[] {
  const lines: string[] = []
  for (const { path, inode } of device.volume.all()) {
    const shown = options.exact ? path : agreed(path, options.folded ?? false)
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
  return `${hexOf(contentOf(bytes).content).slice(2, 10)} ${short}`
}
