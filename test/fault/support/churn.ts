// One person at one device who makes, edits, appends to, renames, moves and removes files and directories. They touch only what is theirs
// in this round, by the name at the top of the folder: so the model knows what must come of it, whoever has it in the next round.
import { appendFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { Device } from '../../e2e/support/device.ts'
import { random, randomBytes } from '../../e2e/support/random.ts'
import type { Model } from './model.ts'

const MAX_BYTES = 40_000
const APPENDED_BYTES = 2_000
const FOLDER = 'notes'

let made = 0

export class Churn {
  readonly #device: Device
  readonly #model: Model
  readonly #files: Set<string>
  /** Made in this round, or with files in them. */
  readonly #directories: Set<string>

  constructor(device: Device, model: Model, options: { readonly owns: (top: string) => boolean }) {
    this.#device = device
    this.#model = model
    this.#files = new Set(model.paths().filter(path => options.owns(topOf(path))))
    this.#directories = new Set([...this.#files].filter(path => path.includes('/')).map(topOf))
  }

  /** As many are made as are removed: what grows is not the folder. */
  act(): void {
    const choice = random()
    const file = pick(this.#files)
    const directory = pick(this.#directories)
    if (file === undefined || choice < 0.1) this.create(choice < 0.05 ? directory : undefined)
    else if (choice < 0.45) this.#put(file)
    else if (choice < 0.65) this.#append(file)
    else if (choice < 0.77) this.#moveFile(file, this.#fresh())
    else if (choice < 0.83) this.#moveFile(file, `${directory ?? this.#makeDirectory()}/${this.#fresh()}`)
    else if (choice < 0.87) this.#makeDirectory()
    else if (choice < 0.91 && directory !== undefined) this.#moveDirectory(directory)
    else if (choice < 0.92 && directory !== undefined) this.#removeDirectory(directory)
    else this.#remove(file)
  }

  create(directory?: string): void {
    const name = this.#fresh()
    this.#put(directory === undefined ? name : `${directory}/${name}`)
  }

  /** Half of them as an editor saves: beside it, and renamed over it. */
  #put(path: string): void {
    const bytes = randomBytes(1 + Math.floor(random() * MAX_BYTES))
    if (random() < 0.5) writeFileSync(this.#at(path), bytes)
    else {
      const beside = this.#device.path('.saved')
      writeFileSync(beside, bytes)
      renameSync(beside, this.#at(path))
    }
    this.#model.put(path, bytes)
    this.#files.add(path)
  }

  #append(path: string): void {
    appendFileSync(this.#at(path), randomBytes(1 + Math.floor(random() * APPENDED_BYTES)))
    this.#model.put(path, readFileSync(this.#at(path)))
  }

  #moveFile(from: string, to: string): void {
    renameSync(this.#at(from), this.#at(to))
    this.#moved(from, to)
  }

  #makeDirectory(): string {
    const name = `${this.#fresh()}-d`
    mkdirSync(this.#at(name))
    this.#directories.add(name)
    return name
  }

  #moveDirectory(from: string): void {
    const to = `${this.#fresh()}-d`
    renameSync(this.#at(from), this.#at(to))
    this.#directories.delete(from)
    this.#directories.add(to)
    for (const path of this.#below(from)) this.#moved(path, to + path.slice(from.length))
  }

  #removeDirectory(directory: string): void {
    rmSync(this.#at(directory), { recursive: true })
    this.#directories.delete(directory)
    for (const path of this.#below(directory)) this.#gone(path)
  }

  #remove(path: string): void {
    rmSync(this.#at(path))
    this.#gone(path)
  }

  #moved(from: string, to: string): void {
    this.#model.move(from, to)
    this.#files.delete(from)
    this.#files.add(to)
  }

  #gone(path: string): void {
    this.#model.remove(path)
    this.#files.delete(path)
  }

  #below(directory: string): string[] {
    return [...this.#files].filter(path => path.startsWith(`${directory}/`))
  }

  #fresh(): string {
    return `${this.#device.name}-${made++}`
  }

  #at(path: string): string {
    return this.#device.path(FOLDER, path)
  }
}

/** What owners are given by. */
export function topOf(path: string): string {
  return path.split('/', 1)[0] ?? path
}

function pick<T>(from: ReadonlySet<T>): T | undefined {
  return [...from][Math.floor(random() * from.size)]
}
