// `npm run build`: `src/` as a few files in `dist/`, with the packages that it uses in them: to load 900 modules one by one took more
// than half of a start. It checks no types, `npm run check` does.
import { readdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const ROOT = fileURLToPath(new URL('./', import.meta.url))
const MAIN = 'cli/main.ts'
const WORKER = /-worker\.ts$/

/** Left where they are, as they load files of their own by name: the one its worker, the other a library for this machine. */
const NOT_BUNDLED = ['piscina', 'level']

/** What is loaded by its name, at a start or later. */
const entries = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter(
  file => file === MAIN || WORKER.test(file),
)

rmSync(join(ROOT, 'dist'), { recursive: true, force: true })
await build({
  absWorkingDir: ROOT,
  // All in one folder, as deep as the modules of the source: from whichever file, a worker is beside it and package.json two above.
  entryPoints: entries.map(file => ({ in: join('src', file), out: basename(file, '.ts') })),
  outdir: 'dist/cli',
  bundle: true,
  splitting: true,
  external: NOT_BUNDLED,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // CommonJS packages ask for what is built into Node.
  banner: {
    js: "import { createRequire as requireOfBundle } from 'node:module'\nconst require = requireOfBundle(import.meta.url)",
  },
  sourcemap: true,
  legalComments: 'none',
  logLevel: 'warning',
})
