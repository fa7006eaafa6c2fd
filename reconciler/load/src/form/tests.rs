use stratum_core::finding::Finding;

use super::*;
use crate::memory::MemoryTree;

const FILE: &str = "forms/new-postgres.toml";

const GOOD: &str = r#"schema = 1
id = "new-postgres"
title = { fluent = "postgres-title" }
output = { path = "infra/{{ env }}/{{ name }}.ncl", module = "modules/postgres.ncl" }
answers = "infra/{{ env }}/.{{ name }}.answers.toml"

[[page]]
id = "basics"
title = "Basics"

[[field]]
id = "name"
page = "basics"
kind = "text"
label = "Name"
required = true
pattern = "^[a-z][a-z0-9-]{1,30}$"
immutable = true

[[field]]
id = "env"
page = "basics"
kind = "select"
label = "Environment"
choices = { from = "environments" }

[[field]]
id = "password"
page = "basics"
kind = "secret"
label = "Password"
when = "env == 'production'"
seal = { path = "{{ name }}/admin", key = "password" }

[[field]]
id = "size"
page = "basics"
kind = "select"
label = "Size"
choices = ["small", { value = "large", label = "Large" }]
default = "small"

[[field]]
id = "network"
page = "basics"
kind = "group"
label = "Network"
  [[field.fields]]
  id = "cidr"
  kind = "cidr"
  label = "Range"

[[field]]
id = "host"
page = "basics"
kind = "computed"
label = "Host"
expression = "name ~ '.' ~ env"

[[check]]
when = "env == 'production' and name.startswith('tmp')"
message = "production takes no temporary names"
fields = ["name", "password"]
"#;

const TEXTS: &str = "# Titles\npostgres-title = New PostgreSQL\n    .short = PG\n";

fn tree() -> MemoryTree {
    MemoryTree::new([
        ("modules/postgres.ncl", "{}"),
        ("forms/locales/en/postgres.ftl", TEXTS),
    ])
}

fn show(findings: &[Finding]) -> Vec<String> {
    assert!(
        findings.iter().all(|finding| finding.hint.is_some()),
        "{findings:?}"
    );
    let line = |f: &Finding| {
        let source = f.source.as_ref().unwrap();
        let file = source.file.replace(FILE, "f");
        format!(
            "{} {file}:{}:{} {}",
            f.code, source.line, source.column, f.message
        )
    };
    findings.iter().map(line).collect()
}

fn read_in(text: &str, tree: &MemoryTree) -> (Option<Read>, Vec<String>) {
    let mut reading = Reading::new(tree);
    let texts = texts(&mut reading).unwrap();
    let read = form(FILE, text, &texts, &mut reading).unwrap();
    (read, show(&reading.findings))
}

/// What is found when `from` is written `to`.
fn found(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    read_in(&GOOD.replacen(from, to, 1), &tree()).1
}

fn cases(cases: &[(&str, &str, &str)]) {
    for (from, to, expected) in cases {
        assert_eq!(found(from, to), [*expected], "{to}");
    }
}

#[test]
fn a_right_form_is_read_with_the_files_it_names() {
    let (read, findings) = read_in(GOOD, &tree());
    assert_eq!(findings, [""; 0]);
    let read = read.unwrap();
    assert_eq!(
        (read.id.as_str(), read.title.as_str()),
        ("new-postgres", "New PostgreSQL")
    );
    let files: Vec<&str> = read.files.iter().map(String::as_str).collect();
    assert_eq!(
        files,
        ["forms/locales/en/postgres.ftl", "modules/postgres.ncl"]
    );
}

#[test]
fn toml_keys_and_types_are_looked_at() {
    cases(&[(
        "id = \"new",
        "id == \"new",
        "STR0501 f:2:5 not TOML: extra `=`, expected nothing",
    )]);
    assert_eq!(
        found("answers =", "answer ="),
        [
            "STR0501 f:1:1 form lacks `answers`",
            "STR0501 f:5:1 form has no key `answer`"
        ]
    );
    cases(&[
        (
            "schema = 1",
            "schema = 2",
            "STR0501 f:1:10 forms of schema 2 are not known",
        ),
        (
            "\"new-postgres\"",
            "\"new postgres\"",
            "STR0501 f:2:6 `id` must be letters, digits, `-` and `_`, not the text `new postgres`",
        ),
        (
            "\"infra/{{ env }}/{{ name",
            "\"../{{ env }}/{{ name",
            "STR0501 f:4:19 `path` leads out of the repository",
        ),
        (
            "title = \"Basics\"",
            "title = 7",
            "STR0501 f:9:9 `title` must be a text, not the number `7`",
        ),
        (
            "required = true",
            "requird = true",
            "STR0501 f:16:1 field has no key `requird`",
        ),
        (
            "required = true",
            "required = 1",
            "STR0501 f:16:12 `required` must be true or false, not the number `1`",
        ),
        (
            "kind = \"computed\"",
            "kind = \"computd\"",
            "STR0501 f:56:8 `computd` is not a known `kind`",
        ),
        (
            "default = \"small\"",
            "default = [1]",
            "STR0501 f:41:11 `default` must be one choice, not a list",
        ),
        (
            "fields = [\"name\"",
            "field = [\"name\"",
            "STR0501 f:63:1 check has no key `field`",
        ),
    ]);
}

#[test]
fn a_hint_names_the_misspelt_key() {
    let tree = tree();
    let mut reading = Reading::new(&tree);
    let text = GOOD.replacen("required", "requird", 1);
    form(FILE, &text, &Texts::default(), &mut reading).unwrap();
    assert_eq!(
        reading.findings[0].hint.as_deref(),
        Some("did you mean `required`?")
    );
}

#[test]
fn ids_pages_and_the_needs_of_kinds() {
    assert_eq!(
        found("id = \"size\"", "id = \"env\"")[0],
        "STR0502 f:36:6 field id `env` is used twice"
    );
    assert_eq!(
        found("id = \"cidr\"", "id = \"env\"")[0],
        "STR0502 f:49:8 field id `env` is used twice"
    );
    let page = "[[page]]\nid = \"basics\"\ntitle = \"B\"\n\n[[field]]";
    assert_eq!(
        found("[[field]]", page),
        ["STR0502 f:12:6 page id `basics` is used twice"]
    );
    cases(&[
        (
            "id = \"size\"",
            "id = \"si-ze\"",
            "STR0501 f:36:6 `si-ze` cannot be a field id: expressions name it",
        ),
        (
            "page = \"basics\"\nkind = \"group\"",
            "page = \"basic\"\nkind = \"group\"",
            "STR0502 f:45:8 field `network` stands on page `basic`, which is not there",
        ),
        (
            "page = \"basics\"\nkind = \"group\"",
            "kind = \"group\"",
            "STR0502 f:43:1 field `network` has no page",
        ),
        (
            "choices = { from = \"environments\" }\n",
            "",
            "STR0502 f:20:1 field `env` needs `choices`",
        ),
        (
            "seal = { path = \"{{ name }}/admin\", key = \"password\" }\n",
            "",
            "STR0502 f:27:1 field `password` needs `seal`",
        ),
        (
            "expression = \"name ~ '.' ~ env\"\n",
            "",
            "STR0502 f:53:1 field `host` needs `expression`",
        ),
        (
            "kind = \"group\"",
            "kind = \"text\"",
            "STR0502 f:48:3 field `network` of kind `text` cannot have `fields`",
        ),
        (
            "required = true",
            "confirm = true",
            "STR0502 f:16:11 field `name` of kind `text` cannot have `confirm`",
        ),
    ]);
}

#[test]
fn choices_come_from_somewhere() {
    cases(&[
        (
            "\"environments\"",
            "\"enviroments\"",
            "STR0502 f:25:20 choices cannot come from `enviroments`",
        ),
        (
            "\"environments\"",
            "\"nickel:catalog.ncl\"",
            "STR0505 f:25:20 there is no file `catalog.ncl`",
        ),
        (
            "\"environments\"",
            "\"knowledge:patern\"",
            "STR0502 f:25:20 there is no type of knowledge `patern`",
        ),
        (
            "\"environments\"",
            "\"glob:a[\"",
            "STR0503 f:25:20 `a[` is not a pattern for paths: unclosed character class; missing ']'",
        ),
        (
            "\"environments\"",
            "\"glob:modules/*.json\"",
            "STR0505 f:25:20 `modules/*.json` matches no file",
        ),
        (
            "{ from = \"environments\" }",
            "[]",
            "STR0501 f:25:11 `choices` is empty",
        ),
    ]);
    for from in [
        "nickel:modules/postgres.ncl",
        "knowledge:decision",
        "glob:modules/*.ncl",
        "glob:**/*.ncl",
    ] {
        assert_eq!(
            found("\"environments\"", &format!("\"{from}\"")),
            [""; 0],
            "{from}"
        );
    }
    let filtered = "\"environments\", where = \"item != size\"";
    assert_eq!(found("\"environments\"", filtered), [""; 0]);
}

#[test]
fn expressions_templates_and_patterns_parse_and_name_fields() {
    let parse = found("when = \"env == 'production'\"", "when = \"env ==\"");
    assert!(
        parse.len() == 1 && parse[0].starts_with("STR0503 f:32:8 `when` does not parse: "),
        "{parse:?}"
    );
    let template = found("{{ env }}/.", "{{ env }/.");
    assert!(
        template.len() == 1 && template[0].starts_with("STR0503 f:5:11 `answers` does not parse: "),
        "{template:?}"
    );
    cases(&[
        (
            "when = \"env == 'production'\"",
            "when = \"envi == 'x'\"",
            "STR0503 f:32:8 there is no field `envi`",
        ),
        (
            "{{ name }}.ncl",
            "{{ nam }}.ncl",
            "STR0503 f:4:19 there is no field `nam`",
        ),
        (
            "{{ name }}/admin",
            "{{ nam }}/admin",
            "STR0503 f:33:17 there is no field `nam`",
        ),
        (
            "[\"name\", ",
            "[\"nme\", ",
            "STR0503 f:63:11 there is no field `nme`",
        ),
        (
            "name.startswith",
            "nme.startswith",
            "STR0503 f:61:8 there is no field `nme`",
        ),
        (
            "{{ name }}.ncl",
            "{{ password }}.ncl",
            "STR0503 f:4:19 `password` is a secret, and would be written in the clear",
        ),
        (
            "^[a-z][a-z0-9-]{1,30}$",
            "^[a-z",
            "STR0503 f:17:11 `pattern` is not a regular expression: unclosed character class",
        ),
        (
            "name ~ '.' ~ env",
            "host ~ name",
            "STR0503 f:54:6 fields depend on each other: `host` -> `host`",
        ),
    ]);
}

#[test]
fn the_module_is_there() {
    cases(&[(
        "modules/postgres.ncl",
        "modules/postgre.ncl",
        "STR0505 f:4:62 there is no file `modules/postgre.ncl`",
    )]);
}

#[test]
fn english_texts_are_there_and_fluent() {
    cases(&[(
        "postgres-title",
        "postgres-titel",
        "STR0504 f:3:20 there is no English text `postgres-titel`",
    )]);
    assert_eq!(found("postgres-title", "postgres-title.short"), [""; 0]);
    let label = found("label = \"Range\"", "label = { fluent = \"range\" }");
    assert_eq!(label, ["STR0504 f:51:22 there is no English text `range`"]);
    let german = tree().with(
        "forms/locales/de/x.ftl",
        stratum_core::ports::TreeKind::File,
        b"a = b\nno!\n",
    );
    let broken = read_in(GOOD, &german).1;
    assert!(
        broken.len() == 1
            && broken[0].starts_with("STR0504 forms/locales/de/x.ftl:2:3 not fluent: "),
        "{broken:?}"
    );
    let missing = MemoryTree::new([
        ("modules/postgres.ncl", "{}"),
        ("forms/locales/de/x.ftl", TEXTS),
    ]);
    assert_eq!(
        read_in(GOOD, &missing).1,
        ["STR0504 f:3:20 there is no English text `postgres-title`"]
    );
}
