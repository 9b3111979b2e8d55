/** Who may import whom. test/architecture plants violations and sees them caught. */

/** Folders of the engine that may use Node; everything else in it runs anywhere. */
const NODE_SIDE_OF_ENGINE = '^main/engine/(io/node|device|kernels)/'
const ELECTRON = '^electron$|node_modules/electron/'
const NODE_CORE = { dependencyTypes: ['core'] }

const rule = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to })

module.exports = {
  forbidden: [
    rule('no-cycles', 'A cycle has no order in which it can be understood.', {}, { circular: true }),
    rule('no-unresolvable', 'The import leads nowhere.', {}, { couldNotResolve: true, pathNot: '\\?raw$' }),
    rule(
      'no-dev-dependency-in-product',
      'Development tools are not shipped.',
      { path: '^(main|shared|renderer/src)/' },
      { dependencyTypes: ['npm-dev'], pathNot: 'node_modules/electron/', dependencyTypesNot: ['type-only'] },
    ),

    rule(
      'errors-stand-alone',
      'shared/errors imports nothing.',
      { path: '^shared/errors/' },
      { pathNot: '^shared/errors/' },
    ),
    rule(
      'domain-below-contract',
      'shared/domain knows shared/errors and itself only.',
      { path: '^shared/domain/' },
      { pathNot: '^shared/(domain|errors)/' },
    ),
    rule(
      'contract-is-data',
      'shared/contract knows domain, errors and zod/mini only.',
      { path: '^shared/contract/' },
      { pathNot: '^(shared/|node_modules/zod/)' },
    ),

    rule(
      'engine-without-electron',
      'The engine runs without Electron.',
      { path: '^main/engine/' },
      { path: ELECTRON },
    ),
    rule(
      'engine-without-node',
      'Only io/node, device and kernels of the engine use Node.',
      { path: '^main/engine/', pathNot: NODE_SIDE_OF_ENGINE },
      NODE_CORE,
    ),
    rule(
      'engine-imports-engine',
      'The engine imports itself and shared/{domain,errors}, never the processes around it; the messages that tasks arrive in are data.',
      { path: '^main/engine/' },
      { path: '^(main/(?!engine/|workers/[^/]+-protocol\\.ts$)|renderer/|shared/contract/|test/)' },
    ),
    rule(
      'tensor-is-lowest',
      'tensor/ imports tensor/ only.',
      { path: '^main/engine/tensor/' },
      { path: '^main/engine/(?!tensor/)' },
    ),
    rule(
      'quant-below-models',
      'Formats know numbers, not models or pipelines.',
      { path: '^main/engine/quant/' },
      { path: '^main/engine/(models|calibration|pipeline|export|checkpoint|device|io/node)/' },
    ),
    rule(
      'models-below-pipeline',
      'Families know nothing of plans and exports.',
      { path: '^main/engine/models/' },
      { path: '^main/engine/(pipeline|export|device|io/node)/' },
    ),
    rule(
      'one-owner-of-onnxruntime',
      'ONNX Runtime is used by the device worker only: a second thread with a session ends the process.',
      { path: '^(main|renderer|shared)/', pathNot: '^main/engine/device/' },
      { path: 'onnxruntime-node' },
    ),

    rule(
      'host-without-electron',
      'The host also runs as plain Node.',
      {
        path: '^main/(host|workers|cli|serve|ipc|security|user-data)/',
        pathNot: '^main/(host/(client|entry)|security/[^/]+)\\.ts$',
      },
      { path: ELECTRON },
    ),
    rule(
      'window-side-without-engine',
      'Electron main, security and router talk to the host, never to the engine.',
      { path: '^main/(app|security|ipc|preload)/' },
      { path: '^main/engine/' },
    ),
    rule(
      'user-data-below-requests',
      'What is kept between starts knows grants and shared data, not who asks.',
      { path: '^main/user-data/' },
      { path: '^main/(?!user-data/|security/)' },
    ),
    rule(
      'preload-is-thin',
      'The preload script knows Electron and channel names.',
      { path: '^main/preload/' },
      {
        pathNot: `${ELECTRON}|^shared/|^main/(preload/|ipc/channels)`,
      },
    ),

    rule(
      'renderer-without-main',
      'The renderer imports shared only.',
      { path: '^renderer/' },
      { path: `^main/|${ELECTRON}` },
    ),
    rule('renderer-without-node', 'The renderer has no Node.', { path: '^renderer/src/' }, NODE_CORE),
    rule(
      'renderer-types-of-contract',
      'The contract reaches the renderer as types; its schemas stay on the other side.',
      { path: '^renderer/src/' },
      { path: '^shared/contract/', dependencyTypesNot: ['type-only'] },
    ),
    rule(
      'features-apart',
      'Features share downwards or are composed in app, never import each other.',
      { path: '^renderer/src/features/([^/]+)/' },
      { path: '^renderer/src/features/', pathNot: '^renderer/src/features/$1/' },
    ),
    rule(
      'product-without-tests',
      'Product code does not import tests.',
      { path: '^(main|renderer|shared)/' },
      { path: '^test/' },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(out|dist|test/output|main/engine/kernels/wasm/assembly)/' },
    tsPreCompilationDeps: 'specify',
    tsConfig: { fileName: 'tsconfig.node.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.vue', '.js', '.json', '.d.ts'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
    },
  },
}
