"""What becomes of a server's answer: values of the kernel, and failures with a type."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    GetPromptResult,
    ImageContent,
    Prompt,
    PromptArgument,
    PromptMessage,
    ReadResourceResult,
    Resource,
    ResourceLink,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
)

from codeact_kernel.tools.failures import MAX_MESSAGE, Failure
from codeact_kernel.tools.mcp.results import (
    MAX_DEPTH,
    MAX_PARTS,
    link_of,
    prompt_value,
    prompts_value,
    resource_value,
    value_of,
)
from codeact_kernel.wire import media
from codeact_kernel.wire.pictures import Picture
from codeact_kernel.wire.values import decode, encode

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WRAPPED = {"type": "object", "properties": {"result": {"type": "integer"}}, "required": ["result"]}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def text(words: str) -> TextContent:
    return TextContent(text=words)


def image(data: bytes = PNG, kind: str = "image/png") -> ImageContent:
    return ImageContent(data=b64(data), mime_type=kind)


def value(*blocks: Any, structured: Any = None, output: Any = None) -> Any:
    """As the kernel gets it."""
    result = CallToolResult(content=[*blocks], structured_content=structured)
    return decode(encode(value_of(result, "shop.f", "shop", output), fallback=True))


def failure(result: CallToolResult) -> Failure:
    with pytest.raises(Failure) as caught:
        value_of(result, "shop.f", "shop", None)
    return caught.value


def test_text_is_text() -> None:
    assert value(text("one")) == "one"
    assert value(text("one"), text("two")) == "one\ntwo"
    assert value(text('{"a": 1}')) == '{"a": 1}'
    assert value() is None


def test_an_image_is_a_picture_whatever_it_is_called() -> None:
    assert value(image()) == Picture(PNG)
    assert value(image(PNG, "image/jpeg")) == Picture(PNG)
    assert value(image(b"\xff\xd8\xff...", "IMAGE/JPEG; q=1")) == Picture(b"\xff\xd8\xff...", "image/jpeg")


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_other_images_become_png(kind: str) -> None:
    pillow = pytest.importorskip("PIL.Image")
    out = io.BytesIO()
    pillow.new("RGB", (3, 2), "red").save(out, kind)
    made = value(image(out.getvalue(), f"image/{kind.lower()}"))
    assert isinstance(made, Picture)
    assert pillow.open(io.BytesIO(made.data)).convert("RGB").getpixel((0, 0)) == pytest.approx(
        (254, 0, 0), abs=3
    )


def test_what_cannot_be_shown_stays_as_it_came() -> None:
    assert value(image(b"GIF89a and no more", "image/gif")) == media.Media(b"GIF89a and no more", "image/gif")
    assert value(image(b"<svg/>", "image/svg+xml")) == media.Media(b"<svg/>", "image/svg+xml")
    assert value(image(b"x", "no type \x1b[31m")) == media.Media(b"x", media.ANY_TYPE)


def test_a_picture_of_a_gigapixel_is_not_decoded() -> None:
    pytest.importorskip("PIL.Image")
    huge = b"GIF89a" + b"\xff\xff\xff\xff" + b"\x80\x00\x00" + bytes(6) + b","
    assert isinstance(value(image(huge, "image/gif")), media.Media)


def test_audio_is_media_that_plays_and_can_be_saved(tmp_path: Any) -> None:
    sound = value(AudioContent(data=b64(b"RIFF1234"), mime_type="audio/wav"))
    assert sound == media.Media(b"RIFF1234", "audio/wav")
    assert f"data:audio/wav;base64,{b64(b'RIFF1234')}" in sound._repr_html_()
    assert sound.save(tmp_path / "a.wav").read_bytes() == b"RIFF1234"
    assert "8 bytes" in repr(sound)
    assert media.Media(b"x", "application/pdf")._repr_html_() is None


def test_links_and_embedded_resources() -> None:
    link = ResourceLink(uri="shop://1", name="one", mime_type="text/plain", size=3, description="\x1b[31mred")
    assert value(link) == media.ResourceLink("shop", "shop://1", "one", "", "red", "text/plain", 3)
    words = TextResourceContents(uri="shop://2", text="two", mime_type="text/plain")
    assert value(EmbeddedResource(resource=words)) == media.EmbeddedResource("shop://2", "text/plain", "two")
    blob = value(EmbeddedResource(resource=BlobResourceContents(uri="shop://3", blob=b64(PNG))))
    assert blob == media.EmbeddedResource("shop://3", data=PNG)
    assert blob._repr_png_() == PNG


def test_several_parts_are_a_list_in_order() -> None:
    mixed = value(text("before"), image(), text("after"))
    assert mixed == ["before", Picture(PNG), "after"]
    assert type(mixed) is media.Contents


def test_structured_content_is_unwrapped_where_the_schema_wraps_it() -> None:
    assert value(text("3"), structured={"result": 3}, output=WRAPPED) == 3
    assert value(structured={"result": 3}) == {"result": 3}
    assert value(structured=[1, 2], output={"type": "array"}) == [1, 2]
    assert value(structured={"$": "picture"}) == {"$": "picture"}


@pytest.mark.parametrize("said", [json.dumps({"a": [1], "b": "x"}, indent=4), '{"b":"x","a":[1]}', "x"])
def test_text_that_says_a_structured_result_again_is_dropped(said: str) -> None:
    found = value(text(said), structured={"a": [1], "b": "x"})
    assert found == {"a": [1], "b": "x"}
    assert type(found) is dict


def test_nothing_beside_a_structured_result_is_lost() -> None:
    found = value(text("a remark"), image(), structured={"a": 1}, output={"type": "object"})
    assert found == {"a": 1}
    assert found["a"] == 1
    assert found.beside == ["a remark", Picture(PNG)]
    assert value(image(), structured={"result": 3}, output=WRAPPED) == [3, Picture(PNG)]


def test_as_an_argument_a_result_is_plain_again() -> None:
    found = value(text("a remark"), image(), structured={"a": 1})
    assert encode(found) == {"a": 1}
    assert encode(value(text("x"), image())) == ["x", encode(Picture(PNG))]


def test_deep_json_text_beside_a_structured_result_is_kept() -> None:
    deep = "[" * 100_000
    assert value(text(deep), structured={"a": 1}).beside == [deep]


def test_a_tool_that_says_it_failed_is_an_error_with_its_words() -> None:
    problem = failure(CallToolResult(content=[text("\x1b[31mno\x1b[0m\u202e such"), image()], is_error=True))
    assert (problem.kind, str(problem)) == ("ToolError", "no such")
    silent = failure(CallToolResult(content=[], is_error=True))
    assert "does not say why" in str(silent)
    long = failure(CallToolResult(content=[text("x" * 10_000_000)] * 3, is_error=True))
    assert len(str(long)) <= MAX_MESSAGE + 1


def test_what_is_too_much_is_refused() -> None:
    many = failure(CallToolResult(content=[text("x")] * (MAX_PARTS + 1)))
    assert (many.kind, "5,001 parts" in str(many)) == ("ToolProtocolError", True)
    deep: Any = 0
    for _ in range(MAX_DEPTH + 1):
        deep = {"a": deep}
    assert "levels" in str(failure(CallToolResult(content=[], structured_content=deep)))
    no_data = ImageContent(data="*", mime_type="image/png")
    assert "base64" in str(failure(CallToolResult(content=[no_data])))


def test_the_deepest_result_that_is_taken_arrives() -> None:
    deep: Any = 0
    for _ in range(MAX_DEPTH - 1):
        deep = {"a": deep}
    assert value(structured=deep) == deep
    assert value(image(), structured=deep).beside == [Picture(PNG)]


def test_resources_that_were_read() -> None:
    def read(*contents: Any) -> Any:
        return resource_value(ReadResourceResult(contents=[*contents]), "shop._read_resource")

    words, blob = TextResourceContents(uri="a:1", text="one"), BlobResourceContents(uri="a:2", blob=b64(PNG))
    assert read(words) == "one"
    assert read(blob) == Picture(PNG)
    assert read(BlobResourceContents(uri="a:3", blob=b64(b"x"))) == media.Media(b"x")
    assert read(words, blob) == [
        media.EmbeddedResource("a:1", "", "one"),
        media.EmbeddedResource("a:2", data=PNG),
    ]
    assert read() == []


def test_templates_are_links_with_variables() -> None:
    link = link_of(ResourceTemplate(uri_template="shop://{id}/{what}", name="order"), "shop")
    read: list[tuple[str, str]] = []
    media.ResourceLink.reader = lambda server, uri: read.append((server, uri))
    try:
        link.read(id="a/b", what=3)
        with pytest.raises(ValueError, match=r"the resource needs 'what': read\(what=…\)"):
            link.read(id=1)
        link_of(Resource(uri="shop://{x}", name="plain"), "shop").read()
    finally:
        media.ResourceLink.reader = None
    assert read == [("shop", "shop://a%2Fb/3"), ("shop", "shop://{x}")]
    with pytest.raises(RuntimeError, match="cannot be read here"):
        link.read(id=1, what=2)


def test_prompts() -> None:
    listed = prompts_value(
        [Prompt(name="greet", description="\x07Hi", arguments=[PromptArgument(name="who", required=True)])]
    )
    arguments = [{"name": "who", "description": "", "required": True}]
    assert listed == [{"name": "greet", "title": "", "description": "Hi", "arguments": arguments}]
    got = GetPromptResult(
        messages=[
            PromptMessage(role="user", content=text("Hi")),
            PromptMessage(role="assistant", content=image()),
        ]
    )
    assert prompt_value(got, "shop._get_prompt", "shop") == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": Picture(PNG)},
    ]
