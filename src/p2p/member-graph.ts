// Who is a member, computed from a set of verified statements. Pure and free of order: two devices that hold the same statements
// come to the same answer, whichever way they heard them.
//
// Pairings are edges; trust starts at this device and follows them. A removed device is out for ever, and so is what only it
// vouches for, but for those whom its remover knew and kept: a thief cannot add more devices afterwards.
import type { DeviceId } from '../core/ids.ts'
import type { Statement, StatementBody } from './statements.ts'

export interface MemberGraph {
  /** Reachable over pairings, removed or not: whose removals and names count. */
  readonly known: ReadonlySet<DeviceId>
  /** Members other than this device. Empty where this device was itself removed. */
  readonly members: ReadonlySet<DeviceId>
  readonly removed: ReadonlyMap<DeviceId, readonly Removal[]>
  readonly names: ReadonlyMap<DeviceId, string>
  readonly paired: ReadonlyMap<DeviceId, ReadonlySet<DeviceId>>
}

type Removal = Extract<StatementBody, { is: 'removed' }>

export function evaluate(self: DeviceId, statements: Iterable<Statement>): MemberGraph {
  const all = [...statements]
  const paired = edges(all)
  const known = reach(self, paired, () => true)
  const removed = removals(all, known)
  const members = removed.has(self)
    ? new Set<DeviceId>()
    : reach(self, paired, (from, to) => (removed.get(from) ?? []).every(removal => removal.keep.includes(to)))
  members.delete(self)
  for (const device of removed.keys()) members.delete(device)
  return { known, members, removed, names: newestNames(all, known, removed), paired }
}

function edges(all: readonly Statement[]): Map<DeviceId, Set<DeviceId>> {
  const paired = new Map<DeviceId, Set<DeviceId>>()
  const link = (from: DeviceId, to: DeviceId): void => {
    const there = paired.get(from)
    if (there === undefined) paired.set(from, new Set([to]))
    else there.add(to)
  }
  for (const { body } of all) {
    if (body.is !== 'added') continue
    link(body.by, body.device)
    link(body.device, body.by)
  }
  return paired
}

function reach(
  self: DeviceId,
  paired: ReadonlyMap<DeviceId, ReadonlySet<DeviceId>>,
  vouches: (from: DeviceId, to: DeviceId) => boolean,
): Set<DeviceId> {
  const seen = new Set([self])
  for (const from of seen) {
    // A set that is iterated visits what is added meanwhile: this is the whole breadth-first walk.
    for (const to of paired.get(from) ?? []) if (vouches(from, to)) seen.add(to)
  }
  return seen
}

function removals(all: readonly Statement[], known: ReadonlySet<DeviceId>): Map<DeviceId, Removal[]> {
  const removed = new Map<DeviceId, Removal[]>()
  for (const { body } of all) {
    // The author may be removed itself: two who remove each other are both out.
    if (body.is !== 'removed' || !known.has(body.by)) continue
    const there = removed.get(body.device)
    if (there === undefined) removed.set(body.device, [body])
    else there.push(body)
  }
  return removed
}

function newestNames(
  all: readonly Statement[],
  known: ReadonlySet<DeviceId>,
  removed: ReadonlyMap<DeviceId, unknown>,
): Map<DeviceId, string> {
  const newest = new Map<DeviceId, { name: string; at: number; key: string }>()
  for (const { body, key } of all) {
    if (body.is === 'removed' || !known.has(body.by)) continue
    // An addition names the device only until a statement about its name is there.
    const at = body.is === 'added' ? -1 : body.at
    if (body.is === 'named' && removed.has(body.by) && body.by !== body.device) continue
    const there = newest.get(body.device)
    if (there === undefined || at > there.at || (at === there.at && key > there.key)) {
      newest.set(body.device, { name: body.name, at, key })
    }
  }
  return new Map([...newest].map(([device, { name }]) => [device, name]))
}
