"""Terraform: files as its own formatter writes them."""

from __future__ import annotations

from event_monitor.provision.model import PlaceholderText
from event_monitor.provision.render.hcl import Block, Comment, Raw, encoded, text_of
from event_monitor.provision.render.terraform import terraform_files
from event_monitor.provision.stack import Stack


def test_hcl_is_written_as_terraform_formats_it() -> None:
    """Aligned, escaped, with what is left out left out."""
    block = Block(
        "resource",
        ("kind", "name"),
        (
            ("text", 'a "b" \\ ${c} %{d}\n\x7f'),
            ("longer_name", 1.0),
            ("share", 2.5),
            ("nothing", None),
            ("several", {"key": [True, Raw("var.x")], "odd key": {}}),
            ("after", encoded([])),
            Comment("Decide."),
            ("where", PlaceholderText("arn:{{partition}}:{{region}}:{{account}}:{{region}}")),
            Block("inner", body=(("one", 1),)),
        ),
    )

    assert text_of([Comment("Why."), block, block]).partition("\n\nresource")[0] == (
        "# Why.\n"
        'resource "kind" "name" {\n'
        '  text        = "a \\"b\\" \\\\ $${c} %%{d}\\n\\u007f"\n'
        "  longer_name = 1\n"
        "  share       = 2.5\n"
        "  several = {\n"
        "    key       = [true, var.x]\n"
        '    "odd key" = {}\n'
        "  }\n"
        "  after = jsonencode([])\n"
        "  # Decide.\n"
        '  where = "arn:${data.aws_partition.current.partition}:${data.aws_region.current.id}:'
        '${data.aws_caller_identity.current.account_id}:{{region}}"\n'
        "\n"
        "  inner {\n"
        "    one = 1\n"
        "  }\n"
        "}"
    )


def test_a_stack_of_nothing_makes_no_files() -> None:
    """Not even the versions."""
    assert terraform_files(Stack(prefix="celery")) == {}
