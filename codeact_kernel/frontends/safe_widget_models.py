"""Owns the list of the widgets that may be shown: ipywidgets 8's own, and what may stand in their state.

Not on it: models of other packages (they bring script), FileUpload and Controller (they read from the
user's machine). Each has one view: a Text shown by the view of an HTML would be HTML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

BASE, CONTROLS, OUTPUT = "@jupyter-widgets/base", "@jupyter-widgets/controls", "@jupyter-widgets/output"
VERSIONS = {BASE: "2.0.0", CONTROLS: "2.0.0", OUTPUT: "1.0.0"}

_DOM = "layout:model tabbable:bool tooltip:text _dom_classes:nothing"
_DISABLED = "disabled:bool"
_LABELLED = f"{_DOM} description:text description_allow_html:never style:model {_DISABLED}"
_NUMBER = f"{_LABELLED} value:number min:number max:number step:number continuous_update:bool"
_SLIDER = f"{_NUMBER} base:number orientation:word behavior:word readout:bool readout_format:format"
_PROGRESS = f"{_LABELLED} value:number min:number max:number orientation:word bar_style:word"
_OPTIONS = f"{_LABELLED} _options_labels:texts index:number rows:number orientation:word"
_CHOICE = f"{_OPTIONS} continuous_update:bool readout:bool behavior:word"
_BOX = f"{_DOM} box_style:word children:models titles:texts selected_index:number"
_TEXT = f"{_LABELLED} value:text placeholder:text continuous_update:bool"
_HTML = f"{_LABELLED} value:html placeholder:text"
_MOMENT = f"{_LABELLED} value:moment min:moment max:moment step:moment"
_MEDIA = f"{_DOM} value:bytes format:media width:size height:size controls:bool loop:bool autoplay:never"
_TAGS = f"{_LABELLED} allow_duplicates:bool placeholder:text tag_style:word"
_FONT = "font_family:css font_size:css font_style:css font_variant:css font_weight:css text_color:css"
_STYLE = f"description_width:css background:css text_decoration:css {_FONT}"

_CONTROLS = {
    "Checkbox": f"{_LABELLED} value:bool indent:bool",
    "ToggleButton": f"{_LABELLED} value:bool icon:icon button_style:word",
    "Valid": f"{_LABELLED} value:bool readout:text",
    "Button": f"{_LABELLED} icon:icon button_style:word",
    **dict.fromkeys(("Box", "VBox", "HBox", "GridBox", "Accordion", "Tab", "Stack"), _BOX),
    **dict.fromkeys(("IntText", "FloatText", "BoundedIntText", "BoundedFloatText"), _NUMBER),
    **dict.fromkeys(("IntSlider", "FloatSlider", "FloatLogSlider"), _SLIDER),
    **dict.fromkeys(("IntRangeSlider", "FloatRangeSlider"), _SLIDER.replace("value:number", "value:numbers")),
    **dict.fromkeys(("IntProgress", "FloatProgress"), _PROGRESS),
    "Play": f"{_NUMBER} interval:number playing:bool repeat:bool show_repeat:bool",
    "ColorPicker": f"{_LABELLED} value:css concise:bool",
    **dict.fromkeys(("DatePicker", "Datetime", "NaiveDatetime", "Time"), _MOMENT),
    "ToggleButtons": f"{_OPTIONS} button_style:word icons:icons tooltips:texts",
    **dict.fromkeys(("Dropdown", "RadioButtons", "Select"), _OPTIONS),
    "SelectMultiple": _OPTIONS.replace("index:number", "index:numbers"),
    "SelectionSlider": _CHOICE,
    "SelectionRangeSlider": _CHOICE.replace("index:number", "index:numbers"),
    **dict.fromkeys(("HTML", "HTMLMath"), _HTML),
    "Label": f"{_LABELLED} value:text placeholder:text",
    "Text": _TEXT,
    "Textarea": f"{_TEXT} rows:number",
    "Password": _TEXT,
    "Combobox": f"{_TEXT} options:texts ensure_option:bool",
    **dict.fromkeys(("Link", "DirectionalLink"), "source:end target:end"),
    **dict.fromkeys(("Image", "Video", "Audio"), _MEDIA),
    "TagsInput": f"{_TAGS} value:texts allowed_tags:texts",
    "ColorsInput": f"{_TAGS} value:colours allowed_tags:colours",
    **dict.fromkeys(
        ("FloatsInput", "IntsInput"),
        f"{_TAGS} value:numbers allowed_tags:numbers min:number max:number format:format",
    ),
}
_STYLES = "Description Checkbox ToggleButton Button Slider Progress ToggleButtons Label Text HTML HTMLMath"
_OTHER_VIEWS = {
    "BoundedIntText": "IntText",
    "BoundedFloatText": "FloatText",
    "IntProgress": "Progress",
    "FloatProgress": "Progress",
    "NaiveDatetime": "Datetime",
}
_LAYOUT = (
    "align_content align_items align_self border_bottom border_left border_right border_top display flex "
    "flex_flow grid_area grid_auto_columns grid_auto_flow grid_auto_rows grid_column grid_gap grid_row "
    "grid_template_areas grid_template_columns grid_template_rows height justify_content justify_items "
    "margin max_height max_width min_height min_width object_fit object_position order "
    "overflow padding visibility width"
)


@dataclass(frozen=True)
class Model:
    """One model. `names`: the keys of its state that say which it is. `kinds`: key -> what stands there."""

    names: Mapping[str, str | None]
    kinds: Mapping[str, str] = field(default_factory=dict)


def _model(module: str, name: str, view: str | None, view_module: str, kinds: str) -> tuple[str, Model]:
    names = {
        "_model_module": module,
        "_model_module_version": VERSIONS[module],
        "_model_name": f"{name}Model",
        "_view_module": view_module,
        "_view_module_version": VERSIONS[view_module],
        "_view_name": f"{view}View" if view else None,
    }
    pairs = (pair.partition(":") for pair in f"_view_count:number {kinds}".split())
    return f"{name}Model", Model(names, {key: kind for key, _, kind in pairs})


def _models() -> dict[str, Model]:
    found = [
        _model(BASE, "Layout", "Layout", BASE, " ".join(f"{key}:css" for key in _LAYOUT.split())),
        _model(OUTPUT, "Output", "Output", OUTPUT, f"{_DOM} outputs:outputs msg_id:message"),
    ]
    for name, kinds in _CONTROLS.items():
        view = None if name.endswith("Link") else _OTHER_VIEWS.get(name, name)
        found.append(_model(CONTROLS, name, view, CONTROLS, kinds))
    more = "button_color:css button_width:css handle_color:css bar_color:css"
    for name in _STYLES.split():
        found.append(_model(CONTROLS, f"{name}Style", "Style", BASE, f"{_STYLE} {more}"))
    return dict(found)


MODELS = _models()
