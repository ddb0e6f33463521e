// From what the system says of an entry to the port's `Stat`, and whether two of them are the same thing. The one place that converts
// times, so that a time read by the scanner and one read after a publish are equal to the microsecond.
import type { BigIntStats } from 'node:fs'
import type { Kind } from '../core/entry.ts'
import type { Stat } from '../core/ports.ts'

const PERMISSION_BITS = 0o777

export function statOf(stats: BigIntStats): Stat {
  return {
    dev: exact(stats.dev),
    ino: exact(stats.ino),
    birthUs: microseconds(stats.birthtimeNs),
    size: exact(stats.size),
    mtimeUs: microseconds(stats.mtimeNs),
    ctimeUs: microseconds(stats.ctimeNs),
    mode: Number(stats.mode) & PERMISSION_BITS,
    links: Number(stats.nlink),
  }
}

/** Null for what is never synced: FIFOs, sockets, devices. */
export function kindOf(stats: BigIntStats): Kind | null {
  if (stats.isFile()) return 'file'
  if (stats.isDirectory()) return 'directory'
  return stats.isSymbolicLink() ? 'symlink' : null
}

/** A directory is known by its identity alone; of files and symlinks size and times count too. */
export function isSame(expected: Stat, found: Stat, kind: Kind): boolean {
  if (!isSameInode(expected, found)) return false
  if (kind === 'directory') return true
  return expected.size === found.size && expected.mtimeUs === found.mtimeUs && expected.ctimeUs === found.ctimeUs
}

/**
 * The inode alone may be used again after a delete; its birth time is not. The number of the disk says nothing: one that is plugged in again
 * gets another, and all that is looked at lies on the disk of its root.
 */
function isSameInode(a: Stat, b: Stat): boolean {
  return a.ino === b.ino && a.birthUs === b.birthUs
}

/** Inode numbers above 2^53 lose their top bits: still the same number each time. */
function exact(value: bigint): number {
  return Number(value <= 0x1fffffffffffffn && value >= 0n ? value : BigInt.asUintN(53, value))
}

function microseconds(nanoseconds: bigint): number {
  const whole = nanoseconds / 1000n
  return Number(nanoseconds < 0n && whole * 1000n !== nanoseconds ? whole - 1n : whole)
}

/** Seconds for utimes that come back as exactly `ms`: half a microsecond more than a double can lose. */
export function utimeSeconds(ms: number): number {
  return ms / 1000 + 0.0000005
}
