// What a failing disk does to a file: one bit of it, unseen by any stat.
import { closeSync, lstatSync, openSync, readSync, utimesSync, writeSync } from 'node:fs'

export function rotAt(path: string, at: number): void {
  const { atime, mtime } = lstatSync(path)
  const fd = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, at)
  writeSync(fd, Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, at)
  closeSync(fd)
  utimesSync(path, atime, mtime)
}
