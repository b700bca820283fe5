"""How the page looks: on wide and narrow screens, light and dark, and on paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #fff; --faint: #59636e; --line: #d1d9e0;
  --soft: #f6f8fa; --bar: #0969da; --band: #0969da40; --good: #1a7f37; --bad: #bc4c00; --heat: 9 105 218 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --faint: #9198a1;
  --line: #3d444d; --soft: #151b23; --bar: #4493f8; --band: #4493f855; --good: #3fb950; --bad: #db6d28;
  --heat: 68 147 248 } }
* { box-sizing: border-box }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere }
h2 { margin: 0 0 .5rem; font-size: 1.2rem }
h3 { margin: 1.5rem 0 .5rem; font-size: 1rem }
section { margin-top: 2.75rem }
p { margin: .5rem 0; max-width: 46rem }
a { color: var(--bar) }
:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px }
.faint, figcaption { color: var(--faint) }
.lead { margin: 1.25rem 0 .25rem; font-size: 1.15rem }
.lead b { font-size: 2.4rem; line-height: 1.1; font-weight: 650; font-variant-numeric: tabular-nums }
.verdict { padding: .5rem .8rem; border-left: 4px solid var(--line); background: var(--soft) }
.verdict.good { border-color: var(--good) }
.verdict.bad { border-color: var(--bad) }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin-top: 1.25rem }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .15rem 1rem; margin: 1.25rem 0 0 }
dt { color: var(--faint) }
dd { margin: 0; overflow-wrap: anywhere }
code { overflow-wrap: anywhere }
code, pre { font: .88em/1.5 ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace }
pre { padding: .7rem .9rem; background: var(--soft); border: 1px solid var(--line); border-radius: 6px;
  white-space: pre-wrap; overflow-wrap: anywhere }
div.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; font-weight: 400 }
thead th { color: var(--faint); font-weight: 600; vertical-align: bottom }
th:first-child { text-align: left; white-space: normal; min-width: 4.5rem }
tr.strong th, tr.strong td { font-weight: 650 }
tr.dim th, tr.dim td { color: var(--faint) }
figure { margin: 1rem 0 }
figure svg { display: block; width: 100%; height: auto }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); gap: 0 2.5rem }
.strip { display: inline-block; width: 11rem; height: .9rem; vertical-align: middle }
.strip .back { fill: var(--soft) } .strip .band { fill: var(--band) }
.strip line { vector-effect: non-scaling-stroke } .strip .at { stroke: var(--bar); stroke-width: 3 }
.guess { stroke: var(--faint); stroke-width: 1.5; stroke-dasharray: 3 3 }
.usual { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 1 3 }
.key { display: inline-block; width: 1.6rem; height: .6rem; vertical-align: middle; margin-right: .35rem }
svg text { font-size: 12px; fill: var(--faint) } svg .text { fill: var(--ink) }
.grid { stroke: var(--line) } .spread { stroke: var(--bar); stroke-width: 2; opacity: .45 }
.ideal { stroke: var(--faint); stroke-dasharray: 4 4 }
.curve, .said { fill: none; stroke: var(--bar); stroke-width: 2 } .dot, .dot-said { fill: var(--bar) }
.spread-said { stroke: var(--bar); stroke-width: 2; opacity: .45 }
table.confusion { border-collapse: separate; border-spacing: 3px }
table.confusion th, table.confusion td { border: 0; padding: .35rem .5rem; text-align: center; min-width: 3.2rem }
table.confusion th[scope=row] { text-align: right; min-width: 0 }
table.confusion td.heat { border-radius: 5px; background: rgb(var(--heat) / var(--a)); line-height: 1.25 }
table.confusion td.hit { outline: 2px solid var(--ink); outline-offset: -2px }
table.confusion td small { display: block; color: var(--ink); opacity: .8 }
table.confusion td.sum { color: var(--faint) }
details { border-bottom: 1px solid var(--line) }
summary { display: grid; grid-template-columns: 1.1rem 6.2rem minmax(0, 1fr) repeat(var(--runs), 5.4rem) 3.2rem;
  gap: 0 .8rem; padding: .45rem 0; cursor: pointer; list-style: none; font-variant-numeric: tabular-nums }
summary::-webkit-details-marker { display: none }
summary::before { content: "▸"; color: var(--faint) }
details[open] > summary::before { content: "▾" }
summary .ask { overflow: hidden; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2;
  overflow-wrap: anywhere }
details[open] .ask { display: block; white-space: pre-wrap }
.tag { overflow-wrap: anywhere }
.heads { display: grid; grid-template-columns: 1.1rem 6.2rem minmax(0, 1fr) repeat(var(--runs), 5.4rem) 3.2rem;
  gap: 0 .8rem; color: var(--faint); font-weight: 600; border-bottom: 1px solid var(--line) }
.one { --runs: 1 } .two { --runs: 2 }
.tag { color: var(--faint) } .tag.gained { color: var(--good) } .tag.lost { color: var(--bad) }
.name { display: none }
.whole { margin: 0 0 1rem 1.9rem }
.whole p { white-space: pre-wrap; overflow-wrap: anywhere }
.whole table { width: 100% } .whole th, .whole td { white-space: normal; vertical-align: top }
.whole th[scope=row] { overflow-wrap: anywhere } .whole td { width: 7.5rem; white-space: nowrap }
.whole tr.right th { font-weight: 650 } .whole tr.right th::after { content: " ✓"; color: var(--good) }
.share { display: block; height: .3rem; margin-top: .2rem; background: var(--soft) }
.share i { display: block; height: 100%; margin-left: auto; background: var(--bar) }
footer { margin: 3rem 0 2rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--faint) }
footer p { max-width: none }
@media (max-width: 40rem) {
  body { margin: 1.2rem auto }
  .strip { width: 6rem } th, td { padding-right: .55rem }
  .scores thead { display: none }
  .scores tr { display: flex; flex-wrap: wrap; gap: 0 1.2rem; padding: .4rem 0;
    border-bottom: 1px solid var(--line) }
  .scores th, .scores td { padding: 0; border: 0 } .scores th { flex-basis: 100% }
  .scores td:nth-child(5) { flex-basis: 100% } .scores .strip { width: 100% } table.scores { width: 100% }
  dl { grid-template-columns: 1fr } dd { margin-bottom: .4rem }
  .heads { display: none }
  summary { grid-template-columns: 1.1rem repeat(3, auto) 1fr; gap: .1rem .9rem }
  summary .ask { grid-column: 2 / -1; grid-row: 1 } summary .tag { grid-column: 2 / -1 }
  summary > span:nth-of-type(3) { grid-column: 2 }
  .name { display: inline; color: var(--faint) }
  .whole { margin-left: 0 } .whole td { width: 4.5rem }
  table.confusion th, table.confusion td { min-width: 2.6rem; padding: .3rem .3rem }
}
@media print {
  :root { --ink: #000; --paper: #fff; --faint: #444; --line: #bbb; --soft: #f3f3f3; --bar: #0550ae;
    --band: #0969da40; --good: #116329; --bad: #953800; --heat: 9 105 218; color-scheme: light }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact }
  body { margin: 0; max-width: none; font-size: 10.5pt } nav { display: none }
  div.wide { overflow: visible } tr, figure, details { break-inside: avoid } h2, h3 { break-after: avoid }
  details::details-content { content-visibility: visible; block-size: auto }
  summary::before { content: "" !important } summary .ask { display: block; white-space: pre-wrap }
  .strip { width: 9rem }
}
"""
