"""Owns a large toolset that is made up: fifty servers of fifty tools, with schemas as real ones have them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from codeact_kernel.wire.messages import Json, ToolModule, ToolSchema

SERVERS, TOOLS_EACH = 50, 50
PLACES = (
    *("github", "gitlab", "jira", "confluence", "slack", "teams", "gmail", "calendar", "drive", "dropbox"),
    *("salesforce", "hubspot", "zendesk", "intercom", "stripe", "paypal", "shopify", "magento", "netsuite"),
    *("quickbooks", "xero", "workday", "bamboo", "greenhouse", "notion", "airtable", "asana", "trello"),
    *("linear", "figma", "sentry", "datadog", "grafana", "pagerduty", "aws", "azure", "gcp", "kubernetes"),
    *("terraform", "snowflake", "bigquery", "postgres", "mongodb", "redis", "elastic", "kafka", "twilio"),
    *("sendgrid", "mailchimp", "weather"),
)
VERBS = ("list", "get", "create", "update", "delete", "search", "export", "archive", "assign", "count")
NOUNS = (
    *("issue", "order", "invoice", "customer", "ticket", "message", "channel", "repository", "deployment"),
    *("contract", "shipment", "payment", "subscription", "employee", "candidate", "document", "dashboard"),
    *("alert", "campaign", "pipeline", "warehouse", "product", "meeting", "task", "release"),
)
SAID = {
    "id": "The identifier, as the list of them gives it.",
    "status": "Only those with this status.",
    "limit": "At most so many; the rest by the cursor.",
    "cursor": "Where the page before ended.",
    "from": "First day, ISO 8601.",
    "to": "Last day, ISO 8601.",
    "assignee": "Login of the person.",
    "tags": "All of these tags.",
    "amount": "In cents of the account's currency.",
    "include_archived": "Whether archived ones count.",
}
TYPES: Mapping[str, Json] = {
    "id": {"type": "string"},
    "status": {"type": "string", "enum": ["open", "pending", "closed"]},
    "limit": {"type": "integer", "minimum": 1, "maximum": 500, "default": 50},
    "cursor": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    "from": {"type": "string", "format": "date"},
    "to": {"type": "string", "format": "date"},
    "assignee": {"type": "string"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "amount": {"type": "integer"},
    "include_archived": {"type": "boolean", "default": False},
}


@dataclass(frozen=True)
class Said:
    """What a server says of one tool. `name`: its own, no Python."""

    module: ToolModule
    name: str
    description: str
    schema: ToolSchema


def many_tools(servers: int = SERVERS, each: int = TOOLS_EACH) -> Iterator[Said]:
    """The same in every run. Raises IndexError beyond fifty servers."""
    chance = random.Random(7)
    for place in range(servers):
        module = ToolModule(PLACES[place], "mcp_servers", f"{PLACES[place].title()} MCP server")
        pairs = [(verb, noun) for noun in NOUNS for verb in VERBS]
        for verb, noun in sorted(chance.sample(pairs, each)):
            yield _tool(module, verb, noun, chance)


def _tool(module: ToolModule, verb: str, noun: str, chance: random.Random) -> Said:
    named = chance.sample(sorted(TYPES), chance.randint(2, 6))
    properties: dict[str, Json] = {name: {**_of(name), "description": SAID[name]} for name in named}
    record: Json = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "title": {"type": "string"}, "created": {"type": "string"}},
        "required": ["id", "title"],
    }
    output: Json = {"type": "object", "properties": {f"{noun}s": {"type": "array", "items": record}}}
    asked: dict[str, Json] = {"type": "object", "properties": properties, "required": named[:1]}
    said = f"{verb.capitalize()} a {noun} in {module.name}. Needs the scope {noun}s:{verb}."
    made = ToolSchema(f"{verb}-{noun}", asked, output if chance.random() < 0.5 else None)  # type: ignore[arg-type]  # A JSON object, which Json says wider.
    return Said(module, made.tool, said, made)


def _of(name: str) -> Mapping[str, Json]:
    found = TYPES[name]
    assert isinstance(found, Mapping)
    return found
