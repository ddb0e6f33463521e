// Disks for the tests to harm: file systems in files, and in memory. Mounted in the namespace of the test alone.
import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs'

const MEBIBYTE = 1024 * 1024
/** EXT4_IOC_SHUTDOWN, without a flush of the journal. */
const CUT = `
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(fd, 0x8004587d, struct.pack("I", 2))
`

interface Mounted {
  readonly at: string
  unmount(): void
}

/** ext4 in a file. */
export class Ext4 implements Mounted {
  readonly at: string
  readonly #image: string
  readonly #options: string

  /** `commitSeconds`: how often the journal is written by itself. */
  constructor(image: string, at: string, options: { mebibytes: number; commitSeconds?: number }) {
    this.at = at
    this.#image = image
    this.#options = ['loop', ...(options.commitSeconds === undefined ? [] : [`commit=${options.commitSeconds}`])].join()
    writeFileSync(image, '')
    truncateSync(image, options.mebibytes * MEBIBYTE)
    execFileSync('mkfs.ext4', ['-q', '-F', image])
    mkdirSync(at, { recursive: true })
    this.mount()
    rmSync(`${at}/lost+found`, { recursive: true })
  }

  mount(): void {
    execFileSync('mount', ['-o', this.#options, this.#image, this.at])
  }

  /** At once, whatever is open on it. */
  unmount(): void {
    spawnSync('umount', ['-l', this.at])
  }

  remount(how: 'ro' | 'rw'): void {
    execFileSync('mount', ['-o', `remount,${how}`, this.at])
  }

  /** The power of the disk is cut: what was not written is lost, and every write from now on fails. */
  cut(): void {
    execFileSync('python3', ['-c', CUT, this.at])
  }

  /** What the disk would hold if the power were cut now. */
  photograph(to: string): void {
    execFileSync('cp', ['--sparse=always', this.#image, to])
  }

  /** Unmounted for good, and mounted again with what the photograph holds. */
  become(photograph: string): void {
    execFileSync('umount', [this.at])
    execFileSync('cp', ['--sparse=always', photograph, this.#image])
    this.mount()
  }

  /** After the daemon is gone: unmounted and mounted, as at the next start of the machine. */
  restart(): void {
    execFileSync('umount', [this.at])
    this.mount()
  }
}

/** In memory, of a size. */
export class Tmpfs implements Mounted {
  readonly at: string

  constructor(at: string, mebibytes: number) {
    this.at = at
    mkdirSync(at, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'kithfault', at])
  }

  /** Takes all the space that is left. */
  fill(): void {
    const fd = openSync(`${this.at}/filler`, 'w')
    const bytes = Buffer.alloc(MEBIBYTE, 1)
    try {
      for (let size = MEBIBYTE; size >= 4096; ) {
        try {
          if (writeSync(fd, bytes, 0, size) < size) size /= 2
        } catch {
          size /= 2
        }
      }
    } finally {
      closeSync(fd)
    }
  }

  free(): void {
    rmSync(`${this.at}/filler`, { force: true })
  }

  unmount(): void {
    spawnSync('umount', ['-l', this.at])
  }
}
