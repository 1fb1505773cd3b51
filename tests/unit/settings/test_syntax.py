"""What is no TOML: place, words and remedy of each mistake; and the rest read all the same."""

import re
from pathlib import Path

import pytest
import tomli

from appliance.settings.reader import Problems, read
from appliance.settings.syntax import EXPLANATIONS, MOST

HEAD = "revision = 1\n"


def problems(text):
    with pytest.raises(Problems) as caught:
        read(text)
    return caught.value.problems


@pytest.mark.parametrize(
    ("line", "column", "key", "found", "remedy"),
    [
        # The key.
        ("ae 5", 4, "ae", "something else", 'write key = "value"'),
        ("box", 4, "box", "the end of the line", "write = and a value behind the key"),
        ("box: 5", 4, "box", "a colon", "write = instead of the colon"),
        ("= 5", 1, "", "the character =", "write the key before the ="),
        ("; comment", 1, "", "the character ;", "begin comments with #"),
        ("// comment", 1, "", "the character /", "begin comments with #"),
        ("検査 = 5", 1, "", "the character 検", "write keys in ASCII letters"),
        ("!", 1, "", "the character !", "or # before a comment"),
        ("ｂｏｘ = 5", 1, "", "the full-width ｂ", "write b in half width"),
        ("“box” = 5", 1, "", "the typographic quote “", 'write " on both sides'),
        ("box. = 5", 6, "", "the character =", "write a name of ASCII letters"),
        ("box.", 5, "", "the end of the line", "write a name of ASCII letters"),
        # The value.
        ("box =", 6, "box", "nothing", "write a value behind the ="),
        ("box = # none", 7, "box", "nothing", "write a value behind the ="),
        ("box = netty", 7, "box", "a text without quotes", "put it in double quotes"),
        ("box = True", 7, "box", "True", "write true, in small letters"),
        ("box = OFF", 7, "box", "OFF", "write false, in small letters"),
        ("box = “netty”", 7, "box", "the typographic quote “", 'write " on both sides'),
        ("box = １", 7, "box", "the full-width １", "write 1 in half width"),
        ("box ＝ 1", 5, "box", "the full-width ＝", "write = in half width"),
        ("box = 2025-02-30", 7, "box", "a day that does not exist", "that the calendar has"),
        # Behind the value.
        ("box = 0104", 7, "box", "a number that begins with 0", "remove the zeros; if they belong"),
        ("box = 192.0.2.1", 7, "box", "a text without quotes", "put the whole in double quotes"),
        ("box = 15 min", 7, "box", "a text without quotes", "put the whole in double quotes"),
        ("box = 2025/04/01", 7, "box", "a date in another form", "write dates like 2025-04-01"),
        ("box = 1,", 8, "box", 'the character ","', "remove it"),
        ("box = 1;", 8, "box", 'the character ";"', "remove it"),
        ("box = 1 ae = 2", 9, "box", "another key", "write each key on a line of its own"),
        ('box = "a" b', 11, "box", "more behind the closing quote", "in the other quotes"),
        ('box = "a"b"', 10, "box", "more behind the closing quote", "in the other quotes"),
        ('[box] name = "a"', 7, "box", "more behind the brackets", "write it on a new line"),
        ("box = 1\u3000", 8, "box", "the invisible character U+3000", "an ordinary space"),
        ("\u00a0box = 1", 1, "", "the invisible character U+00A0", "an ordinary space"),
        ("box = 1\u200b", 8, "box", "the invisible character U+200B", "remove it"),
        # Texts.
        ('box = "a', 9, "box", "the end of the line", "close the text with the quote"),
        ("box = 'a", 9, "box", "the end of the line", "close the text with the quote"),
        ('box = "a”', 10, "box", "the end of the line", "typographic quotes do not count"),
        ('box = "C:\\temp\\x"', 15, "box", "a backslash between", "between single quotes"),
        ('box = "\\ISO"', 8, "box", "a backslash between", "write each backslash twice"),
        ('box = "\\u12"', 8, "box", "a backslash between", "write each backslash twice"),
        ('box = "\\ud800"', 8, "box", "a backslash between", "write each backslash twice"),
        ('box = "a\x01b"', 9, "box", "the invisible character U+0001", "remove it"),
        ("# a\x1bb", 4, "", "the invisible character U+001B", "remove it"),
        ("box = 'a\x7f'", 9, "box", "the invisible character U+007F", "remove it"),
        # Tables and lists.
        ("[box", 5, "box", "the end of the line", "write ] behind the name"),
        ("[box x]", 6, "box", "something else", "write ] behind the name"),
        ("[[remote]", 9, "remote[1]", "one bracket", "write ]] behind the name"),
        ("[]", 2, "", "the character ]", "write a name of ASCII letters"),
        ("[ｂｏｘ]", 2, "", "the full-width ｂ", "write b in half width"),
        ("box = [1 2]", 10, "box", "something else", "a comma between the entries"),
        ("box = [1", 7, "box", "a list without end", "write ]"),
        ("box = {name = 1", 7, "box.name", "a table without end", "write }"),
        ("box = {name = 1 x = 2}", 17, "box.name", "something else", "a comma between the entries"),
        ("box = {name = }", 15, "box.name", "nothing", "write a value behind the ="),
        ("box = {, name = 1}", 8, "box", "the character ,", "write a name of ASCII letters"),
        ("box = {name = 1, name = 2}", 26, "box.name", "for a second time", "keep one of the two"),
    ],
)
@pytest.mark.parametrize("tail", ["", "\n", "\n\n[ae]\nport = 11112\n"])
def test_a_line_that_is_no_toml(line, column, key, found, remedy, tail):
    if "\n[" in tail and "without end" in found:
        tail = "\n"
    (problem,) = problems(HEAD + line + tail)
    assert (problem.line, problem.column, problem.key) == (2, column, key)
    assert found in problem.found
    assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("text", "place", "key", "found", "remedy"),
    [
        (
            'box = """\nname\n[ae]\nport = 0\n',
            (2, 7),
            "box",
            "the end of the file",
            'write """ behind the end of the text',
        ),
        ("box = '''\nname\n", (2, 7), "box", "the end of the file", "write ''' behind the end"),
        ("box = [1,\n# a\n[ae]\nport = 5\n", (2, 7), "box", "a list without end", "write ]"),
        ("box = [1,\nport = 5\n", (2, 7), "box", "a list without end", "write ]"),
        ("box = {x = 1,\n[ae]\nport = 5\n", (2, 7), "box.x", "a table without end", "write }"),
        ("revision = 2\n", (2, 1), "revision", "the key, which stands in line 1", "keep one"),
        ("[ae]\nport = 1\nport = 2\n", (4, 1), "ae.port", "stands in line 3", "keep one"),
        (
            "[ae]\n\n[box]\n[ae]\nport = 5",
            (5, 1),
            "ae",
            "in line 2",
            "put all keys of [ae] together",
        ),
        (
            "[remote]\nport = 104\n[remote]\n",
            (4, 1),
            "remote",
            "in line 2",
            "write [[remote]] above",
        ),
        ("[[watch]]\n[watch]\n", (3, 1), "watch", "in line 2", "write [[watch]] above each"),
        ("[watch]\n[[watch]]\n", (3, 1), "watch[1]", "in line 2", "write [[watch]] above each"),
        ("ae = {}\n[ae.x]\n", (3, 1), "ae.x", "a second time", "put all keys of [ae.x] together"),
        (
            "query.timeouts = {}\nquery.timeouts.total = 5\n",
            (3, 1),
            "query.timeouts.total",
            "more keys for a table that is complete",
            "write all its keys together",
        ),
        (
            "[query.timeouts]\n[query]\ntimeouts.total = 5\n",
            (4, 1),
            "query.timeouts.total",
            "more keys for a table that is complete",
            "write all its keys together",
        ),
        ('box = "a\rb"\n', (2, 9), "box", "the single character U+000D", "the line ends of"),
        ("box = 1\rae = 2\n", (2, 8), "box", "the single character U+000D", "the line ends of"),
        ("box = " + "9" * 5000, (2, 7), "", "a number of a thousand digits", "remove it"),
        ("box = " + "[" * 450, (1, 1), "", "nested hundreds deep", "remove it"),
        ("a" + ".a" * 1200 + " = 1", (1, 1), "", "nested hundreds deep", "remove it"),
    ],
)
def test_a_mistake_across_lines(text, place, key, found, remedy):
    (problem,) = (each for each in problems(HEAD + text) if (each.line, each.column) == place)
    assert problem.key == key
    assert found in problem.found
    assert remedy in problem.remedy


def test_every_message_of_tomli_has_words_of_ours():
    # An update of tomli may bring messages that nobody explains.
    source = (Path(tomli.__file__).parent / "_parser.py").read_text("utf-8")
    messages = re.findall(r"""raise TOMLDecodeError\(\s*f?"((?:[^"\\{]|\\.)+)""", source)
    beginnings = [each.replace("\\\\", "\\") for each in messages]
    assert len(beginnings) > 20
    unexplained = [
        each
        for each in beginnings
        # The rest of "Expected ..." is filled in: quotes alone.
        if not any(each.startswith(known) for known in EXPLANATIONS) and each != "Expected "
    ]
    assert unexplained == []


def test_all_mistakes_of_syntax_are_found_at_once():
    text = """\
revision = 1
[ae]
title = “NETTY”
port = 0104
max_pdu = "16 KiB"
profile = wide
[[remote]]
name = "a"
host = 192.0.2.1
calls_as = ["A",
title = "B"
[query
every = "no time"
[images]
quality = 900
"""
    found = [(each.line, each.column, each.key) for each in problems(text)]
    assert found == [
        (3, 9, "ae.title"),
        (4, 8, "ae.port"),
        (6, 11, "ae.profile"),
        (9, 8, "remote[1].host"),
        (10, 12, "remote[1].calls_as"),
        (12, 7, "query"),
        (15, 11, "images.quality"),
    ]


def test_what_a_broken_line_may_hold_is_not_missed():
    # host is there, if not readable; the name in the broken header may be the one that is watched.
    text = (
        'revision = 1\n[[remote]]\nname = "a"\ntitle = "A"\nhost = 192.0.2.1\n'
        '[[remote]\nname = "b"\n[[watch]]\npatient_id = "1"\nremotes = ["b"]\n'
    )
    assert [each.line for each in problems(text)] == [5, 6]


@pytest.mark.parametrize("opening", ["box = [1,", "box = {x = 1,", 'box = """', "box = '''"])
def test_what_stands_behind_a_list_or_text_without_end_is_read(opening):
    text = f"revision = 1\n{opening}\n[ae]\nport = 0\nmax_pdu = 5\n"
    assert [(each.line, each.key) for each in problems(text)][1:] == [
        (4, "ae.port"),
        (5, "ae.max_pdu"),
    ]


def test_a_broken_line_does_not_move_the_places_of_others():
    text = "revision = 1\nbox = \n[ae]\n  port =  0\n"
    assert [(each.line, each.column) for each in problems(text)] == [(2, 7), (4, 11)]


def test_a_text_of_another_sort_ends_after_some_problems():
    assert len(problems("Dear technician, here is the file.\n" * 1000)) == MOST


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"revision": 1}', "JSON"),
        ("\n[\n {", "JSON"),
        ("<!DOCTYPE html>", "a web page or XML"),
        ("---\nrevision: 1\n", "YAML"),
        ("{\\rtf1\\ansi", "a rich-text document (RTF)"),
    ],
)
def test_other_formats_are_named(text, found):
    (problem,) = problems(text)
    assert (problem.line, problem.column, problem.key) == (1, 1, "")
    assert problem.found == found
