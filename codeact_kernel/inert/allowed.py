"""Owns the lists of what HTML, SVG and inline styles may have. What is not on them is left out."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FORMATTING = _words("b big code em font i s small strike strong tt u")
"""Elements that a parser opens anew in each paragraph when they are not closed."""
BLOCKS = _words(
    "article blockquote center details div dl figcaption figure footer h1 h2 h3 h4 h5 h6 header hr ol "
    "p pre section summary table ul"
)
"""Elements that end a paragraph."""
VOID = _words("br col hr img source")
"""Elements without an end."""
TAGS = (
    FORMATTING
    | BLOCKS
    | VOID
    | _words(
        "abbr audio bdi caption cite colgroup dd del dfn dt ins kbd li mark meter progress q rp rt "
        "ruby samp span sub sup tbody td tfoot th thead time tr var video"
    )
)
"""Elements that only show. Links go, their text stays: an address can carry away what the sandbox knows."""
RAW = _words(
    "iframe noembed noframes noscript object plaintext script select style svg template textarea title xmp"
)
"""Elements whose content is not HTML, or is not shown: they go with it."""
PROPERTIES = _words(
    "background background-color border border-bottom border-bottom-color border-bottom-style "
    "border-bottom-width border-collapse border-color border-left border-left-color border-left-style "
    "border-left-width border-radius border-right border-right-color border-right-style "
    "border-right-width border-spacing border-style border-top border-top-color border-top-style "
    "border-top-width border-width caption-side color direction display empty-cells flex-direction "
    "flex-wrap font font-family font-size font-style font-variant font-weight gap height "
    "letter-spacing line-height list-style-type margin margin-bottom margin-left margin-right "
    "margin-top max-height max-width min-height min-width opacity overflow overflow-wrap overflow-x "
    "overflow-y padding padding-bottom padding-left padding-right padding-top table-layout text-align "
    "text-decoration text-indent text-overflow text-shadow text-transform vertical-align white-space "
    "width word-break word-wrap"
)
"""Of inline styles and of the style sheets of tables."""
DRAWING = _words(
    "circle clipPath defs desc ellipse g image line linearGradient marker mask path pattern polygon "
    "polyline radialGradient rect stop svg switch symbol text textPath title tspan use"
)
"""Elements of SVG."""
DRAWN = _words(
    "alignment-baseline baseline-shift clip-path clip-rule clipPathUnits color cx cy d display "
    "dominant-baseline dx dy fill fill-opacity fill-rule font-family font-size font-stretch "
    "font-style font-variant font-weight fx fy gradientTransform gradientUnits height id lengthAdjust "
    "letter-spacing marker-end marker-mid marker-start markerHeight markerUnits markerWidth mask "
    "maskContentUnits maskUnits offset opacity orient overflow paint-order pathLength "
    "patternContentUnits patternTransform patternUnits points preserveAspectRatio r refX refY rotate "
    "rx ry shape-rendering spreadMethod startOffset stop-color stop-opacity stroke stroke-dasharray "
    "stroke-dashoffset stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity stroke-width "
    "style text-anchor text-decoration text-rendering textLength transform transform-origin "
    "vector-effect version viewBox visibility width word-spacing writing-mode x x1 x2 y y1 y2"
)
"""Attributes of SVG."""
