// typescript-eslint for the two rules that Biome has no equal of; all else is Biome's.
import tseslint from 'typescript-eslint'

export default tseslint.config({
  files: ['build.ts', 'src/**/*.ts', 'test/**/*.ts'],
  plugins: { '@typescript-eslint': tseslint.plugin },
  languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true } },
  linterOptions: { reportUnusedDisableDirectives: 'off' },
  rules: {
    '@typescript-eslint/no-floating-promises': 'error',
    '@typescript-eslint/no-misused-promises': 'error',
    'no-restricted-properties': [
      'error',
      { object: 'AbortSignal', property: 'timeout', message: 'See core/timeout.ts.' },
    ],
  },
})
