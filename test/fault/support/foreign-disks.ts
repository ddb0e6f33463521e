// Disks that are not of this system: FAT, exFAT and NTFS in files, by FUSE, for the kernel here has none of them. They take names that differ
// in case for one, refuse some names and kinds, cut times, and keep no modes. Mounted in the namespace of the test alone.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'

const MEBIBYTES = 128

interface Maker {
  readonly tools: readonly string[]
  make(image: string): void
  /** Returns what is to be given back after the unmount. */
  mount(image: string, at: string): (() => void) | null
}

function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
}

const MAKERS = {
  fat: {
    tools: ['mkfs.fat', 'fusefat'],
    make: image => void run('mkfs.fat', '-F', '32', image),
    mount(image, at) {
      run('fusefat', '-o', 'rw+', image, at)
      return null
    },
  },
  exfat: {
    tools: ['mkfs.exfat', 'mount.exfat-fuse', 'losetup'],
    make: image => void run('mkfs.exfat', image),
    mount(image, at) {
      // It takes no image, only a device.
      const device = run('losetup', '--find', '--show', image).trim()
      run('mount.exfat-fuse', device, at)
      return () => void spawnSync('losetup', ['--detach', device])
    },
  },
  ntfs: {
    tools: ['mkntfs', 'lowntfs-3g'],
    make: image => void run('mkntfs', '--quick', '--force', image),
    mount(image, at) {
      run('lowntfs-3g', '-o', 'ignore_case,windows_names', image, at)
      return null
    },
  },
} as const satisfies Record<string, Maker>

export type ForeignKind = keyof typeof MAKERS

export const FOREIGN_TOOLS: readonly string[] = Object.values(MAKERS).flatMap(({ tools }) => tools)

export class ForeignDisk {
  readonly at: string
  readonly #release: (() => void) | null

  constructor(kind: ForeignKind, image: string, at: string) {
    this.at = at
    writeFileSync(image, '')
    truncateSync(image, MEBIBYTES * 1024 * 1024)
    MAKERS[kind].make(image)
    mkdirSync(at, { recursive: true })
    this.#release = MAKERS[kind].mount(image, at)
  }

  unmount(): void {
    spawnSync('umount', [this.at])
    this.#release?.()
  }
}
