/** Style of the report page: no fonts, no images, light and dark as the reader's system says. */
import { MAP_STEPS } from './map-svg.ts'

type Stop = readonly [lightness: number, chroma: number, hue: number]

/** The same three stops as the maps of the window. */
const RAMPS: Readonly<Record<'light' | 'dark', readonly [Stop, Stop, Stop]>> = {
  light: [
    [0.88, 0.055, 170],
    [0.6, 0.1, 215],
    [0.26, 0.09, 285],
  ],
  dark: [
    [0.3, 0.085, 285],
    [0.62, 0.105, 215],
    [0.96, 0.085, 150],
  ],
}

function ramp(theme: 'light' | 'dark'): string {
  const [low, middle, high] = RAMPS[theme]
  return Array.from({ length: MAP_STEPS }, (_, step) => {
    const place = step / (MAP_STEPS - 1)
    const [from, to, share] = place < 0.5 ? [low, middle, place * 2] : [middle, high, place * 2 - 1]
    const [lightness = 0, chroma = 0, hue = 0] = from.map(
      (value, part) => value + ((to[part] ?? 0) - value) * share,
    )
    return `--s${String(step)}:oklch(${lightness.toFixed(3)} ${chroma.toFixed(3)} ${hue.toFixed(0)})`
  }).join(';')
}

const STEP_RULES = Array.from(
  { length: MAP_STEPS },
  (_, step) => `.s${String(step)}{stroke:var(--s${String(step)})}`,
).join('')

export const PAGE_STYLE = `
:root{color-scheme:light dark;--bg:#eef0ef;--surface:#fafbfa;--line:#d5dad7;--text:#141b19;--muted:#56625e;--accent:#0a655f;
--good:#1a6539;--good-soft:#dcefe2;--warn:#7a4d00;--warn-soft:#f7e9cb;--bad:#a5211a;--bad-soft:#f8dfdc;--zero:#d84c0a;--none:#e2e6e4;${ramp('light')}}
@media (prefers-color-scheme:dark){:root{--bg:#0d1112;--surface:#141a1b;--line:#273132;--text:#e7edeb;--muted:#8f9d9a;--accent:#58cdc0;
--good:#74d39a;--good-soft:#12301f;--warn:#e6b65c;--warn-soft:#30260f;--bad:#ff8f82;--bad-soft:#3a1a17;--zero:#ff7c3a;--none:#20292b;${ramp('dark')}}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:14px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:22px;margin:0;overflow-wrap:anywhere}
h2{font-size:15px;margin:0 0 8px}
p{margin:0 0 8px}
section{margin-top:14px;padding:14px 16px 16px;background:var(--surface);border:1px solid var(--line);border-radius:4px}
.lead{color:var(--muted);margin:2px 0 12px}
.verdict{padding:8px 12px;border-radius:4px;font-weight:600}
.good{background:var(--good-soft);color:var(--good)}.warn{background:var(--warn-soft);color:var(--warn)}.bad{background:var(--bad-soft);color:var(--bad)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px 18px;margin:0}
dt{color:var(--muted);font-size:12px}dd{margin:0;font-size:16px;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}
th{font-weight:500;color:var(--muted);font-size:12px;text-align:left}
td,th{padding:3px 12px 3px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
.n{text-align:right;white-space:nowrap}
code,pre{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12.5px}
pre{margin:0;padding:8px 10px;background:var(--bg);border-radius:4px;white-space:pre-wrap;overflow-wrap:anywhere}
.muted{color:var(--muted)}
.scroll{max-height:340px;overflow:auto}
svg{display:block;width:100%}
.map{background:var(--none);border-radius:2px}
.bar{fill:var(--accent)}.rest{fill:var(--line)}
.axis{display:flex;justify-content:space-between;color:var(--muted);font-size:12px;margin-top:4px}
.legend{display:flex;align-items:center;gap:8px;color:var(--muted);font-size:12px;margin-top:6px}
.legend svg{width:160px;flex:none}
.key{display:inline-block;width:12px;height:12px;border-radius:2px}.key.z{background:var(--zero)}.key.u{background:var(--none);border:1px solid var(--line)}
.z{stroke:var(--zero)}${STEP_RULES}
@media print{body{background:none}section{break-inside:avoid}}
`
