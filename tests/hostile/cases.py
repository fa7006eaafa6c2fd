"""The hostile commits: what is pushed, and by whom.

Each case is a name, who pushes it, and a function that makes a commit of it. `Eve` is in no trust
file and signs nothing; `Ada` is trusted and signs. `open` has no trust at all: there everything is
read, so that every reader meets it.
"""

import dataclasses
import os
import typing

ESC = "\x1b]0;owned\x07\x1b[2J"
BIDI = "\u202e\u2066"
LIVE = "@org/team fixes #2 [x](http://evil) ![i](http://evil/i.png) <img src=x>"
APP = "infra/app.ncl"


@dataclasses.dataclass
class Case:
    name: str
    who: str                       # "open", "eve", "ada"
    files: dict = dataclasses.field(default_factory=dict)   # path -> bytes | Link | None
    make: typing.Callable | None = None   # (repo, parent, who) -> commit id, instead of files
    after: typing.Callable | None = None  # (repo) -> None, undone by the harness
    core: bool = False             # always in the sample


@dataclasses.dataclass
class Link:
    target: str


CASES = []


def case(name, files=None, who=("open",), **more):
    for one in who:
        CASES.append(Case(f"{name} ({one})", one, files or {}, **more))


def nickel(name, text, **more):
    case(f"nickel: {name}", {APP: text if isinstance(text, bytes) else text.encode()}, **more)


def policy(name, text, who=("open", "eve"), **more):
    case(f"policy: {name}", {"policies/x.cedar": text.encode()}, who=who, **more)


def settings(name, text, who=("eve",), **more):
    case(f"settings: {name}", {"stratum.ncl": text.encode()}, who=who, **more)


HEAD = '@id("x")\n@reason("y")\nforbid (principal, action, resource is Resource) '


def when(body):
    return f"{HEAD}when {{ {body} }};\n"


def policies():
    policy("200 brackets", when("(" * 200 + "true" + ")" * 200), core=True)
    policy("30 000 brackets", when("(" * 30000 + "true" + ")" * 30000))
    policy("if in if", when("if true then " * 5000 + "true" + " else false" * 5000), core=True)
    for operator in ("&&", "||"):
        policy(f"30 000 {operator}", when("true" + f" {operator} true" * 30000))
    policy("500 &&", when("true" + " && true" * 499))
    policy("30 000 +", when("1" + " + 1" * 30000 + " > 0"))
    policy("30 000 .a", when("context" + ".a" * 30000 + " == 1"))
    policy("200 .a", when("context" + ".a" * 200 + " == 1"), who=("open",))
    policy("20 000 lists", when("[" * 20000 + "]" * 20000 + ".contains(1)"))
    policy("5 000 records", when("{a: " * 5000 + "1" + "}" * 5000 + ".a == 1"))
    policy("20 000 when", HEAD + "when { true } " * 20000 + ";", core=True)
    policy("60 when", HEAD + "when { true } " * 60 + ";", who=("open",))
    policy("20 000 unless", HEAD + "unless { true } " * 20000 + ";", who=("open",))
    policy("5 000 !", when("!" * 5000 + "true"), who=("open",))
    policy("5 000 -", when("-" * 5000 + "1 > 0"), who=("open",))
    policy("has in has", when("context has a" + " && context has a" * 5000), who=("open",))
    policy("3 000 stars", when('context.branch like "' + "*a" * 3000 + '"'), who=("open",))
    policy("a set of 10 000", when("[" + ",".join(map(str, range(10000))) + "].contains(1)"),
           who=("open",))
    policy("10 MB of comment", "// x\n" * 2000000, who=("open",))
    policy("1 MB of text", when('context.branch == "' + "a" * 1000000 + '"'), who=("open",))
    policy("open quote", HEAD + 'when { "', who=("open",))
    policy("no end", HEAD, who=("open",))
    policy("NUL and escapes", "\0\0" + ESC + BIDI, who=("open",))
    policy("byte order mark", "\ufeff" + when("true"), who=("open",))
    policy("template", "@id(\"t\") @reason(\"r\") permit (principal == ?principal, action, resource);",
           who=("open",))
    policy("400 small policies", "".join(
        f'@id("p{n}") @reason("r") forbid (principal, action, resource is Resource) when {{ false }};\n'
        for n in range(400)), who=("open",))
    policy("unknown everything", when('context.x.y.z == Foo::"a" && ip("1.2.3.4").isIpv4()'),
           who=("open",))
    policy("overflow", when("9223372036854775807 + 1 > 0"), who=("open",))
    policy("annotations", "".join(f'@a{n}("b") ' for n in range(2000)) + when("true"), who=("open",))
    case("policy: 300 files", {f"policies/p{n}.cedar": b"" for n in range(300)})
    case("policy: not UTF-8", {"policies/x.cedar": b"\xff\xfe\x00"})
    case("policy: a test with 100 000 levels", {"policies/tests/t.toml": b"a = " + b"[" * 100000},
         who=("open", "eve"))
    case("policy: a test with dotted keys", {"policies/tests/t.toml": b"a." * 300000 + b"b = 1"})
    case("policy: 20 000 cases", {"policies/tests/t.toml": b"".join(
        b'[[case]]\nname = "c%d"\naction = "create"\nprincipal = { author = "a" }\nexpect = "allow"\n'
        % n for n in range(9000))})
    forbid = '@id("all")\n@reason("nobody")\nforbid (principal, action, resource);\n'
    case("policy: forbids everything", {"policies/x.cedar": forbid.encode()}, who=("open", "ada"),
         core=True)
    case("policy: forbids every change of policies", {"policies/x.cedar": (
        '@id("p")\n@reason("r")\nforbid (principal, action == Action::"advance", resource)\n'
        'when { context.changes.contains("policies") };\n').encode()}, who=("open", "ada"))
    case("policy: errs at every change", {"policies/x.cedar": (
        '@id("p")\n@reason("r")\nforbid (principal, action == Action::"advance", resource)\n'
        "when { context.plan.delete + 9223372036854775807 + 1 > 0 };\n").encode()},
        who=("open", "ada"))
    case("policy: the folder is a link", {"policies": Link("/etc")}, who=("open", "ada"))
    case("policy: odd names", {"policies/X.CEDAR": b"x", "policies/sub/x.cedar": b"x",
                               "policies/x.cedar.txt": b"x"}, who=("open", "ada"))
    case("policy: a file that is a link", {"policies/x.cedar": Link("/etc/passwd")},
         who=("open", "ada"))


def infrastructure():
    nickel("1e1000000000", "{ local_data.a.input = 1e1000000000 }", who=("open", "eve"), core=True)
    nickel("1e-1000000000", "{ local_data.a.input = 1e-1000000000 }")
    nickel("a number of 5 MB", "{ local_data.a.input = " + "9" * 5000000 + " }")
    nickel("hexadecimal of 5 MB", "{ local_data.a.input = 0x" + "f" * 5000000 + " }")
    nickel("1e20000000000 in a text", '{ local_data.a.input = "%{1e20000000000}" }')
    nickel("1e999 as data", "{ local_data.a.input = 1e999 }")
    nickel("an endless loop", "let rec f = fun x => f (x + 1) in { local_data.a.input = f 0 }",
           core=True)
    nickel("memory without end",
           "let rec f = fun x => f (x @ x) in { local_data.a.input = f [1] }", core=True)
    nickel("a list of 10^9", "{ local_data.a.input = std.array.generate (fun x => x) 1000000000 }")
    nickel("a large power", "{ local_data.a.input = 7 |> fun n => std.number.pow n 100000000 }")
    nickel("a text of 268 MB", doubled(24), core=True)
    nickel("a text of 20 MB", doubled(20, "x" * 20))
    case("nickel: six texts of 268 MB", {
        **{f"infra/app/f{n}.ncl": doubled(24).replace("local_data.a", f"local_data.a{n}").encode()
           for n in range(6)}}, core=True)
    case("nickel: six texts of 15 MB", {
        **{f"infra/app/f{n}.ncl": doubled(20, "x" * 15).replace("local_data.a", f"local_data.a{n}").encode()
           for n in range(6)}})
    case("nickel: 20 000 files", {f"infra/app/f{n}.ncl": f"{{ local_data.d{n} = {{}} }}".encode()
                                  for n in range(20000)}, core=True)
    case("nickel: 40 loops", {f"infra/app/f{n}.ncl":
                              b"let rec f = fun x => f (x + 1) in { local_data.a.input = f 0 }"
                              for n in range(40)}, core=True)
    nickel("15 MiB of small words", "[" + "a," * (15 << 19) + "1]")
    nickel("17 MiB", "#" * (17 << 20))
    nickel("200 MB of zeros", b"\0" * 200_000_000)
    for bracket in ("[", "{a=", "(", "let x = ", "fun x => ", "if true then ", '"%{', 'm%"%{', "a.",
                    "-", "!", "x |> ", "{ a | ", "'a ", "match { ", "import "):
        nickel(f"100 000 times {bracket}", bracket * 100000)
    nickel("deep data", "{ local_data.a.input = " + "[" * 5000 + "]" * 5000 + " }")
    nickel("deep at run time",
           "let rec d = fun n => if n == 0 then 0 else [d (n - 1)] in "
           "{ local_data.a.input = d 100000 }")
    nickel("wide", "{ local_data.a.input = { " + ",".join(f"k{n} = {n}" for n in range(100000)) + "} }")
    nickel("1 000 000 values", "{ local_data.a.input = std.array.range 0 1000000 }")
    nickel("120 000 values", "{ local_data.a.input = std.array.range 0 120000 }")
    case("nickel: 4 times 120 000 values", {f"infra/app/f{n}.ncl":
         f"{{ local_data.a{n}.input = std.array.range 0 120000 }}".encode() for n in range(4)})
    nickel("120 000 values in 40 000 records",
           "{ local_data.a.input = std.array.replicate 40000 { k = [0] } }")
    nickel("20 000 pieces", "{" + ",".join(f"local_data.r{n} = {{}}" for n in range(20000)) + "}")
    nickel("itself", 'import "app.ncl"')
    for path in ("/etc/passwd", "/proc/self/environ", "../../../../etc/shadow", "/dev/stdin", "..",
                 "", "%inmem_src%:x", "a" * 5000, "..\\\\x", "/dev/zero"):
        nickel(f"import {path[:20]!r}", f'import "{path}" as \'Text')
    nickel("a hidden import", "let {a ? (import \"/etc/passwd\" as 'Text), ..} = {} in a")
    case("nickel: an import of a link", {APP: b'import "l.ncl"', "infra/l.ncl": Link("/etc/passwd")})
    case("nickel: 11 000 imports", {
        APP: ("[" + ",".join(f'import "../lib/f{n}.ncl"' for n in range(11000)) + "]").encode(),
        **{f"lib/f{n}.ncl": b"1" for n in range(11000)}})
    bomb = "a: &a [x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)}]\n" for n in range(24))
    case("nickel: an alias bomb", {APP: b'{ local_data.a.input = import "../b.yaml" }',
                                   "b.yaml": bomb.encode()}, core=True)
    case("nickel: deep JSON", {APP: b'{ local_data.a.input = import "../b.json" }',
                               "b.json": b"[" * 1000000})
    case("nickel: deep TOML", {APP: b'{ local_data.a.input = import "../b.toml" }',
                               "b.toml": b"a = " + b"[" * 1000000})
    case("nickel: dotted TOML", {APP: b'{ local_data.a.input = import "../b.toml" }',
                                 "b.toml": b"a." * 500000 + b"b = 1"})
    case("nickel: a number in JSON", {APP: b'{ local_data.a.input = import "../b.json" }',
                                      "b.json": b"[1e1000000000]"})
    nickel("a slow pattern", '{ local_data.a.input = std.string.is_match "(a|a)*$" "%{std.string.join "" '
           '(std.array.replicate 100000 "a")}b" }')
    nickel("escapes in names", '{ local_data."' + "a\\u{1b}[2J" + '" = {} }')
    nickel("escapes in a finding", '{ local_flie."x" = "' + BIDI + LIVE + '" }')
    nickel("not UTF-8", b"\xff\xfe{ }")
    nickel("NUL", b"{ \0 }")
    nickel("byte order mark", "\ufeff{ local_data.a = {} }")
    nickel("$stratum", '{ local_data.a.input = { "$stratum" = { secret = { path = "x", key = "y" } } } }')
    nickel("trace", '{ local_data.a.input = std.trace "' + "x" * 1000 + '" 1 }')
    nickel("a finding of a megabyte", "{ local_data.a.input = (" + '"x" + ' * 50000 + "1) }")
    nickel("empty", "")
    case("nickel: no files", {APP: None})
    case("nickel: a folder where a file is", {APP: None, "infra/app.ncl/x.ncl": b"{}"})


def doubled(times, seed="x" * 16):
    return (f'let d = fun s => "%{{s}}%{{s}}" in let rec f = fun n s => if n == 0 then s else '
            f'f (n - 1) (d s) in {{ local_data.a.input = f {times} "{seed}" }}')


def rules():
    base = 'name = "shop", environments = {{ app = {{{}}} }}{}'
    def with_(inner="", outer=""):
        return "{ " + base.format(inner, outer) + " }"
    limits = with_("", ', limits = { memory = 1000000, time = "100h" }')
    case("settings: limits of 100 h and a loop", {
        "stratum.ncl": limits.encode(),
        APP: b"let rec f = fun x => f (x + 1) in { local_data.a.input = f 0 }"},
        who=("open", "eve"), core=True)
    case("settings: limits of 1 TB and growth", {
        "stratum.ncl": limits.encode(),
        APP: b"let rec f = fun x => f (x @ x) in { local_data.a.input = f [1] }"},
        who=("open", "eve"))
    for branch in ("main", "release", "HEAD", "-u", "refs/heads/x", "a b", "../x", "x.lock"):
        settings(f"records go to {branch}", with_("", f', records = {{ branch = "{branch}" }}'),
                 core=branch in ("main", "release"))
    settings("suspended", with_("suspended = true"))
    settings("drift corrects", with_("drift = { mode = 'correct, every = \"1s\" }"))
    settings("another branch", with_('branch = "release"'))
    settings("no such branch", with_('branch = "nothing"'))
    settings("not named", '{ name = "shop", environments = { other = {} } }')
    settings("roots is everything", with_('roots = ["/"]'))
    settings("root is elsewhere", with_('root = "/etc"'))
    settings("signatures off", with_("", ", signatures = 'off"))
    settings("seals by one half", with_("", ", secrets = { signatures = 'ed25519 }"))
    settings("parallelism of 4 billion", with_("parallelism = 4000000000"))
    settings("may lose everything", with_("empty = true, max_deletes = 1000"))
    settings("syntax", "{ name = ", who=("open", "eve"))
    settings("a loop", "let rec f = fun x => f (x + 1) in f 0", who=("open", "eve"), core=True)
    settings("1e1000000000", "{ name = 1e1000000000 }", who=("open", "eve"), core=True)
    settings("a text of 268 MB", doubled(24).replace("local_data.a.input", "name"),
             who=("open", "eve"))
    settings("a list", "[]", who=("open", "eve"))
    settings("a name of 1 MB", with_().replace('"shop"', '"' + "x" * 1000000 + '"'),
             who=("open", "eve"))
    settings("a name with escapes", with_().replace('"shop"', '"' + LIVE + '\\u{1b}[2J"'),
             who=("open",))
    settings("200 environments", '{ name = "shop", environments = {' + ",".join(
        f"e{n} = {{}}" for n in range(200)) + "} }", who=("open", "eve"))
    settings("10 000 environments", '{ name = "shop", environments = {' + ",".join(
        f"e{n} = {{}}" for n in range(10000)) + "} }", who=("eve",))
    settings("odd environments", '{ name = "shop", environments = { "../x" = {}, "a/b" = {}, '
             '"" = {}, "\\u{1b}[2J" = {} } }', who=("open", "eve"))
    settings("labels of 1 MB", with_('labels = { a = "' + "x" * 1000000 + '" }'), who=("open", "eve"))
    case("settings: none", {"stratum.ncl": None}, who=("open", "eve"))
    case("settings: a link", {"stratum.ncl": Link("/etc/passwd")}, who=("open", "eve"))
    case("settings: imported", {"stratum.ncl": b'import "s/main.ncl"',
                                "s/main.ncl": with_("", ", signatures = 'off").encode()}, who=("eve",))
    case("settings: a folder", {"stratum.ncl": None, "stratum.ncl/x": b""}, who=("open", "eve"))


def trusted():
    person = "trust/people/eve.toml"
    def trust(name, text, who=("open", "eve"), path=person, **more):
        case(f"trust: {name}", {path: text if isinstance(text, bytes) else text.encode()}, who, **more)
    trust("100 000 levels", "ssh = " + "[" * 100000, core=True)
    trust("dotted keys", "a." * 300000 + "b = 1", core=True)
    trust("dotted heads", "[" + "a." * 300000 + "b]", who=("open",))
    trust("inline tables", "a = " + "{a=" * 100000, who=("open",))
    trust("20 MB", "x" * 20_000_000, who=("open",))
    trust("200 000 keys", "".join(f"k{n} = 1\n" for n in range(60000)), who=("open",))
    trust("garbage", os.urandom(1000), who=("open",))
    trust("an ssh key of garbage", 'ssh = ["ssh-ed25519 ' + "A" * 100000 + '"]', who=("open",))
    trust("an OpenPGP key of garbage", 'openpgp = ["""-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n'
          + "mQ" * 200000 + '\n-----END PGP PUBLIC KEY BLOCK-----"""]', who=("open",), core=True)
    trust("an OpenPGP key of lengths", 'openpgp = ["""-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n'
          "mf////8E/////////////////////////w==\n-----END PGP PUBLIC KEY BLOCK-----\"\"\"]", who=("open",))
    trust("a private key", 'ssh = ["-----BEGIN OPENSSH PRIVATE KEY-----"]', who=("open",))
    trust("a name", "", path="trust/people/" + "x" * 200 + ".toml", who=("open",))
    trust("a name with escapes", "", path="trust/people/" + ESC + ".toml", who=("open",))
    trust("something else", "x", path="trust/notes.txt", who=("open",))
    case("trust: a link", {"trust": Link("/etc")}, who=("open", "eve", "ada"), core=True)
    case("trust: emptied", {"trust/people/ada.toml": None}, who=("eve",))
    case("trust: 3 000 people", {f"trust/people/p{n}.toml": b"" for n in range(3000)}, who=("open",))
    case("trust: a group of nobody", {"trust/groups.toml": b'a = ["x", "y"]'}, who=("open", "eve"))


def content():
    sealed = "secrets/app/db.sealed.yaml"
    for name, text in {
        "flow": "[" * 100000, "maps": "{a: " * 100000, "lists": "- " * 100000,
        "aliases": "a: &a [x]\n" + "b: [*a" + ", *a" * 100000 + "]",
        "anchors": "".join(f"&a{n} " for n in range(20000)), "tags": "!x " * 100000,
        "documents": "---\n" * 100000, "a scalar of 900 KB": "a: " + "x" * 900000,
        "questions": "? " * 100000, "garbage": "\x01\x02\x00", "escapes": f'"{ESC}": 1',
    }.items():
        case(f"sealed: {name}", {sealed: text.encode()})
    case("sealed: a link", {sealed: Link("/etc/passwd")})
    case("sealed: the folder is a link", {"secrets": Link("/")})
    case("sealed: plain", {"secrets/app/password.txt": b"hunter2hunter2"})
    front = "---\nid: a\ntype: note\ntitle: b\n---\n"
    for name, text in {
        "quotes": ">" * 400000, "brackets": "[" * 400000, "images": "![" * 200000,
        "emphasis": "*a_" * 130000, "lists": "- " * 200000, "ticks": "`" * 400001,
        "links": "[a](b) " * 60000, "references": "[a]: b\n" * 60000, "html": "<a b='" * 60000,
        "wiki": "[[x]] " * 60000, "tables": "|" * 400000, "footnotes": "[^a]" * 100000,
        "comments": "<!--" * 100000, "nested lists": "".join(" " * n + "- x\n" for n in range(800)),
    }.items():
        case(f"knowledge: {name}", {"knowledge/a.md": (front + text).encode()})
    case("knowledge: frontmatter", {"knowledge/a.md": ("---\n" + "{a: " * 100000).encode()})
    case("knowledge: 5 000 pages", {f"knowledge/p{n}.md": front.replace("id: a", f"id: n{n}").encode()
                                    for n in range(5000)})
    for name, text in {
        "deep": "a = " + "[" * 100000, "dotted": "a." * 300000 + "b = 1",
        "an expression": 'id = "a"\ntitle = "t"\n[[field]]\nid = "b"\nwhen = "' + "(" * 100000 + '"',
    }.items():
        case(f"form: {name}", {"forms/a.toml": text.encode()})
    case("form: texts", {"forms/a.toml": b'id = "a"', "forms/locales/en/a.ftl": b"a = " + b"{" * 100000})
    case("pipeline: a loop", {"pipelines/a.ncl": b"let rec f = fun x => f (x + 1) in f 0"})
    case("pipeline: templates", {"pipelines/a.ncl": ('{ name = "a", steps = [{ id = "x", prompt = "'
                                                     + "{{ (" * 30000 + '" }] }').encode()})
    case("agents: 1e1000000000", {"agents.ncl": b"{ a = 1e1000000000 }"})


def trees():
    for folder in ("infra", "infra/app", "trust", "knowledge", "secrets", "secrets/app", "policies",
                   "forms", "pipelines", "other"):
        case(f"tree: 20 000 folders in {folder}",
             make=lambda repo, parent, who, at=folder: repo.deep(parent, who, at, 20000),
             who=("open", "eve") if folder in ("knowledge", "trust") else ("open",),
             core=folder in ("knowledge", "infra"))
    for folder in ("knowledge", "infra/app", "secrets/app", "trust/people"):
        case(f"tree: 150 000 entries in {folder}",
             make=lambda repo, parent, who, at=folder: repo.wide(parent, who, at, 150000))
    for name, entries in {
        "two of one name": [("100644", b"app.ncl", b"{}"), ("100644", b"app.ncl", b"{ evil = 1 }")],
        "..": [("100644", b"..", b"x")], ".": [("100644", b".", b"x")],
        ".git": [("100644", b".git", b"x")], ".GIT": [("100644", b".GIT", b"x")],
        "a slash": [("100644", b"../../app.ncl", b"x")], "no name": [("100644", b"", b"x")],
        "odd mode": [("100777", b"app.ncl", b"{}")], "mode 0": [("0", b"app.ncl", b"{}")],
        "a long name": [("100644", b"x" * 70000 + b".ncl", b"{}")],
        "not UTF-8": [("100644", b"\xff\xfe.ncl", b"{}")],
        "escapes": [("100644", (ESC + BIDI + LIVE).replace("/", "").encode() + b".ncl", b"{}")],
        "line end": [("100644", b"a\nb.ncl", b"{}")],
        "unsorted": [("100644", b"z.ncl", b"{}"), ("100644", b"app.ncl", b"{}")],
    }.items():
        case(f"tree: {name}",
             make=lambda repo, parent, who, what=entries: repo.odd(parent, who, what))
    case("tree: a missing file", make=lambda repo, parent, who: repo.missing(parent, who, "100644"))
    case("tree: a missing folder", make=lambda repo, parent, who: repo.missing(parent, who, "40000"))
    case("tree: a submodule", make=lambda repo, parent, who: repo.missing(parent, who, "160000"))
    case("tree: broken", make=lambda repo, parent, who: repo.broken_tree(parent, who))


def commits():
    def made(name, who=("open", "eve"), core=False, **parts):
        case(f"commit: {name}", who=who, core=core,
             make=lambda repo, parent, one: repo.odd_commit(parent, one, **parts))
    made("a message of 60 MB", message=b"x" * 60_000_000, core=True)
    made("a subject of 5 MB", message=b"x" * 5_000_000)
    made("an author of 20 MB", author=b"x" * 20_000_000 + b" <e@e>", core=True)
    made("a mail of 5 MB", author=b"E <" + b"x" * 5_000_000 + b">")
    made("a signature of 20 MB", extra=b"gpgsig " + b"x" * 20_000_000 + b"\n")
    made("a signature of garbage", extra=b"gpgsig -----BEGIN SSH SIGNATURE-----\n AAAA\n"
         b" -----END SSH SIGNATURE-----\n")
    made("an OpenPGP signature of garbage", extra=b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n "
         + b"wf////8E" * 5000 + b"\n -----END PGP SIGNATURE-----\n", core=True)
    made("two signatures", extra=b"gpgsig a\ngpgsig b\n")
    made("a mergetag", extra=b"mergetag object 0000\n type x\n")
    made("an encoding", extra=b"encoding UTF-7\n")
    made("300 000 headers", extra=b"x y\n" * 300000)
    made("escapes", author=f"{ESC}{BIDI} {LIVE.replace('<', '').replace('>', '')} <e@e>".encode(),
         message=f"{ESC}{BIDI}{LIVE}".encode(), core=True)
    made("no author", author=None)
    made("no time", author=b"E <e@e>", when=b"")
    made("the year 1", when=b"-62135596800 +0000")
    made("the year 300 000", when=b"9400000000000 +0000")
    made("NUL", message=b"a\0b")
    made("not UTF-8", message=b"\xff\xfe", author=b"\xff <\xfe>")
    made("parents that are missing", parents=[b"1" * 40])
    made("20 000 parents", parents="many")
    made("its own tree twice", extra=b"tree " + b"0" * 40 + b"\n")
    case("commit: 3 000 in a row", make=lambda repo, parent, who: repo.chain(parent, who, 3000),
         who=("open", "eve"))
    case("commit: no ancestor", make=lambda repo, parent, who: repo.odd_commit(parent, who, parents=[]),
         who=("open", "eve"))
    case("ref: a file", make=lambda repo, parent, who: repo.blob(b"x"), who=("open",))
    case("ref: a folder", make=lambda repo, parent, who: repo.tree([]), who=("open",))
    case("ref: nothing", make=lambda repo, parent, who: "1" * 40, who=("open",))
    case("ref: garbage", make=lambda repo, parent, who: "x" * 40, who=("open",))
    for name, count, size in (("5 000 void tags", 5000, 10), ("a tag of 30 MB", 1, 30_000_000)):
        case(f"words: {name}", who=("eve",), core=size > 1000,
             after=lambda repo, count=count, size=size: repo.tags(count, size))


policies()
infrastructure()
rules()
trusted()
content()
trees()
commits()
