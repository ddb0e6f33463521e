// Someone at a real directory, and a silent log, for the disk's tests.
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DeviceId, FolderId } from '../../src/core/ids.ts'
import type { Log } from '../../src/core/log.ts'
import type { Person } from '../contract/disk-contract.ts'

export const FOLDER = 'f'.repeat(32) as FolderId
export const DEVICE = '12D3KooWTest' as DeviceId

const nothing = (): void => undefined
export const silent: Log = { error: nothing, warn: nothing, info: nothing, debug: nothing, child: () => silent }

export class RealPerson implements Person {
  readonly root: string

  constructor(root: string) {
    this.root = root
  }

  path(path: string): string {
    return join(this.root, path)
  }
  mkdir(path: string, mode = 0o755): void {
    mkdirSync(this.path(path), mode)
    chmodSync(this.path(path), mode)
  }
  write(path: string, content: string | Uint8Array): void {
    writeFileSync(this.path(path), content)
  }
  read(path: string): Uint8Array {
    return readFileSync(this.path(path))
  }
  text(path: string): string {
    return readFileSync(this.path(path), 'utf8')
  }
  exists(path: string): boolean {
    return existsSync(this.path(path))
  }
  rename(from: string, to: string): void {
    renameSync(this.path(from), this.path(to))
  }
  remove(path: string): void {
    if (lstatSync(this.path(path)).isDirectory()) rmdirSync(this.path(path))
    else unlinkSync(this.path(path))
  }
  chmod(path: string, mode: number): void {
    chmodSync(this.path(path), mode)
  }
  utimes(path: string, mtimeMs: number): void {
    utimesSync(this.path(path), mtimeMs / 1000 + 5e-7, mtimeMs / 1000 + 5e-7)
  }
  symlink(path: string, target: string): void {
    symlinkSync(target, this.path(path))
  }
  emptyRoot(): void {
    for (const name of readdirSync(this.root)) {
      if (name !== '.kith') rmSync(this.path(name), { recursive: true })
    }
  }
}

export function temporaryRoot(): string {
  return mkdtempSync(join(tmpdir(), 'kith-disk-'))
}
