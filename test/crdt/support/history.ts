// One seeded history: users act on disks, disks follow the documents late and in any order, messages are lost, repeated and swapped,
// devices restart and have wrong clocks. Every invariant of the shared tree is asserted on the way and at each quiet moment.
import type { Entry } from '../../../src/core/entry.ts'
import type { NodeId } from '../../../src/core/ids.ts'
import { ROOT_NODE } from '../../../src/core/ids.ts'
import type { DocUpdate } from '../../../src/core/ports.ts'
import type { SharedTree } from '../../../src/crdt/shared-tree.ts'
import { fullProjection } from './full-projection.ts'
import { cut, ModelDisk, pathOf, put, type Thing, thing, walk } from './model-disk.ts'
import { type Random, random } from './random.ts'
import { exchange, openTree, paths, render, snapshots, textOf } from './replica.ts'
import { wish } from './wishes.ts'

const DIRECTORY_NAMES = ['a', 'b', 'c', 'A']
const FILE_NAMES = ['f', 'g.txt', 'F', 'G.txt', 'a', 'caf\u00e9.txt', 'cafe\u0301.txt']

interface Device {
  readonly number: number
  tree: SharedTree
  readonly disk: ModelDisk
  readonly queue: DocUpdate[]
  /** Input from outside since its user last saw the disk equal to the tree. */
  lagged: boolean
  /** What each directory showed at the last look; null: all is compared after a start. */
  listed: ReadonlyMap<NodeId, ReadonlyMap<string, NodeId | undefined>> | null
  now(): number
}

export interface Outcome {
  readonly quiet: number
  readonly exact: number
  readonly operations: number
  readonly gaps: number
  readonly wishes: number
  readonly exactWishes: number
}

export class History {
  readonly #seed: number
  readonly #random: Random
  readonly #devices: Device[] = []
  readonly #written = new Set<string>()
  readonly #handled = new Set<string>()
  readonly #log: string[] = []
  readonly #eager: number
  readonly #fold: boolean
  readonly #hard: boolean
  /** Do people also ask for what they do not do themselves? */
  readonly #wishes: boolean
  #clock = 1000
  #texts = 0
  #counts = { quiet: 0, exact: 0, operations: 0, gaps: 0, wishes: 0, exactWishes: 0 }

  constructor(seed: number, options: { hard: boolean; wishes?: boolean }) {
    this.#seed = seed
    this.#wishes = options.wishes ?? false
    this.#hard = options.hard
    this.#random = random(seed)
    const r = this.#random
    this.#fold = r.chance(0.5)
    this.#eager = r.pick(options.hard ? [0, 0.02, 0.1] : [0.02, 0.1, 0.3, 0.6])
    const count = 2 + r.below(3)
    for (let number = 1; number <= count; number++) this.#devices.push(this.#device(number))
  }

  #device(number: number): Device {
    const r = this.#random
    const skew = r.chance(0.3) ? r.below(2000) - 1000 : 0
    const stuck = r.chance(0.1)
    const now = (): number => (stuck ? 5 : Math.max(1, Math.floor(this.#clock / 7) + skew))
    const { tree, rows } = openTree({ number, now, foldsCase: this.#fold })
    return {
      number,
      tree,
      disk: new ModelDisk(tree, rows, this.#fold),
      queue: [],
      lagged: false,
      listed: new Map(),
      now,
    }
  }

  run(): Outcome {
    const r = this.#random
    const [first] = this.#devices
    if (first === undefined) throw new Error('no device')
    for (let n = 4 + r.below(10); n > 0; n--) {
      this.#clock += 2
      if (this.#user(first, r.next() * 0.3)) this.#publish(first, false)
    }
    this.#quiet()
    const heavy = r.below(4)
    for (let phase = 1 + r.below(2); phase > 0; phase--) {
      for (let step = 10 + r.below(40); step > 0; step--) {
        this.#clock += 1 + r.below(5)
        if (this.#wishes && r.chance(0.08)) this.#wish()
        else if (!r.chance(0.4)) this.#world()
        else if (heavy === 1 && r.chance(0.6)) this.#act(0.8 + r.next() * 0.1)
        else if (heavy === 2 && r.chance(0.5)) this.#act(0.3 + r.next() * 0.38)
        else this.#act(r.next())
      }
      this.#quiet()
    }
    return { ...this.#counts }
  }

  fail(message: string): never {
    throw new Error(`seed ${this.#seed}: ${message}\n${this.#log.slice(-60).join('\n')}`)
  }

  // ------------------------------------------------------------------------------------------------------------- what users do

  /** A person does one thing (or a few) on a disk, seeing nothing but the disk; then it is scanned. */
  #act(what: number): void {
    const r = this.#random
    const device = r.pick(this.#devices)
    const { disk } = device
    const clean = disk.plan().steps.length === 0 && disk.render() === disk.renderTree()
    if (!this.#user(device, what)) return
    if (clean) device.lagged = false
    let exact = clean
    for (let more = r.chance(this.#hard ? 0.5 : 0.15) ? 1 + r.below(2) : 0; more > 0; more--) {
      if (this.#user(device, r.next())) exact = false
    }
    if (r.chance(0.3)) {
      this.#world()
      this.#world()
      if (device.lagged) exact = false
    }
    this.#publish(device, exact)
  }

  #fresh(device: Device): string {
    const text = `w${++this.#texts}`
    this.#written.add(text)
    device.disk.have.add(text)
    return text
  }

  /** Returns whether anything was done. `what` in [0, 1) chooses. */
  #user(device: Device, what: number): boolean {
    const all = [...walk(device.disk.root)]
    const files = all.filter(x => x.kind !== 'directory')
    const directories = [device.disk.root, ...all.filter(x => x.kind === 'directory')]
    const done = this.#userDid(device, what, files, directories)
    if (done === null) return false
    this.#log.push(`${device.number} user: ${done}`)
    this.#counts.operations++
    return true
  }

  #userDid(device: Device, what: number, files: Thing[], directories: Thing[]): string | null {
    const r = this.#random
    if (what < 0.3) return this.#userCreates(device, what < 0.18, directories)
    if (what < 0.5) return this.#userEdits(device, files)
    if (what < 0.68) {
      const lost = what < 0.6 ? files : directories.slice(1)
      if (lost.length === 0) return null
      const gone = r.pick(lost)
      for (const x of [gone, ...walk(gone)]) if (x.text !== '') this.#handled.add(x.text)
      const said = `rm ${pathOf(gone)} ${gone.text}`
      cut(gone)
      return said
    }
    if (what < 0.9) return this.#userMoves(device, what < 0.8 ? files : directories.slice(1), directories)
    if (what < 0.95) return this.#userTouches(r.chance(0.7) ? files : directories.slice(1))
    if (files.length < 2) return null
    const [from, over] = [r.pick(files), r.pick(files)]
    if (from === over || from.kind !== over.kind || over.parent === null) return null
    const said = `over ${pathOf(from)} ${from.text} -> ${pathOf(over)} ${over.text}`
    this.#handled.add(over.text)
    const { parent } = over
    cut(from)
    cut(over)
    from.name = over.name
    put(parent, from)
    return said
  }

  #freeName(device: Device, directory: Thing, names: readonly string[]): string | null {
    for (let tries = 0; tries < 6; tries++) {
      const name = this.#random.pick(names)
      if (!device.disk.taken(directory, name)) return name
    }
    return null
  }

  #depth(x: Thing): number {
    return pathOf(x).split('/').length
  }

  #userCreates(device: Device, file: boolean, directories: Thing[]): string | null {
    const r = this.#random
    const parent = r.pick(directories.filter(x => this.#depth(x) < 5))
    const name = this.#freeName(device, parent, file ? FILE_NAMES : DIRECTORY_NAMES)
    if (name === null) return null
    if (!file) {
      put(parent, thing(name, 'directory', ''))
      return `mkdir ${pathOf(parent)}/${name}`
    }
    const text = r.chance(0.12) ? `same${r.below(2)}` : this.#fresh(device)
    this.#written.add(text)
    device.disk.have.add(text)
    put(parent, thing(name, r.chance(0.08) ? 'symlink' : 'file', text, this.#clock))
    return `create ${pathOf(parent)}/${name} ${text}`
  }

  #userEdits(device: Device, files: Thing[]): string | null {
    if (files.length === 0) return null
    const file = this.#random.pick(files)
    const text = this.#fresh(device)
    const said = `edit ${pathOf(file)} ${file.text}->${text}`
    this.#handled.add(file.text)
    if (this.#random.chance(0.5) && file.parent !== null) {
      const saved = thing(file.name, file.kind, text, this.#clock)
      const { parent } = file
      cut(file)
      put(parent, saved)
    } else {
      file.text = text
      file.mtime = this.#clock
    }
    return said
  }

  #userTouches(things: Thing[]): string | null {
    if (things.length === 0) return null
    const x = this.#random.pick(things)
    if (x.kind !== 'directory' && this.#random.chance(0.5)) x.mtime = this.#clock
    else x.mode ^= 0o100
    return `touch ${pathOf(x)} ${x.mode.toString(8)} ${x.mtime}`
  }

  #userMoves(device: Device, things: Thing[], directories: Thing[]): string | null {
    const r = this.#random
    if (things.length === 0) return null
    const x = r.pick(things)
    const targets = directories.filter(d => d !== x && !pathOf(d).startsWith(`${pathOf(x)}/`) && this.#depth(d) < 4)
    if (targets.length === 0) return null
    const parent = x.kind !== 'directory' && r.chance(0.5) && x.parent !== null ? x.parent : r.pick(targets)
    const name = this.#freeName(device, parent, x.kind === 'directory' ? DIRECTORY_NAMES : FILE_NAMES)
    if (name === null) return null
    const said = `mv ${pathOf(x)} ${pathOf(parent)}/${name}`
    cut(x)
    x.name = name
    put(parent, x)
    return said
  }

  /** A person asks for changes and touches nothing: the disk follows. */
  #wish(): void {
    const device = this.#random.pick(this.#devices)
    const { disk, tree } = device
    const clean = disk.plan().steps.length === 0 && disk.render() === disk.renderTree() && !this.#anyPending(device)
    const fresh = (): string => `w${++this.#texts}`
    const deps = { rows: disk.rows, hidden: disk.hidden, random: this.#random, key: (n: string) => disk.key(n), fresh }
    const made = wish(deps, this.#clock)
    if (made === null) return
    const said = made.revisions.map(each => `${each.do} ${'row' in each ? disk.rows.path(each.row.id) : each.name}`)
    this.#log.push(`${device.number} wish: ${said.join(', ')}`)
    for (const text of made.wrote) this.#written.add(text)
    for (const text of made.disposed) this.#handled.add(text)
    const before = this.#shown(device)
    tree.revise(made.revisions)
    this.#send(device)
    this.#counts.wishes++
    if (clean) {
      this.#counts.exactWishes++
      if (render(tree) !== made.becomes) this.fail(`not what was wished\n${render(tree)}\n---\n${made.becomes}`)
    }
    if (this.#anyPending(device)) return
    const after = this.#shown(device)
    for (const text of made.wrote) if (!after.has(text)) this.fail(`what was wished, ${text}, is not shown`)
    for (const [text, path] of before)
      if (text.startsWith('w') && !after.has(text) && !this.#handled.has(text)) this.fail(`it hid ${text} at ${path}`)
  }

  // ------------------------------------------------------------------------------------------------------------ what happens

  #shown(device: Device): Map<string, string> {
    const out = new Map<string, string>()
    for (const [path, entry] of paths(device.tree)) {
      if (entry.kind !== 'directory') out.set(textOf(entry.facts.content), path)
    }
    return out
  }

  #anyPending(device: Device): boolean {
    for (const row of device.disk.rows.all()) if (row.nodes.some(ref => device.tree.isPending(ref.id))) return true
    return false
  }

  #publish(device: Device, exact: boolean): number {
    const { tree, disk } = device
    const pending = this.#anyPending(device)
    const before = this.#shown(device)
    const done = disk.scan()
    for (const { what, name, text } of done) this.#log.push(`${device.number} publish: ${what} ${name} ${text}`)
    if (done.length === 0) return 0
    this.#checkTold(device)
    this.#send(device)
    if (pending || this.#anyPending(device)) return done.length
    const after = this.#shown(device)
    for (const { what, text } of done) {
      const wrote = what === 'create' || what === 'edit'
      if (wrote && text !== '' && !after.has(text)) this.fail(`own content ${text} is not shown\n${render(tree)}`)
    }
    if (exact) {
      this.#counts.exact++
      if (disk.render() !== disk.renderTree()) {
        this.fail(`own result jumped on ${device.number}\n--- disk\n${disk.render()}\n--- tree\n${disk.renderTree()}`)
      }
    }
    for (const [text, path] of before) {
      if (text.startsWith('w') && !after.has(text) && !this.#handled.has(text)) this.fail(`it hid ${text} at ${path}`)
    }
    return done.length
  }

  #send(from: Device): void {
    const updates = from.tree.takeUpdates()
    for (const to of this.#devices) if (to !== from) to.queue.push(...updates)
  }

  #deliver(device: Device): void {
    const r = this.#random
    if (device.queue.length === 0) return
    const at = r.chance(0.7) ? 0 : r.below(device.queue.length)
    const [message] = r.chance(0.9) ? device.queue.splice(at, 1) : [device.queue[at]]
    if (message === undefined) return
    const verdict = device.tree.check(message.doc, message.update)
    if (verdict.ok) device.tree.apply(message.doc, message.update)
    else if (verdict.gap) this.#counts.gaps++
    else this.fail(`the gate refused an honest update: ${verdict.reason}`)
    device.lagged = true
  }

  #exchange(a: Device, b: Device): void {
    exchange(a.tree, b.tree)
    a.lagged = true
    b.lagged = true
  }

  #world(): void {
    const r = this.#random
    const device = r.pick(this.#devices)
    const { disk } = device
    const chance = r.next()
    if (chance < 0.4) this.#deliver(device)
    else if (chance < 0.5) {
      const other = r.pick(this.#devices)
      if (other !== device) this.#exchange(device, other)
    } else if (chance < 0.75) {
      const missing = [...this.#shown(device).keys()].filter(text => !disk.have.has(text))
      if (missing.length > 0) disk.have.add(r.pick(missing))
    } else {
      for (let n = 0; n < 3; n++) {
        const step = r.chance(this.#eager * 2) ? disk.some(r.below) : null
        if (step !== null) this.#log.push(`${device.number} plan: ${step}`)
      }
    }
    this.#checkTold(device)
    if (chance > 0.985) this.#restart(device)
    if (chance < 0.02) device.tree.housekeep()
    if (r.chance(0.03)) this.#checkOracle(device)
  }

  #restart(device: Device): void {
    const before = render(device.tree)
    this.#send(device)
    const stored = snapshots(device.tree)
    const { seqCeiling } = device.tree
    const { tree } = openTree({
      number: device.number,
      now: device.now,
      foldsCase: this.#fold,
      rows: device.disk.rows,
      stored,
      seqCeiling,
    })
    if (render(tree) !== before) this.fail(`a fresh load shows another tree\n${before}\n---\n${render(tree)}`)
    if (tree.digest() !== device.tree.digest()) this.fail('a fresh load has another digest')
    device.tree = tree
    device.listed = null
    device.disk.tree = tree
    this.#log.push(`${device.number} restart`)
  }

  /** Whatever shows something else than at the last look was told of: what is not is never compared with the disk. */
  #checkTold(device: Device): void {
    const { tree } = device
    const told = tree.takeChanges()
    const now = new Map<NodeId, ReadonlyMap<string, NodeId | undefined>>()
    for (const directory of [ROOT_NODE, ...[...tree.allEntries()].filter(isDirectory).flatMap(each => each.nodes)]) {
      if (directory !== ROOT_NODE && tree.primaryOf(directory) !== directory) continue
      const listed = [...tree.entries(directory)].map(
        ({ name, kind, nodes, facts }) => [JSON.stringify([name, kind, nodes, facts.content]), nodes[0]] as const,
      )
      now.set(directory, new Map(listed))
    }
    for (const [directory, listed] of now) {
      if (device.listed === null || told.directories.has(directory)) continue
      const before = device.listed.get(directory) ?? new Map<string, NodeId | undefined>()
      for (const [one, other] of [[before, listed] as const, [listed, before] as const])
        for (const [entry, node] of one)
          if (!other.has(entry) && (node === undefined || !told.nodes.has(node)))
            this.fail(`nobody was told that ${directory} shows something else: ${entry}`)
    }
    device.listed = now
  }

  #checkOracle(device: Device): void {
    const shown = render(device.tree)
    const full = fullProjection(snapshots(device.tree))
    if (shown !== full) this.fail(`incremental is not full on ${device.number}\n${shown}\n--- full\n${full}`)
  }

  // -------------------------------------------------------------------------------------------------------------- quiet moments

  #exchangeAll(): void {
    for (const device of this.#devices) this.#send(device)
    for (let round = 0; round < 2; round++) {
      this.#devices.forEach((a, i) => {
        for (const b of this.#devices.slice(i + 1)) this.#exchange(a, b)
      })
    }
    for (const device of this.#devices) device.queue.length = 0
  }

  /** Everybody hears of everything and the disks catch up. */
  #quiet(): void {
    this.#log.push('--- quiet')
    for (let round = 0; ; round++) {
      for (const device of this.#devices) this.#publish(device, false)
      this.#exchangeAll()
      let echoed = false
      for (const device of this.#devices) {
        for (const text of this.#written) device.disk.have.add(text)
        if (!device.disk.catchUp()) this.#stuck(device)
        if (this.#publish(device, false) > 0) echoed = true
      }
      if (!echoed) break
      if (round > 1) this.fail('a change echoes')
    }
    const tree = this.#checkEqual()
    this.#checkContents()
    for (const device of this.#devices) device.tree.housekeep()
    this.#exchangeAll()
    if (this.#checkEqual() !== tree) this.fail('housekeeping changed the tree')
    for (const device of this.#devices) {
      if (device.tree.housekeep() > 0) this.fail('housekeeping does not come to an end')
      if (!device.disk.catchUp() || device.disk.plan().steps.length > 0) this.fail('the plan is not empty')
      device.lagged = false
    }
    this.#counts.quiet++
  }

  #stuck(device: Device): never {
    const { disk } = device
    const steps = disk.plan().steps.map(step => step.what)
    this.fail(`disk ${device.number} is stuck: ${steps}\n--- disk\n${disk.render()}\n--- tree\n${disk.renderTree()}`)
  }

  #checkEqual(): string {
    const [first] = this.#devices
    if (first === undefined) return ''
    const tree = render(first.tree)
    for (const device of this.#devices) {
      const { disk } = device
      if (render(device.tree) !== tree) this.fail(`trees differ\n${tree}\n--- ${device.number}\n${render(device.tree)}`)
      if (device.tree.digest() !== first.tree.digest()) this.fail(`digests differ on ${device.number}`)
      this.#checkOracle(device)
      if (disk.render() !== disk.renderTree()) {
        this.fail(`disk ${device.number} differs\n${disk.render()}\n--- tree\n${disk.renderTree()}`)
      }
      if (disk.parkedCount > 0) this.fail('something stayed parked')
    }
    return tree
  }

  /** Nothing written is lost, nothing that nobody wrote is there. */
  #checkContents(): void {
    const [first] = this.#devices
    if (first === undefined) return
    const shown = this.#shown(first)
    for (const text of this.#written) {
      if (text.startsWith('w') && !shown.has(text) && !this.#handled.has(text))
        this.fail(`lost ${text}\n${render(first.tree)}`)
    }
    for (const text of shown.keys()) if (!this.#written.has(text)) this.fail(`invented ${text}`)
  }
}

function isDirectory({ kind }: Entry): boolean {
  return kind === 'directory'
}
