// The schemas that a database went through, oldest first. A step brings one database from `schema − 1` to `schema`; it may be cut off at
// any point and run again. The marker is raised before the first step, so that older code refuses what is half done.
import { Reader, Writer } from './codec.ts'
import type { Engine } from './engine.ts'
import { Table } from './tables.ts'

interface Migration {
  readonly schema: number
  readonly step: (engine: Engine) => Promise<void>
}

const MIGRATIONS: readonly Migration[] = [
  // The first one: nothing came before.
  { schema: 1, step: async () => {} },
  // A folder's meta says whether it rejoins. What was written before is read as it is.
  { schema: 2, step: async () => {} },
  // Journal entries can be undone. What was noted before stays, and is not read: the past begins here.
  { schema: 3, step: async () => {} },
]

export const SCHEMA = Math.max(...MIGRATIONS.map(migration => migration.schema))

const SCHEMA_KEY = 'schema'

/** Null where the database does not say: its creation was never finished. */
export async function storedSchema(engine: Engine): Promise<number | null> {
  const stored = await new Table(engine, 'home').find(SCHEMA_KEY)
  if (stored === undefined) return null
  return new Reader(stored.payload, () => 'home schema').count()
}

/** Brings a database to the schema of this code; from 0 it is a new one. */
export async function migrate(engine: Engine, from: number): Promise<void> {
  for (const { schema, step } of MIGRATIONS) {
    if (schema <= from) continue
    await step(engine)
    await engine.exclusive(() =>
      engine.commit(batch => {
        const out = new Writer(16)
        out.number(schema)
        return new Table(engine, 'home').put(batch, SCHEMA_KEY, out.take())
      }),
    )
  }
}
