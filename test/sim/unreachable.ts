// Branches that no history can take, each with its reason: see coverage.ts. An entry that fits no branch, or one that was taken, is an
// error, so that this list cannot rot. What only needs a step that the simulation lacks does not belong here: add the step.

export interface Unreachable {
  readonly file: string
  /** The whole line, trimmed. */
  readonly line: string
  /** The function it is in, where several have such a line. */
  readonly inside?: string
  /** Which branch of that line, as `told` names it. */
  readonly what: string
  readonly why: string
  /** Some ten thousand histories may take it, or may not. */
  readonly rare?: true
}

const TYPES = 'only the types allow it'
const PARKED_NEARLY_NEVER =
  'what stays parked at the end has no path: once in some 26,000 histories, and it is planned again'
const PARKED = 'nothing is left parked, so what was not removed has a path'

export const UNREACHABLE: readonly Unreachable[] = [
  {
    file: 'src/sync/differences.ts',
    what: 'if true',
    line: "if (root === undefined) throw new Error('the row table has no root')",
    why: "loading a replica puts the root's row",
  },
  {
    file: 'src/sync/differences.ts',
    what: '|| 1',
    line: 'if (home === undefined || home.id === ROOT_ROW || this.doomed.has(home.id)) return',
    why: "a row's directory has a row",
  },
  {
    file: 'src/sync/differences.ts',
    what: 'if false',
    line: 'if (entry !== undefined) this.#collectDirectoryEntry(entry)',
    why: 'the primary of what shows has an entry',
  },
  {
    file: 'src/sync/differences.ts',
    what: 'if true',
    line: 'if (entry === undefined) return null',
    why: 'only asked of primaries, which show',
  },
  {
    file: 'src/sync/differences.ts',
    what: '? true',
    line: 'const others = node === undefined ? undefined : shown.get(node)',
    why: TYPES,
  },
  {
    file: 'src/sync/differences.ts',
    what: 'if false',
    line: 'else if (others !== undefined) others.push(entry)',
    why: TYPES,
  },
  {
    file: 'src/sync/differences.ts',
    what: '&& 3',
    line: 'if (targets.length === 1 && rows.length === 1 && target && row?.content === target.entry.facts.content) {',
    why: TYPES,
  },
  {
    file: 'src/sync/differences.ts',
    what: '? true',
    line: 'this.#collectTarget({ ...target, row }, target.entry.copy ? undefined : target)',
    why: 'a copy shows beside its winner, never alone',
  },
  {
    file: 'src/sync/differences.ts',
    what: '|| 1',
    line: 'if (primary === undefined || this.#doneNodes.has(primary)) return',
    why: TYPES,
  },
  {
    file: 'src/sync/differences.ts',
    what: '&& 1',
    line: 'for (let at: Entry | undefined = entry; at !== undefined && at.directory !== ROOT_NODE && depth < 1_000; depth++)',
    why: 'above what shows there is always something that shows, up to the root',
  },
  {
    file: 'src/sync/differences.ts',
    what: '&& 2',
    line: 'if (entry.copy && winner !== undefined && this.#hasPlaceOf(row, winner.entry) && !this.#ready(winner)) return',
    why: 'a copy shows beside its winner, never alone',
  },
  {
    file: 'src/sync/differences.ts',
    what: '&& 1',
    line: 'return other !== undefined && ref.id === other.id && samePlacement(ref, other) && sameVersions(ref, other)',
    why: TYPES,
  },
  {
    file: 'src/sync/differences.ts',
    what: '&& 3',
    line: 'return p.time === q.time && p.actor === q.actor && p.parent === q.parent && p.name === q.name',
    why: 'an actor places a node only once at one time; a forged record could',
  },
  {
    file: 'src/sync/plan.ts',
    what: '?? last',
    line: 'doomed.sort((a, b) => (depths.get(b.id) ?? 0) - (depths.get(a.id) ?? 0))',
    why: TYPES,
  },
  {
    file: 'src/sync/plan.ts',
    what: '?? last (2)',
    line: 'doomed.sort((a, b) => (depths.get(b.id) ?? 0) - (depths.get(a.id) ?? 0))',
    why: TYPES,
  },
  {
    file: 'src/sync/plan.ts',
    what: '?? last',
    line: 'const path = this.#shadow.path(id) ?? entry.name',
    why: 'its directory was seen to have a path',
  },
  {
    file: 'src/sync/plan.ts',
    what: '|| 1',
    line: 'if (stat === null || into === undefined) return false',
    why: 'the disk answers such a step with a stat or a problem',
  },
  {
    file: 'src/sync/plan.ts',
    what: 'if true',
    line: 'if (from === undefined && !parked) return this.#wait(entry)',
    why: 'what is parked is the deepest that is still to move, so nothing that is to move is inside of it',
  },
  {
    file: 'src/sync/plan.ts',
    what: '?? last',
    line: 'const to = this.#shadow.path(row.id) ?? entry.name',
    why: 'its directory was seen to have a path',
  },
  {
    file: 'src/sync/plan.ts',
    what: '?? last',
    line: ": { do: 'move', path: from ?? '', kind: row.kind, expect: row.stat, to },",
    why: TYPES,
  },
  {
    file: 'src/sync/plan.ts',
    what: 'if true',
    line: 'if (stat === null || now === undefined) return false',
    why: 'the row of a step stays until it is done; the disk answers with a stat or a problem',
  },
  {
    file: 'src/sync/plan.ts',
    what: '|| 1',
    line: 'if (stat === null || now === undefined) return false',
    why: 'the disk answers such a step with a stat or a problem',
  },
  {
    file: 'src/sync/plan.ts',
    what: '?? last',
    line: 'directory: row.nodes[0]?.id ?? ROOT_NODE,',
    why: 'every row has a node',
  },
  {
    file: 'src/sync/plan.ts',
    what: 'if true',
    line: 'if (parent === undefined) return this.#wait(entry)',
    why: "a fresh entry's was asked for before, and a row in place is in its directory",
  },
  {
    file: 'src/sync/plan.ts',
    what: 'if true',
    line: "if (planned?.step.do !== 'put') continue",
    why: 'the list holds nothing else',
  },
  {
    file: 'src/sync/plan.ts',
    what: 'if true',
    line: 'if (!this.#shadow.isEmpty(row.id)) return false',
    why: 'all that was in it has just been removed',
  },
  {
    file: 'src/sync/local-changes.ts',
    what: '? false (2)',
    line: 'depth(a.path) - depth(b.path) || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0)',
    why: 'no two entries have one path',
  },
  {
    file: 'src/sync/local-changes.ts',
    what: '&& 2',
    line: "r.kind === 'directory' && r.id !== ROOT_ROW && sameObject(r.stat, entry.stat) && !this.#pathOfRow.has(r.id),",
    why: "the root's row has inode 0, which no disk gives out",
  },
  {
    file: 'src/sync/local-changes.ts',
    what: 'if false',
    line: 'if (home !== undefined) this.#need(home, false)',
    why: "a row's directory has a row",
  },
  {
    file: 'src/sync/local-changes.ts',
    what: 'if true',
    inside: '#pathOf',
    line: 'if (row === undefined) return undefined',
    why: "a row's directory has a row",
  },
  {
    file: 'src/sync/local-changes.ts',
    what: '? true',
    line: 'return above === undefined ? undefined : joinPath(above, row.name)',
    why: "a row's directory has a row",
  },
  {
    file: 'src/sync/publisher.ts',
    what: 'if false',
    line: "if (root !== undefined) this.#directories.set('', root)",
    why: "loading a replica puts the root's row",
  },
  {
    file: 'src/sync/publisher.ts',
    what: '&& 1',
    line: 'parent && (this.#brought(found, row, parent, facts) ?? this.#agree(found, row, parent, facts, lostByInode))',
    why: "a row's directory has a row",
  },
  {
    file: 'src/sync/adopt.ts',
    what: 'if true',
    line: 'if (first === undefined) return undefined',
    why: 'every row has a node',
  },
  {
    file: 'src/sync/adopt.ts',
    what: '?? last',
    line: 'if (row !== null && sameDots(entry.dots, row.nodes[0]?.versions ?? [])) return undefined',
    why: 'every row has a node',
  },
  {
    file: 'src/sync/publisher.ts',
    what: 'if true',
    line: 'if (this.#deps.rows.child(parent.id, found.observed.name)?.kind === found.observed.kind)',
    why: 'what has the name of a row in its directory, and its kind, is no new thing; nothing else comes to that name in the run',
  },
  {
    file: 'src/sync/publisher.ts',
    what: '&& 1',
    line: 'for (let at = this.#deps.rows.get(parent); at !== undefined && at.id !== ROOT_ROW; ) {',
    why: "a row's directory has a row",
  },
  { file: 'src/sync/publisher.ts', what: '?? last', line: 'bytes += all[count]?.observed.stat.size ?? 0', why: TYPES },
  {
    file: 'src/sync/publisher.ts',
    what: 'if true',
    line: 'if (now === undefined) continue',
    why: 'a directory that stands is not removed in the same run',
  },
  {
    file: 'src/sync/publisher.ts',
    what: 'if true',
    line: 'if (found === undefined) continue',
    why: 'the disk answers only what it was asked',
  },
  {
    file: 'src/sync/publisher.ts',
    what: 'if true',
    line: 'if (this.#deps.isRot(row, hashed.list.content)) return this.#deps.rows.put({ ...row, stat: found.observed.stat })',
    why: 'no simulated disk rots; tested in test/sync/verify.test.ts and test/fault',
  },
  {
    file: 'src/sync/publisher.ts',
    what: '&& 1',
    line: 'const entry = now && transition(row, { time: this.#deps.now(), device, action }, now, was)',
    why: "a row's directory has a row, so it has a path",
  },
  {
    file: 'src/sync/publisher.ts',
    what: '? true',
    line: 'return entry === null ? [] : [entry]',
    why: 'every row has a node',
  },
  {
    file: 'src/sync/publisher.ts',
    what: '? true',
    line: "return standing === null ? 0 : standing.path.split('/').length",
    why: "a row's directory has a row, so it has a path",
  },
  {
    file: 'src/crdt/operations.ts',
    what: 'if true',
    line: "if (there === undefined) throw new KithError('internal', 'The file to merge is gone. Please report this.')",
    why: 'the merger has just seen its siblings',
  },
  {
    file: 'src/crdt/operations.ts',
    what: 'if true',
    line: "if (node === undefined) throw new KithError('internal', 'A node without records was asked for. Please report this.')",
    why: 'asked only of nodes that show or were just written',
  },
  {
    file: 'src/crdt/operations.ts',
    what: 'if true',
    line: 'if (ref === undefined) continue',
    why: 'every row has a node',
  },
  {
    file: 'src/crdt/operations.ts',
    what: 'if true',
    line: "if (directory === undefined) throw new KithError('internal', 'A row without its directory. Please report this.')",
    why: "a row's directory has a row",
  },
  {
    file: 'src/crdt/operations.ts',
    what: '? true',
    line: 'const merged = left === undefined ? null : view.mergedOf(smallest(left))',
    why: 'a copy whose directory went before it: once in some 30,000 histories',
    rare: true,
  },
  {
    file: 'src/crdt/operations.ts',
    what: '&& 1',
    line: 'return actor === own || (index.actors.has(own) && index.actors.get(actor)?.device === index.actors.get(own)?.device)',
    why: 'loading a replica registers its actor',
  },
  {
    file: 'src/crdt/operations.ts',
    what: 'if true',
    line: 'if (!isLegalName(normalName(name)))',
    why: 'the scanner lists no such name',
  },
  {
    file: 'src/crdt/operations.ts',
    what: 'if true',
    line: "if (first === undefined) throw new KithError('internal', 'A row without a node. Please report this.')",
    why: 'every row has a node',
  },
  {
    file: 'src/crdt/settle.ts',
    what: 'if false',
    line: 'if (spot !== null) touch(merged, spot.name)',
    why: 'what shows has a place',
  },
  {
    file: 'src/crdt/settle.ts',
    what: 'if false',
    line: 'if (node !== undefined && spot !== null) batch.place(node, spot.parent, special.name)',
    why: 'what shows has records and a place',
  },
  {
    file: 'src/crdt/settle.ts',
    what: '&& 1',
    line: 'if (node !== undefined && spot !== null) batch.place(node, spot.parent, special.name)',
    why: 'what shows has records',
  },
  {
    file: 'src/crdt/settle.ts',
    what: '|| 1',
    line: 'if (lead === undefined || group.versions.some(v => scope.disposes(id, v.dot))) return null',
    why: 'no group is empty',
  },
  {
    file: 'src/crdt/settle.ts',
    what: '&& 1',
    line: 'for (let merged: Merged | null = from; merged !== null && merged.parent !== null; merged = merged.parent) {',
    why: 'the chain ends at the root, which has no parent',
  },
  {
    file: 'src/crdt/settle.ts',
    what: '|| 1',
    line: 'if (node === undefined || node.versions.length > 0 || scope.gone?.has(id) === true) continue',
    why: 'what shows has records',
  },
  {
    file: 'src/crdt/resolve-parents.ts',
    what: 'if false',
    line: 'if (newest !== undefined) victims.push(newest.id)',
    why: 'no cycle is empty',
  },
  {
    file: 'src/crdt/projection.ts',
    what: 'if true',
    line: 'if (slot === undefined) continue',
    why: 'a node whose records changed has a slot until this has run',
  },
  {
    file: 'src/crdt/projection.ts',
    what: 'if true',
    line: 'if (node === undefined) continue',
    why: 'directories keep their records; `vanished` has seen to those that a forger deleted',
  },
  {
    file: 'src/crdt/projection.ts',
    what: 'if true',
    line: 'if (birth === null) continue',
    why: 'set just before for all that changed',
  },
  {
    file: 'src/crdt/projection.ts',
    what: 'if false',
    line: 'if (slot !== undefined) out.set(slot, where)',
    why: 'the answer names only those asked for',
  },
  {
    file: 'src/crdt/projection.ts',
    what: 'if true',
    line: 'if (birth === null) return false',
    why: 'set just before for all that changed, and seen on the way up',
  },
  {
    file: 'src/crdt/projection.ts',
    what: 'if true',
    line: 'if (this.#unknownActor(node)) {',
    why: 'the gate lets no record in whose actors are not registered',
  },
  {
    file: 'src/crdt/projection.ts',
    what: '|| 1',
    line: 'node.versions.some(v => !actors.has(v.dot.actor)) ||',
    why: 'the gate lets no record in whose actors are not registered',
  },
  {
    file: 'src/crdt/projection.ts',
    what: '&& last',
    line: 'return slot !== undefined && slot.record !== null',
    why: 'asked of what is no directory: only a forged record has a file as parent',
  },
  {
    file: 'src/sync/plan.ts',
    what: 'if true',
    inside: '#emitPark',
    line: 'if (path === undefined) return false',
    why: 'only what has a path is parked',
  },
  {
    file: 'src/sync/publisher.ts',
    what: 'if true',
    line: 'if (row === undefined || row.kind !== found.observed.kind) return this.#askAgain(found.parent, 0)',
    why: 'nothing in a run removes the row of what stands, and rows keep their kind',
  },
  {
    file: 'src/sync/publisher.ts',
    what: '|| 1',
    line: 'if (row === undefined || row.kind !== found.observed.kind) return this.#askAgain(found.parent, 0)',
    why: 'nothing in a run removes the row of what stands',
  },
  {
    file: 'src/crdt/settle.ts',
    what: '|| 1',
    line: 'if (node === undefined || slot.parent === null || gone.has(slot.id) || !view.shows(slot.id)) continue',
    why: 'directories keep their records',
  },
  {
    file: 'src/crdt/settle.ts',
    what: '|| 2',
    line: 'if (node === undefined || slot.parent === null || gone.has(slot.id) || !view.shows(slot.id)) continue',
    why: 'what waits for nothing can always go to the root',
  },
  {
    file: 'src/crdt/projection.ts',
    what: '|| 2',
    line: 'if (above === undefined || above.birth === null || above === slot) return false',
    why: 'set before for all directories with records; they keep those',
  },
  {
    file: 'src/sync/plan.ts',
    what: '?? last',
    line: "const depths = new Map(doomed.map(row => [row.id, this.#shadow.path(row.id)?.split('/').length ?? 0]))",
    why: PARKED_NEARLY_NEVER,
    rare: true,
  },
  {
    file: 'src/sync/plan.ts',
    what: 'if true',
    inside: '#emitTouch',
    line: 'if (path === undefined) return this.#wait(entry)',
    why: PARKED,
  },
  {
    file: 'src/sync/plan.ts',
    what: 'if true',
    inside: '#emitPut',
    line: "if (path === undefined || (entry.kind !== 'file' && entry.kind !== 'symlink')) return this.#wait(entry)",
    why: PARKED,
  },
  {
    file: 'src/sync/plan.ts',
    what: '|| 1',
    inside: '#emitPut',
    line: "if (path === undefined || (entry.kind !== 'file' && entry.kind !== 'symlink')) return this.#wait(entry)",
    why: PARKED,
  },
  {
    file: 'src/sync/plan.ts',
    what: 'if true',
    inside: '#emitRemoval',
    line: 'if (path === undefined) return false',
    why: PARKED_NEARLY_NEVER,
    rare: true,
  },
  {
    file: 'src/sync/publisher.ts',
    what: '|| 1',
    inside: '#homeOf',
    line: "if (at === undefined || at.id === ROOT_ROW) return ''",
    why: "a row's directory has a row",
  },
  {
    file: 'src/sync/local-changes.ts',
    what: '&& 1',
    line: 'if (directory && this.#rows.path(directory.id) !== listing.path) this.#need(path, false)',
    why: 'what is as its row says is in a directory that has a row',
  },
]
