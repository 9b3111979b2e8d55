/** Rows beyond the checklist: grants, output, processes, the browser server, hostile files. */
import { of } from './mutation.mjs'

export const BEYOND = [
  ...of('main/security/path-grants.ts', 'security/path-grants.test.ts', [
    [
      'path grants',
      'one purpose each',
      'if (stored?.grant.purpose !== purpose)',
      'if (stored === undefined)',
    ],
    [
      'path grants',
      'real paths',
      'const realPath = await realpath(path).catch(() => undefined)',
      'const realPath: string | undefined = path',
    ],
    ['path grants', 'checked again at use', 'if (now !== stored.realPath) {', 'if (now === undefined) {'],
    ['path grants', 'ids cannot be guessed', 'randomBytes(24)', 'randomBytes(2)'],
  ]),
  ...of('main/preload/index.ts', 'security/preload.test.ts', [
    ['dropped files', 'trusted drops only', '!event.isTrusted || ', ''],
  ]),
  ...of('main/app/dropped-paths.ts', 'unit/main/app/desktop-input.test.ts', [
    ['dropped files', 'bounded', '.slice(0, MAX_PATHS)', ''],
  ]),
  ...of('main/ipc/output-path.ts', 'security/path-grants.test.ts', [
    [
      'output',
      'never inside the source',
      'if (isInside(parent, choice.checkpointPath)) {',
      'if (isInside(parent, choice.checkpointPath) && parent.length === 0) {',
    ],
  ]),
  ...of('main/host/jobs/output-folder.ts', 'unit/main/host/output-folder.test.ts', [
    [
      'output',
      'the host refuses it as well',
      'if (isInside(output, source)) {',
      'if (isInside(output, source) && source.length === 0) {',
    ],
    ['output', 'nothing is followed or replaced', ' | constants.O_EXCL, 0o644)', ', 0o644)'],
  ]),
  ...of('shared/contract/schemas.ts', 'security/requests.test.ts', [
    ['output', 'the name is one segment', '/^[A-Za-z0-9_][A-Za-z0-9._+ -]{0,199}$/', '/^[^/]{1,200}$/'],
  ]),
  ...of('main/user-data/library.ts', 'unit/main/user-data/library.test.ts', [
    ['settings', 'a link that replaced a folder counts as missing', 'return real === path && ', 'return '],
  ]),
  ...of('main/ipc/router.ts', 'security/requests.test.ts', [
    ['errors', 'replies carry no stack', 'withoutStack(error.serialise())', 'error.serialise()'],
  ]),
  ...of('main/ipc/without-stack.ts', 'unit/main/ipc/handlers.test.ts', [
    [
      'errors',
      'snapshots carry no stack',
      'error: errorWithoutStack(snapshot.state.error)',
      'error: (errorWithoutStack, snapshot.state.error)',
    ],
  ]),
  ...of('main/app/host-process.ts', 'security/wiring.test.ts', [
    [
      'host process',
      'a fixed environment',
      'hostEnvironment(process.env)',
      '{ ...hostEnvironment({}), ...process.env } as Record<string, string>',
    ],
  ]),
  ...of('main/host/host-environment.ts', 'security/wiring.test.ts', [
    ['host process', 'no loader is handed on', "  'DISPLAY',\n", "  'DISPLAY',\n  'LD_PRELOAD',\n"],
  ]),
  ...of('main/host/client.ts', 'unit/main/host/client.test.ts', [
    [
      'host process',
      'no endless restarts',
      'if (this.#crashes >= MAX_CRASHES) {',
      'if (this.#crashes >= MAX_CRASHES * 1000) {',
    ],
    [
      'host process',
      'its death fails its jobs',
      "for (const snapshot of this.#jobs.fail(error)) this.#options.emit('job.snapshot', snapshot)",
      '',
    ],
  ]),
  ...of('renderer/src/ui/ErrorCard.vue', 'security/source-rules.test.ts', [
    ['rendering', 'text only', '<p>{{ sentences.problem }}</p>', '<p v-html="sentences.problem" />'],
  ]),
  ...of('main/index.ts', 'security/entry.test.ts', [
    [
      'one instance',
      'the lock',
      'if (app.requestSingleInstanceLock()) {',
      'if (app.requestSingleInstanceLock() || true) {',
    ],
  ]),
  ...of('main/app/lifecycle.ts', 'security/wiring.test.ts', [
    [
      'one instance',
      'the first window comes to the front',
      "app.on('second-instance', () => {\n      void context.windows.open()",
      "app.on('second-instance', () => {\n      void context",
    ],
  ]),
  ...of('main/app/log-sink.ts', 'unit/main/app/log-sink.test.ts', [
    ['log', 'it rotates', 'this.#rotate()\n      append', 'void 0\n      append'],
    ['log', 'the home folder is shortened', "message.replaceAll(homeFolder, '~')", 'message'],
  ]),
  ...of('main/serve/session-gate.ts', 'security/server.test.ts', [
    [
      'server 1',
      'Host is ours',
      'if (!this.#isOwnHost(request.headers.host)) return',
      'if (request.headers.host === undefined) return',
    ],
    ['server 1', 'Origin is ours', "return headers.origin === `http://${headers.host ?? ''}`", 'return true'],
    ['server 1', 'a POST has an Origin', "return method === 'GET'", 'return method.length > 0'],
    [
      'server 1',
      'fetch metadata',
      "if (isApi && site !== undefined && site !== 'same-origin' && site !== 'none') return false",
      'void [isApi, site]',
    ],
    ['server 2', 'the token is void after use', '    this.#token = undefined\n', ''],
    ['server 2', 'the token must be right', ' || !isSameSecret(token, this.#token)', ''],
    ['server 2', '256 random bits', 'const SECRET_BYTES = 32', 'const SECRET_BYTES = 8'],
    [
      'server 2',
      'another secret in the cookie',
      'readonly #session = newSecret()\n  #token: string | undefined = newSecret()',
      'readonly #session = newSecret()\n  #token: string | undefined = this.#session',
    ],
    ['server 2', 'HttpOnly, SameSite', '; HttpOnly; SameSite=Strict', ''],
    [
      'server 2',
      'the cookie must be right',
      'part.startsWith(prefix) && isSameSecret(part.slice(prefix.length), this.#session)',
      'part.startsWith(prefix)',
    ],
  ]),
  ...of('main/serve/start-server.ts', 'security/server.test.ts', [
    ['server 1', 'loopback only', "server.listen(port, '127.0.0.1'", "server.listen(port, '0.0.0.0'"],
    [
      'server 2',
      'no body is read before',
      "  if (verdict.kind === 'refused') {\n",
      "  if (verdict.kind === 'refused') {\n    await readJsonBody(request)\n",
    ],
    [
      'server 3',
      'the same router',
      'await router.handle(value.route, value.input)',
      "await router.handle('job.list', {})",
    ],
  ]),
  ...of('main/serve/request-body.ts', 'security/server.test.ts', [
    ['server 3', 'JSON only', "if (contentType !== 'application/json')", 'if (contentType === undefined)'],
    ['server 3', 'a body is bounded', 'if (sizeBytes <= MAX_BODY_BYTES) return', 'if (sizeBytes > 0) return'],
  ]),
  ...of('main/serve/folder-list.ts', 'security/folder-list.test.ts', [
    ['server 4', 'hidden files are left out', "!name.startsWith('.')", "name !== ''"],
    [
      'server 4',
      'links do not lead out',
      'if (real === undefined || !isBelow(real, roots)) return undefined',
      'if (real === undefined) return undefined',
    ],
    [
      'server 4',
      'ids are random',
      "`e_${randomBytes(16).toString('base64url')}`",
      '`e_${String(randomBytes(16).length && this.#pathById.size)}`',
    ],
    ['server 4', 'checked again at use', 'real === undefined || real !== path || ', 'real === undefined || '],
  ]),
  ...of('main/serve/event-streams.ts', 'unit/main/serve/event-streams.test.ts', [
    ['server 5', 'at most 16 streams', 'if (this.#streams.size >= MAX_STREAMS) return false', ''],
    [
      'server 5',
      'a slow reader holds one snapshot',
      'key !== undefined && this.#response.writableNeedDrain',
      'key === ""',
    ],
  ]),
  ...of('main/engine/io/node/checkpoint-folder.ts', 'unit/main/engine/io/node/checkpoint-folder.test.ts', [
    ['hostile files', 'names are one segment', ' || /[/\\\\\\u0000]/.test(name))', ')'],
    ['hostile files', 'links stay inside', 'if (isInside(path, folder) ||', 'if (path !== folder ||'],
    [
      'hostile files',
      'pipes and devices are not opened',
      'constants.O_RDONLY | constants.O_NONBLOCK',
      'constants.O_RDONLY',
    ],
  ]),
  ...of(
    'main/engine/tokenizer/bounded-interpreter.ts',
    'unit/main/engine/tokenizer/checkpoint-tokenizer.test.ts',
    [
      [
        'hostile files',
        'templates have a budget of characters',
        'value.length > MAX_CHARACTERS',
        'value.length > Infinity',
      ],
    ],
  ),
  ...of('main/engine/tokenizer/pattern-cost.ts', 'unit/main/engine/tokenizer/checkpoint-tokenizer.test.ts', [
    ['hostile files', 'patterns of a tokenizer are bounded', 'if (inner && isRepeated) return true', ''],
  ]),
  ...of('main/engine/verify/safe-pattern.ts', 'unit/main/engine/verify/safe-pattern.test.ts', [
    [
      'hostile files',
      'patterns of exclude lists are bounded',
      'if (steps.length > MAX_STEPS) throw new PatternError()',
      '',
    ],
  ]),
  ...of(
    'main/engine/formats/safetensors/parse-header.ts',
    'unit/main/engine/formats/safetensors/parse-header.test.ts',
    [
      [
        'hostile files',
        'headers have a largest size',
        'if (length > BigInt(MAX_HEADER_BYTES)) {',
        'if (length < 0n) {',
      ],
      [
        'hostile files',
        'no tensor begins inside another',
        'if (beginBytes !== position) {',
        'if (beginBytes < 0) {',
      ],
      [
        'hostile files',
        'nothing lies behind the tensors',
        'if (position !== dataBytes) {',
        'if (endBytes < 0) {',
      ],
      [
        'hostile files',
        'bytes agree with dtype and shape',
        'if (endBytes - beginBytes !== expectedBytes) {',
        'if (endBytes < 0) {',
      ],
      [
        'hostile files',
        'shapes have a safe product',
        'if (!hasSafeCount(shape)) {',
        'if (!hasSafeCount([])) {',
      ],
    ],
  ),
  ...of(
    'main/engine/formats/safetensors/parse-index.ts',
    'unit/main/engine/formats/safetensors/parse-index.test.ts',
    [
      [
        'hostile files',
        'shards are plain names',
        'if (!PLAIN_NAME.test(shard)) {',
        'if (shard.length > 1e6) {',
      ],
    ],
  ),
  ...of(
    'main/engine/formats/hf-config/lossless-json.ts',
    'unit/main/engine/formats/hf-config/lossless-json.test.ts',
    [['hostile files', 'nesting is bounded', 'if (depth > MAX_DEPTH) return', 'if (depth < 0) return']],
  ),
  ...of('scripts/setup.mjs', 'security/package.test.ts', [
    ['supply chain', 'install scripts are off', "'--ignore-scripts'", "'--no-audit'"],
  ]),
]
