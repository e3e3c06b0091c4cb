"""Owns what of the sandbox's output may reach a front end, which has the user's credentials.

JupyterLab takes what a kernel sends as trusted: scripts in it run. `inert` says what is left of them; here it
is made of whole outputs, with text that leaves terminals alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from ..exceptions import NotebookError
from ..inert.bundles import inert_bundle, inert_metadata
from ..inert.text import clean, coloured
from ..notebook.outputs import shown_of
from ..outputs import ClearOutput, Display, DisplayUpdate, Error, Finished, MimeBundle, Output, Result, Stream
from ..wire.messages import Json

WIDGET = "application/vnd.jupyter.widget-view+json"
MAX_ID = 500
"""Characters of a display's id."""
View: TypeAlias = Callable[[str], str | None]
"""The id at the front end of a widget's model in the sandbox; None: it is not shown. `WidgetGate.view`."""


def safe_bundle(
    data: MimeBundle, metadata: Mapping[str, Json], view: View | None = None
) -> tuple[MimeBundle, Mapping[str, Json]]:
    """What of a bundle may be shown, with a text/plain in any case. Widgets are shown through `view` only."""
    kept = dict(inert_bundle(data))
    plain = kept.get("text/plain")
    if plain is not None:
        kept["text/plain"] = coloured(plain if isinstance(plain, str) else "".join(_lines(plain)))
    widget = _widget(data.get(WIDGET), view)
    if widget is not None:
        kept[WIDGET] = widget
    kept.setdefault("text/plain", f"[{', '.join(kept) or 'nothing'}]")
    return kept, inert_metadata(kept, metadata)


def safe_output(output: Output, view: View | None = None) -> Output | None:
    """What of an output may be shown; None: nothing."""
    match output:
        case Stream(text=text):
            return replace(output, text=coloured(text))
        case Error(ename, evalue, traceback):
            return Error(clean(ename), clean(evalue), tuple(map(coloured, traceback)))
        case Display() | DisplayUpdate():
            if output.display_id is not None and len(output.display_id) > MAX_ID:
                return None
            data, metadata = safe_bundle(output.data, output.metadata, view)
            return replace(output, data=data, metadata=metadata)
        case Result():
            data, metadata = safe_bundle(output.data, output.metadata, view)
            return replace(output, data=data, metadata=metadata)
        case ClearOutput() | Finished():
            return output


def safe_outputs(outputs: Sequence[Json], view: View | None = None) -> list[Json]:
    """What of outputs as nbformat writes them may be shown; what is no output is left out."""
    found: list[Json] = []
    for one in outputs:
        try:
            shown = shown_of([one], {}, "a widget")
        except NotebookError:
            continue
        kept = safe_output(shown[0], view)
        if kept is not None:
            found.append(output_json(kept))
    return found


def output_json(output: Output) -> Json:
    """An output that is shown, as nbformat writes it. A `Display` has no id there."""
    match output:
        case Stream(name, text):
            return {"output_type": "stream", "name": name, "text": text}
        case Display(data, metadata):
            return {"output_type": "display_data", "data": data, "metadata": metadata}
        case Result(data, count, metadata):
            shown: dict[str, Json] = {"data": data, "metadata": metadata}
            return {"output_type": "execute_result", "execution_count": max(count, 0), **shown}
        case Error(ename, evalue, traceback):
            lines: list[Json] = [*traceback]
            return {"output_type": "error", "ename": ename, "evalue": evalue, "traceback": lines}
        case DisplayUpdate() | ClearOutput() | Finished():
            return None


def _widget(content: Json, view: View | None) -> dict[str, Json] | None:
    if view is None or not isinstance(content, Mapping):
        return None
    model = content.get("model_id")
    shown = view(model) if isinstance(model, str) else None
    return None if shown is None else {"version_major": 2, "version_minor": 0, "model_id": shown}


def _lines(content: Json) -> list[str]:
    return [str(line) for line in content] if isinstance(content, list) else [str(content)]
