// What a random person does on a disk: one action, on names that collide, drawn from a salt and from what the disk shows.
import { type Random, seeded } from '../support/random.ts'
import type { SimDevice } from '../support/sim-device.ts'

const DIRECTORY_NAMES = ['a', 'b', 'c', 'A', 'sub']
const FILE_NAMES = ['f', 'g.txt', 'F', 'G.txt', 'a', 'notes.txt', 'caf\u00e9.txt', 'cafe\u0301.txt', 'b']
const MAX_DEPTH = 4
/** Never touched by anybody, so that no history empties a root, which would halt it. */
export const ANCHOR = '.anchor'

/** Makes new words, each written once in a history. */
export interface Words {
  next(): string
}

interface Scene {
  readonly device: SimDevice
  readonly random: Random
  readonly words: Words
  readonly files: readonly string[]
  readonly symlinks: readonly string[]
  readonly directories: readonly string[]
}

/** Does one thing; returns what, or null where that was not possible on this disk. */
export function act(device: SimDevice, name: ActName, salt: number, words: Words): string | null {
  if (device.volume.root === null || device.person.unmounted) return null
  const random = seeded(`user ${salt}`)
  // The first draw once chose the action; saved histories count on the rest.
  random()
  const all = [...device.volume.all()].filter(entry => entry.path !== ANCHOR && !device.volume.blocked(entry.path))
  const scene: Scene = {
    device,
    random,
    words,
    files: all.filter(entry => entry.inode.kind === 'file').map(entry => entry.path),
    symlinks: all.filter(entry => entry.inode.kind === 'symlink').map(entry => entry.path),
    directories: all.filter(entry => entry.inode.kind === 'directory').map(entry => entry.path),
  }
  return ACTIONS[name][1](scene)
}

/** What a person does next; the weights given replace the standard ones. */
export function pickAct(random: Random, mix: Partial<Readonly<Record<ActName, number>>>): ActName {
  const names = Object.keys(ACTIONS) as ActName[]
  const weightOf = (name: ActName): number => mix[name] ?? ACTIONS[name][0]
  let x = random() * names.reduce((sum, name) => sum + weightOf(name), 0)
  for (const name of names) {
    x -= weightOf(name)
    if (x < 0) return name
  }
  return random.pick(names)
}

/** Puts a first file or directory on a disk before anything runs. */
export function prepare(device: SimDevice, salt: number, words: Words): string | null {
  const random = seeded(`before ${salt}`)
  const scene: Scene = { device, random, words, files: [], symlinks: [], directories: directoriesOf(device) }
  return random.chance(0.35) ? mkdir(scene) : create(scene)
}

function directoriesOf(device: SimDevice): string[] {
  return [...device.volume.all()].filter(entry => entry.inode.kind === 'directory').map(entry => entry.path)
}

function freeName(scene: Scene, names: readonly string[], options: { maxDepth?: number } = {}): string | null {
  const { random, device } = scene
  const depth = options.maxDepth ?? MAX_DEPTH
  const places = ['', ...scene.directories].filter(path => path.split('/').length < depth)
  const place = random.pick(places)
  for (let tries = 0; tries < 6; tries++) {
    const name = random.pick(names)
    const path = place === '' ? name : `${place}/${name}`
    if (!device.person.exists(path)) return path
  }
  return null
}

function content(scene: Scene, path: string): string | Uint8Array {
  const { random, words } = scene
  if (random.chance(0.12)) return `same${random.int(2)}\n`
  if (path.endsWith('.txt')) {
    const end = random.chance(0.15) ? '\r\n' : '\n'
    const lines = Array.from({ length: 2 + random.int(5) }, () => `line ${words.next()}`)
    return `${random.chance(0.05) ? '\ufeff' : ''}${lines.join(end)}${random.chance(0.8) ? end : ''}`
  }
  return binary(scene)
}

function binary(scene: Scene): Uint8Array {
  const { random, words } = scene
  const head = Buffer.from(`\0${words.next()}\0`)
  if (!random.chance(0.06)) return head
  // Bigger than what travels in one piece, and of several chunks.
  const bytes = Buffer.alloc(70_000 + random.int(250_000))
  for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.writeInt32LE(random.int(2 ** 31), at)
  return Buffer.concat([head, bytes.map(byte => (byte === 0x77 ? 0x78 : byte))])
}

/** The lines of a text, one changed, added or dropped; other files get something new. */
function changed(scene: Scene, path: string): string | Uint8Array {
  const { random, device, words } = scene
  const before = Buffer.from(device.person.read(path))
  if (!path.endsWith('.txt') || before.includes(0)) return binary(scene)
  const lines = before.toString('utf8').match(/[^\n]*\n|[^\n]+$/g) ?? []
  const at = random.int(lines.length + 1)
  const end = before.includes('\r\n') ? '\r\n' : '\n'
  const x = random()
  if (x < 0.5 && at < lines.length) lines[at] = `line ${words.next()}${end}`
  else if (x < 0.65 && at < lines.length && lines.length > 1) lines.splice(at, 1)
  else {
    const last = lines.at(-1)
    if (at === lines.length && last !== undefined && !last.endsWith('\n')) lines[at - 1] = `${last}${end}`
    lines.splice(at, 0, `line ${words.next()}${end}`)
  }
  return lines.join('')
}

function create(scene: Scene): string | null {
  const path = freeName(scene, FILE_NAMES)
  if (path === null) return null
  scene.device.person.write(path, content(scene, path))
  return `create ${path}`
}

function mkdir(scene: Scene): string | null {
  const path = freeName(scene, DIRECTORY_NAMES)
  if (path === null) return null
  scene.device.person.mkdir(path)
  return `mkdir ${path}`
}

function edit(scene: Scene): string | null {
  if (scene.files.length === 0) return null
  const path = scene.random.pick(scene.files)
  const next = changed(scene, path)
  const byRename = scene.random.chance(0.5)
  if (byRename) scene.device.person.replaceByRename(path, next)
  else scene.device.person.write(path, next)
  return `edit ${path}${byRename ? ' by rename' : ''}`
}

function append(scene: Scene): string | null {
  if (scene.files.length === 0) return null
  const path = scene.random.pick(scene.files)
  scene.device.person.append(path, path.endsWith('.txt') ? `line ${scene.words.next()}\n` : `\0${scene.words.next()}\0`)
  return `append ${path}`
}

function truncate(scene: Scene): string | null {
  if (scene.files.length === 0) return null
  const path = scene.random.pick(scene.files)
  scene.device.person.truncate(path, 0)
  return `truncate ${path}`
}

function remove(scene: Scene): string | null {
  const paths = [...scene.files, ...scene.symlinks]
  if (paths.length === 0) return null
  const path = scene.random.pick(paths)
  scene.device.person.remove(path)
  return `remove ${path}`
}

function rmrf(scene: Scene): string | null {
  if (scene.directories.length === 0) return null
  const path = scene.random.pick(scene.directories)
  scene.device.person.rmrf(path)
  return `rm -rf ${path}`
}

function moveFile(scene: Scene): string | null {
  const paths = [...scene.files, ...scene.symlinks]
  if (paths.length === 0) return null
  const from = scene.random.pick(paths)
  const to = freeName(scene, FILE_NAMES)
  if (to === null) return null
  scene.device.person.rename(from, to)
  return `move ${from} -> ${to}`
}

function moveDirectory(scene: Scene): string | null {
  if (scene.directories.length === 0) return null
  const from = scene.random.pick(scene.directories)
  const outside = scene.directories.filter(path => path !== from && !path.startsWith(`${from}/`))
  const to = freeName({ ...scene, directories: outside }, DIRECTORY_NAMES, { maxDepth: 3 })
  if (to === null) return null
  scene.device.person.rename(from, to)
  return `move directory ${from} -> ${to}`
}

function over(scene: Scene): string | null {
  if (scene.files.length < 2) return null
  const from = scene.random.pick(scene.files)
  const to = scene.random.pick(scene.files)
  if (from === to) return null
  scene.device.person.rename(from, to)
  return `move ${from} over ${to}`
}

function swap(scene: Scene): string | null {
  const paths = scene.random.chance(0.5) ? scene.files : scene.directories
  if (paths.length < 2) return null
  const a = scene.random.pick(paths)
  const b = scene.random.pick(paths)
  if (a === b || `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`)) return null
  scene.device.person.swap(a, b)
  return `swap ${a} and ${b}`
}

function chmod(scene: Scene): string | null {
  const paths = [...scene.files, ...scene.directories]
  if (paths.length === 0) return null
  const path = scene.random.pick(paths)
  const mode = scene.random.pick([0o600, 0o644, 0o700, 0o755])
  scene.device.person.chmod(path, mode)
  return `chmod ${mode.toString(8)} ${path}`
}

function touch(scene: Scene): string | null {
  if (scene.files.length === 0) return null
  const path = scene.random.pick(scene.files)
  const ms = Date.UTC(2025, scene.random.int(12), 1 + scene.random.int(28))
  scene.device.person.utimes(path, ms)
  return `touch ${path}`
}

function symlink(scene: Scene): string | null {
  const path = freeName(scene, FILE_NAMES)
  if (path === null) return null
  scene.device.person.symlink(path, `to-${scene.words.next()}`)
  return `symlink ${path}`
}

function copy(scene: Scene): string | null {
  if (scene.files.length === 0) return null
  const from = scene.random.pick(scene.files)
  const to = freeName(scene, FILE_NAMES)
  if (to === null) return null
  scene.device.person.copy(from, to)
  return `copy ${from} -> ${to}`
}

function changeCase(scene: Scene): string | null {
  const paths = [...scene.files, ...scene.directories]
  if (paths.length === 0) return null
  const from = scene.random.pick(paths)
  const at = from.lastIndexOf('/') + 1
  const name = from.slice(at)
  const other = name === name.toLowerCase() ? name.toUpperCase() : name.toLowerCase()
  const to = from.slice(0, at) + other
  if (to === from) return null
  const target = scene.device.volume.at(to)
  if (target !== null && target !== scene.device.volume.at(from)) return null
  scene.device.person.rename(from, to)
  return `change case ${from} -> ${to}`
}

function becomeOther(scene: Scene): string | null {
  const { device, random, words } = scene
  const paths = [...scene.files, ...scene.directories]
  if (paths.length === 0) return null
  const path = random.pick(paths)
  const isFile = scene.files.includes(path)
  device.person.rmrf(path)
  if (isFile) device.person.mkdir(path)
  else device.person.write(path, Buffer.from(`\0${words.next()}\0`))
  return `${isFile ? 'file becomes directory' : 'directory becomes file'} ${path}`
}

/** Two devices that draw from one salt write different things to the same name. */
function clash(scene: Scene): string {
  const { device, random, words } = scene
  const path = random.pick(['clash.txt', 'clash'])
  const text = path.endsWith('.txt')
  const exists = device.volume.at(path)
  if (exists !== null && exists.kind !== 'file') return moveAside(scene, path)
  if (exists !== null) device.person.write(path, changed(scene, path))
  else device.person.write(path, text ? `line ${words.next()}\n` : binary(scene))
  return `clash at ${path}`
}

function moveAside({ device, random }: Scene, path: string): string {
  const to = `aside ${random.int(1000)}`
  if (device.volume.at(to) === null) device.person.rename(path, to)
  return `move ${path} -> ${to}`
}

/** Same length, same time as before: only the inode's change time, where the disk shows it finely enough, tells. */
function rewrite(scene: Scene): string | null {
  const { device, random, words, files } = scene
  if (files.length === 0) return null
  const path = random.pick(files)
  const inode = device.volume.at(path)
  const word = words.next()
  if (inode === null || inode.data.length < word.length + 2) return null
  const next = Buffer.alloc(inode.data.length, 'x')
  next.write(`\0${word}\0`, 'latin1')
  const mtimeUs = inode.mtimeUs
  device.person.write(path, next)
  device.person.utimes(path, mtimeUs / 1000)
  return `rewrite ${path} with its old time`
}

function copyTree(scene: Scene): string | null {
  const { device, random, directories } = scene
  if (directories.length === 0) return null
  const from = random.pick(directories)
  const inode = device.volume.at(from)
  const to = freeName(scene, DIRECTORY_NAMES, { maxDepth: 2 })
  if (to === null || inode === null || `${to}/`.startsWith(`${from}/`)) return null
  device.person.mkdir(to)
  for (const entry of [...device.volume.walk(inode)]) {
    const path = `${to}/${entry.path}`
    if (entry.inode.kind === 'directory') device.person.mkdir(path)
    else if (entry.inode.kind === 'file') device.person.copy(`${from}/${entry.path}`, path)
  }
  return `copy directory ${from} -> ${to}`
}

/** As a build or an unpacked archive: a directory with some files in it, made at once. */
function unpack(scene: Scene): string | null {
  const { device, random } = scene
  const path = freeName(scene, DIRECTORY_NAMES, { maxDepth: 3 })
  if (path === null) return null
  device.person.mkdir(path)
  const inside = { ...scene, directories: [path] }
  for (let left = 1 + random.int(4); left > 0; left--) {
    const name = `${path}/${random.pick(FILE_NAMES)}`
    if (!device.person.exists(name)) device.person.write(name, content(inside, name))
  }
  return `unpack ${path}`
}

const ACTIONS = {
  create: [16, create],
  mkdir: [9, mkdir],
  edit: [20, edit],
  append: [4, append],
  truncate: [1, truncate],
  remove: [8, remove],
  rmrf: [5, rmrf],
  moveFile: [11, moveFile],
  moveDirectory: [11, moveDirectory],
  over: [4, over],
  swap: [3, swap],
  chmod: [3, chmod],
  touch: [1.5, touch],
  symlink: [2, symlink],
  copy: [3, copy],
  changeCase: [2, changeCase],
  becomeOther: [2, becomeOther],
  clash: [1, clash],
  rewrite: [1.5, rewrite],
  copyTree: [1, copyTree],
  unpack: [2, unpack],
} as const satisfies Readonly<Record<string, readonly [weight: number, (scene: Scene) => string | null]>>

export type ActName = keyof typeof ACTIONS
