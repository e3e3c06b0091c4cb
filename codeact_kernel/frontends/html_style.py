"""Owns the style sheet of the page: light and dark, no script, no font or picture from outside."""

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1c1e21;--faint:#62676f;--line:#dfe2e6;--soft:#f5f6f8;
--link:#0b5cad;--good:#1a7f37;--bad:#b42318;--wary:#8a5a00;--model:#0072b2;--cell:#e69f00;--tools:#009e73;
--key:#8250df;--str:#0a5c36;--num:#0550ae;--com:#6a737d;--def:#953800}
@media (prefers-color-scheme:dark){:root{--bg:#16181c;--fg:#e3e5e8;--faint:#9aa1aa;--line:#33373e;
--soft:#1e2126;--link:#6cb6ff;--good:#57ab5a;--bad:#f47067;--wary:#d4a72c;--model:#4ea6dc;--cell:#e6b450;
--tools:#3fbf93;--key:#c297ff;--str:#8ddb8c;--num:#6cb6ff;--com:#8b949e;--def:#f69d50}}
*{box-sizing:border-box}
html{scroll-padding-top:1rem}
body{margin:0;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.5rem;line-height:1.3;margin:0 0 1rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:2.5rem 0 .75rem}
h3{font-size:1rem;margin:0 0 .5rem;display:flex;flex-wrap:wrap;gap:.25rem .75rem;align-items:baseline}
a{color:var(--link)}
dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.25rem;margin:0;font-size:.9rem}
dl.facts dt{color:var(--faint)}
dl.facts dd{margin:0;overflow-wrap:anywhere}
.good{color:var(--good)}.bad{color:var(--bad)}.wary{color:var(--wary)}
dd.good,dd.bad{font-weight:600}
.faint,.note,.times{color:var(--faint);font-weight:400;font-size:.85rem}
.note{margin:.35rem 0}
.said{white-space:pre-wrap;overflow-wrap:anywhere;margin:.25rem 0 .75rem}
.task{border-left:3px solid var(--line);padding-left:.9rem}
.answer{border:1px solid var(--good);border-radius:6px;padding:.75rem 1rem;margin:1.5rem 0}
.answer.bad{border-color:var(--bad);color:inherit}
.answer h3,.answer .said{margin:0}
.step{border-top:1px solid var(--line);padding:1.25rem 0 .75rem}
pre{margin:.4rem 0;padding:.6rem .8rem;border-radius:6px;overflow:auto;max-height:32rem;
font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;tab-size:4}
pre.code{background:var(--soft);border:1px solid var(--line);max-height:none}
pre.out{padding:.2rem .8rem;border-left:3px solid var(--line);border-radius:0}
pre.stderr,pre.error{border-left-color:var(--bad)}
pre.stderr{color:var(--bad)}
.label{color:var(--faint);font:12px ui-monospace,Menlo,Consolas,monospace;margin-top:.5rem}
.bundle details{margin:.2rem 0}
summary{cursor:pointer;color:var(--faint);font-size:.85rem}
.picture{display:block;max-width:100%;height:auto;background:#fff;border-radius:4px;margin:.4rem 0}
iframe{display:block;width:100%;border:1px solid var(--line);border-radius:4px;background:#fff;margin:.4rem 0;
color-scheme:light}
ul.calls,ul.files{list-style:none;margin:.4rem 0;padding:0 .8rem;overflow-wrap:anywhere;
font:13px/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
ul.calls li{white-space:pre-wrap}
ul.calls li::before{content:"\\2192  ";color:var(--tools)}
ul.files li::before{content:"wrote ";color:var(--faint)}
.tape{width:100%;border-collapse:collapse;font-size:.85rem}
.tape th{text-align:left;color:var(--faint);font-weight:500}
.tape td,.tape th{border-bottom:1px solid var(--line);padding:.3rem .6rem .3rem 0;vertical-align:top}
.tape td.n{white-space:nowrap;font-variant-numeric:tabular-nums}
.tape td.call{width:70%;max-width:0;overflow-wrap:anywhere}
.tape summary{color:inherit;font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
svg.timeline{display:block;width:100%;height:auto;font-size:13px;margin:1.5rem 0 .5rem}
svg.timeline text{fill:var(--fg)}
svg.timeline a text{fill:var(--link)}
svg.timeline text.faint{fill:var(--faint);font-size:12px}
svg.timeline .grid{stroke:var(--line)}
svg .model{fill:var(--model)}svg .cell{fill:var(--cell)}svg .tools{fill:var(--tools)}
footer{margin-top:3rem;border-top:1px solid var(--line);padding-top:.75rem}
.k,.kc,.kd,.kn,.kr,.kt,.ow{color:var(--key)}
.s,.s1,.s2,.sa,.sb,.sd,.se,.sh,.sr,.ss{color:var(--str)}
.si{color:var(--def)}
.c,.c1,.ch,.cm{color:var(--com);font-style:italic}
.mi,.mf,.mh,.mb,.mo,.il{color:var(--num)}
.nf,.nc,.nd,.fm{color:var(--def)}
.nb,.bp{color:var(--num)}
@media print{pre{max-height:none;white-space:pre-wrap}.step{break-inside:avoid-page}}
"""
