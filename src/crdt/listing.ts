// The names in one merged directory: files take free names, oldest placement first; those that find theirs taken get a suffix;
// siblings beyond the winner show beside it as conflict copies. Pure: the same input gives the same names on every device.
// A listing keeps ids for plain entries and objects only for suffixed and copied ones, so that a large directory stays small.
import type { Kind, Node, Placement } from '../core/entry.ts'
import type { ActorId, NodeId } from '../core/ids.ts'
import { hexOf } from '../core/ids.ts'
import { nameKey, normalName, withSuffix } from '../core/names.ts'
import { comparePlaced, compareText } from './join.ts'
import { type Group, groupsOf } from './versions.ts'

/** A file that shows in the directory, under the name it asks for. */
export interface Candidate {
  readonly id: NodeId
  readonly kind: Kind
  readonly name: string
  readonly placement: Placement | null
  readonly groups: readonly Group[]
}

/** An entry that is not simply a file under the name it asks for. */
export interface Special {
  readonly id: NodeId
  readonly kind: Kind
  readonly name: string
  /** The names that it would have if they were free, the one that it asks for first. */
  readonly rather: readonly string[]
  readonly clash: boolean
  readonly copy: boolean
  readonly group: Group
}

export interface Listing {
  /** Name key → the file of that name. Directories are not in it. */
  readonly names: Map<string, NodeId | Special>
  /** The key under which each file's winner shows. */
  readonly keys: Map<NodeId, string>
  readonly specials: readonly Special[]
  /** Files that have or are specials, and every key that specials hold or ask for: a change of those renames others. */
  readonly involved: ReadonlySet<NodeId>
  readonly touchy: ReadonlySet<string>
}

export interface Naming {
  readonly fold: boolean
  labelOf(actor: ActorId): string
}

const FIRST_HEX = 6
const CONFLICT_NAME = / \(conflict \d{4,6}-\d\d-\d\d \d\d-\d\d-\d\d [^()]+\)/
const ALL_HEX = 32

export function candidate(node: Node, name: string): Candidate {
  return { id: node.id, kind: node.kind, name: normalName(name), placement: node.placement, groups: groupsOf(node) }
}

export function listFiles(
  files: readonly Candidate[],
  directories: { has(key: string): boolean },
  naming: Naming,
): Listing {
  const names = new Map<string, NodeId | Special>()
  const keys = new Map<NodeId, string>()
  const specials: Special[] = []
  const key = (name: string): string => nameKey(name, naming.fold)
  const taken = (name: string): boolean => directories.has(key(name)) || names.has(key(name))

  const losers: Candidate[] = []
  for (const file of [...files].sort(comparePlaced)) {
    if (taken(file.name)) losers.push(file)
    else {
      names.set(key(file.name), file.id)
      keys.set(file.id, key(file.name))
    }
  }
  const winners = new Map<NodeId, string>()
  for (const file of losers.sort((a, b) => compareText(a.id, b.id))) {
    const { name, rather } = freeName(file.name, file.id, taken)
    const [group] = file.groups
    if (group === undefined) continue
    const special = { id: file.id, kind: file.kind, name, rather, clash: true, copy: false, group }
    winners.set(file.id, name)
    names.set(key(name), special)
    keys.set(file.id, key(name))
    specials.push(special)
  }
  const copies: { file: Candidate; wanted: string; group: Group }[] = []
  for (const file of files) {
    const name = winners.get(file.id) ?? file.name
    for (const group of file.groups.slice(1)) copies.push({ file, wanted: conflictName(name, group, naming), group })
  }
  copies.sort(
    (a, b) => compareText(a.wanted, b.wanted) || compareText(a.file.id, b.file.id) || leadOrder(a.group, b.group),
  )
  for (const { file, wanted, group } of copies) {
    const { name, rather } = freeName(wanted, file.id, taken)
    const special = { id: file.id, kind: file.kind, name, rather, clash: rather.length > 0, copy: true, group }
    names.set(key(name), special)
    specials.push(special)
  }
  return { names, keys, specials, ...involvedIn(specials, keys, key) }
}

function involvedIn(
  specials: readonly Special[],
  keys: ReadonlyMap<NodeId, string>,
  key: (name: string) => string,
): Pick<Listing, 'involved' | 'touchy'> {
  const involved = new Set<NodeId>()
  const touchy = new Set<string>()
  for (const special of specials) {
    involved.add(special.id)
    touchy.add(key(special.name))
    for (const name of special.rather) touchy.add(key(name))
    const own = keys.get(special.id)
    if (own !== undefined) touchy.add(own)
  }
  return { involved, touchy }
}

function leadOrder(a: Group, b: Group): number {
  const [x] = a.versions
  const [y] = b.versions
  if (x === undefined || y === undefined) return 0
  return x.dot.seq - y.dot.seq || x.dot.actor - y.dot.actor
}

/** The name itself, else `stem (6 hex of the id).ext`, more hex where that is taken too; total: at last it counts. */
function freeName(name: string, id: NodeId, taken: (name: string) => boolean): Pick<Special, 'name' | 'rather'> {
  const rather: string[] = []
  for (const tried of namesFor(name, id)) {
    if (!taken(tried)) return { name: tried, rather }
    rather.push(tried)
  }
  throw new Error('there is always one more name')
}

function* namesFor(name: string, id: NodeId): Iterable<string> {
  yield name
  const hex = hexOf(id)
  for (let length = FIRST_HEX; length <= ALL_HEX; length += 2) yield withSuffix(name, hex.slice(0, length))
  for (let count = 2; ; count++) yield withSuffix(name, `${hex}~${count}`)
}

/** `stem (conflict YYYY-MM-DD HH-MM-SS LABEL).ext`, UTC of the version's seq. */
function conflictName(name: string, group: Group, naming: Naming): string {
  const [lead] = group.versions
  if (lead === undefined) return name
  return withSuffix(name, `conflict ${utc(lead.dot.seq)} ${naming.labelOf(lead.dot.actor)}`)
}

/** Is it such a name, or would a person have to invent it? */
export function isConflictName(path: string): boolean {
  return CONFLICT_NAME.test(path.slice(path.lastIndexOf('/') + 1))
}

function utc(ms: number): string {
  const limit = 8.64e15
  const text = new Date(Math.min(ms, limit)).toISOString().replace(/^\+/, '')
  return text.slice(0, text.indexOf('.')).replace('T', ' ').replaceAll(':', '-')
}
