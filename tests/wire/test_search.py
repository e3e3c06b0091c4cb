"""The search finds what somebody means: by words of names, parameters, descriptions; ranked, and soon."""

from __future__ import annotations

import time

import pytest

from codeact_kernel.wire.messages import ToolParameter, ToolSchema, ToolSpec
from codeact_kernel.wire.search import SearchIndex, nearest, words


def spec(name: str, doc: str = "", *parameters: str) -> ToolSpec:
    return ToolSpec(name, tuple(map(ToolParameter, parameters)), doc=doc)


TOOLS = (
    spec(
        "filesystem.read_text_file", "Reads the complete contents of a file as text.", "path", "tail", "head"
    ),
    spec("filesystem.listDirectory", "Lists what is in a directory.", "path"),
    spec("filesystem.move_file", "Moves or renames a file.", "source", "destination"),
    spec("git.git_log", "Shows the commit history of a repository.", "repo_path", "max_count"),
    spec("git.git_commit", "Records changes to the repository.", "repo_path", "message"),
    spec("memory.create_entities", "Creates entities in the knowledge graph.", "entities"),
    spec("greet", "Says hello to a customer.", "name"),
    ToolSpec("time.convert", schema=ToolSchema("convert", {"properties": {"source_timezone": {}}})),
)
INDEX = SearchIndex(TOOLS)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("read file", "filesystem.read_text_file"),
        ("READ_TEXT", "filesystem.read_text_file"),
        ("directory", "filesystem.listDirectory"),
        ("dir", "filesystem.listDirectory"),
        ("rename", "filesystem.move_file"),
        ("destination", "filesystem.move_file"),
        ("commits history", "git.git_log"),
        ("git.git_commit", "git.git_commit"),
        ("commit", "git.git_commit"),
        ("entity", "memory.create_entities"),
        ("hello customers", "greet"),
        ("timezone", "time.convert"),
        ("comit", "git.git_commit"),
        ("direktory", "filesystem.listDirectory"),
    ],
)
def test_what_is_meant_comes_first(query: str, first: str) -> None:
    assert INDEX.search(query)[0].name == first


NAMED = SearchIndex(
    (
        spec("git.git_status", "Shows the working tree."),
        spec("git.git_log", "Shows the commits of a hub."),
        spec("github.create_issue", "Creates an issue in a GitHub repository.", "owner"),
        spec("github.listPullRequests", "Lists pull requests.", "owner"),
        spec("jira.createIssue", "Makes an issue."),
        spec("youtube.search_videos", "Searches videos.", "query"),
        spec("memory.add_note", "Adds what you want to remember; you can list it. See createIssue.", "text"),
        spec("vcs.remove_branch", "Removes a branch, with its caches.", "name"),
        spec("files.delete_file", "Deletes a file, or clears a cache; tells the status."),
        spec("app.remove_user"),
        spec("web.delete_page", "Deletes a page and the statuses of it."),
    )
)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("GitHub", ["github.create_issue", "github.listPullRequests", "git.git_log"]),
        ("YouTube", ["youtube.search_videos"]),
        ("listPullRequests", ["github.listPullRequests"]),
        ("createIssue", ["github.create_issue", "jira.createIssue", "memory.add_note"]),
        ("removeBranch", ["vcs.remove_branch"]),
        ("delete branches", ["vcs.remove_branch", "files.delete_file", "web.delete_page"]),
        ("cache", ["vcs.remove_branch", "files.delete_file"]),
        ("statuses", ["git.git_status", "files.delete_file", "web.delete_page"]),
        ("remove brunch", ["vcs.remove_branch"]),
        ("pull reqeusts", ["github.listPullRequests"]),
        ("videos zebra", ["youtube.search_videos"]),
        ("xy zq remove", ["app.remove_user", "vcs.remove_branch"]),
    ],
)
def test_camel_case_plurals_and_misspelled_words_beside_others(query: str, found: list[str]) -> None:
    assert {tool.name for tool in NAMED.search(query)[: len(found)]} == set(found)
    assert NAMED.search(query)[0].name == found[0]


@pytest.mark.parametrize(
    ("one", "more"),
    [
        ("excuse", "excuses"), ("abuse", "abuses"), ("use", "uses"), ("house", "houses"), ("cause", "causes"),
        ("status", "statuses"), ("bus", "buses"), ("cache", "caches"), ("branch", "branches"),
    ],
)  # fmt: skip
def test_one_and_more_are_the_same_word(one: str, more: str) -> None:
    assert words(one) == words(more)


def test_parts_of_a_known_name_say_nothing() -> None:
    assert len(NAMED.search("YouTube")) == 1


def test_all_words_count_more_than_one_word_often() -> None:
    one, both = (
        spec("a.copy", "copy copy copy copy"),
        spec("b.f", "a copy of the file, in another folder of it"),
    )
    assert SearchIndex((one, both)).search("copy folder") == (both, one)


def test_module_as_a_query_gives_its_tools() -> None:
    assert {tool.module for tool in INDEX.search("git")} == {"git"}


def test_how_many_and_none() -> None:
    assert len(INDEX.search("path", 2)) == 2
    assert INDEX.search("path", 0) == ()
    assert INDEX.search("path", -1) == ()
    assert INDEX.search("zebra") == ()
    assert INDEX.search("") == ()
    assert INDEX.search("?! …") == ()
    assert SearchIndex(()).search("read") == ()
    assert len(SearchIndex(())) == 0


def test_words_of_names() -> None:
    assert words("listHTTPServers2 read_text-file") == ["list", "http", "server", "2", "read", "text", "file"]
    assert words("queries address class Straße größe") == ["query", "address", "class", "straße", "größe"]


def test_one_word_for_one_and_several() -> None:
    one = words("branch bush box class address process status virus house cause use cache bus query cash")
    several = "branches bushes boxes classes addresses processes statuses viruses houses causes uses caches"
    assert words(f"{several} buses queries cashes") == one


def test_the_same_question_has_the_same_answer() -> None:
    alike = tuple(spec(f"m{number}.get_thing", "Gets a thing.") for number in range(50))
    found = SearchIndex(alike).search("thing", 50)
    assert found == alike


def test_a_query_and_a_description_without_end() -> None:
    index = SearchIndex((spec("a.b", "word " * 1_000_000), spec("a.c", "w" * 1_000_000)))
    began = time.process_time()
    assert index.search("word " * 1_000_000)[0].name == "a.b"
    assert time.process_time() - began < 5


def test_2500_tools() -> None:
    """A search takes a few milliseconds; asserted is what the slowest machine holds."""
    verbs = words("get list create update delete search export import archive merge")
    things = words("account invoice customer order report ticket branch commit project user device zone")
    doc = (
        "It does so by the rules of the account, and answers what became of {}. " + "It takes its time. " * 9
    )
    tools = tuple(
        spec(f"server{n // 100}.{verbs[n % 10]}_{things[n // 10 % 12]}_{n}", doc.format(things[n % 12]), "id")
        for n in range(2_500)
    )
    index = SearchIndex(tools)
    taken = []
    for query in (
        "export invoice",
        "rules of the zone",
        "delete",
        "acount",
        "acount invioce custmoer ordr reprot tickte brnach",
        "get list create update delete",
        "r",
    ):
        began = time.process_time()
        assert len(index.search(query)) == 10
        taken.append(time.process_time() - began)
    assert index.search("merge zone 1559")[0].name == "server15.merge_zone_1559"
    assert max(taken) < 0.2


def test_nearest() -> None:
    names = ["read_text_file", "read_media_file", "write_file"]
    assert nearest("reed_text_file", names)[0] == "read_text_file"
    assert nearest("zzz", names) == ()
    assert nearest("x" * 1_000_000, names) == ()
