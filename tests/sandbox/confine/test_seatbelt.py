"""That a path cannot become a rule. Whether macOS holds what the rules say was never tried."""

from __future__ import annotations

import re

import pytest

from codeact_kernel.sandbox.confine.policy import Bounds, Policy
from codeact_kernel.sandbox.confine.seatbelt import profile_text

STRING = re.compile(r'"((?:[^"\\]|\\["\\])*)"')


def policy(read: str, write: str, *, fork: bool = False) -> Policy:
    return Policy(
        connection_file="/session/rt-1/connection.json",
        workspace=write,
        roots=(),
        read=(read,),
        write=(write,),
        sockets={},
        channel=-1,
        report=-1,
        parent=0,
        canary="/session/canary",
        namespaces=False,
        landlock=False,
        fork=fork,
        tcp=False,
        limits=Bounds(),
    )


@pytest.mark.parametrize(
    "path",
    ["/plain", "/sp ace", '/a") (allow default) ("', "/a\\", '/a\\" (allow network*) ;', "/é(subpath #u)"],
)
def test_a_path_is_one_string_whatever_is_in_it(path: str) -> None:
    text = profile_text(policy(path, path), "/usr/bin/python3")
    strings = [re.sub(r"\\(.)", r"\1", found) for found in STRING.findall(text)]
    assert strings.count(path) == 2, "read, and written"
    # With the strings out, what is left is the same for every path: rules, in balance.
    plain = profile_text(policy("/plain", "/plain"), "/usr/bin/python3")
    assert STRING.sub("", text) == STRING.sub("", plain)
    rules = STRING.sub("", text)
    assert rules.count("(") == rules.count(")")
    assert "(deny default)" in rules
    assert "(allow default)" not in rules


def test_a_control_character_is_refused() -> None:
    with pytest.raises(ValueError, match=r"control character.*rename"):
        profile_text(policy("/a\n(allow default)", "/work"), "/usr/bin/python3")


def test_only_what_is_named_is_allowed() -> None:
    text = profile_text(policy("/data", "/work"), "/usr/bin/python3")
    writes = [line for line in text.splitlines() if "file-write*" in line]
    assert writes == ['(allow file-write* (subpath "/work"))']
    assert "(deny process-fork)" in text
    assert "(allow process-fork)" in profile_text(policy("/data", "/work", fork=True), "/usr/bin/python3")
