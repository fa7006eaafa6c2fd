use super::*;
use crate::evaluate::in_process_with;
use crate::memory::{MemoryTree, local_schema};
use stratum_core::ports::{Diagnostic, Severity};
use stratum_core::value::{Path, Value};

fn read(files: &[(&str, &str)]) -> Infrastructure {
    let tree = MemoryTree::new(files.iter().copied());
    let evaluator = in_process_with(&tree, vec![local_schema()]);
    let validate: Validate = Arc::new(|_, record, _| {
        let bad = record.get("content").and_then(Value::as_text) == Some("bad");
        let complaint = || Diagnostic {
            severity: Severity::Error,
            path: Path::of("content"),
            message: "is bad".to_owned(),
            hint: Some("be good".to_owned()),
        };
        bad.then(complaint).into_iter().collect()
    });
    let environment = EnvironmentName::new("e").unwrap();
    let root = Some("/srv/./shop/");
    load(&evaluator, &[local_schema()], &validate, &environment, root).unwrap()
}

/// Code, file, line, column and hint of each finding.
fn found(files: &[(&str, &str)]) -> Vec<(String, String, u32, u32, Option<String>)> {
    let row = |finding: Finding| {
        let source = finding.source.unwrap();
        (
            finding.code.0,
            source.file,
            source.line,
            source.column,
            finding.hint,
        )
    };
    read(files).findings.into_iter().map(row).collect()
}

fn resource<'a>(found: &'a Infrastructure, local: &str) -> &'a Resource {
    found
        .resources
        .get(&format!("e/{local}").parse().unwrap())
        .unwrap()
}

#[test]
fn plain_records_become_resources_with_references_and_sources() {
    let found = read(&[(
        "infra/e.ncl",
        "{\n  local_directory.site = { path = \"site\" },\n  local_file.index = {\n    path = \"site/index.html\",\n    \
         content = local_data.x.id,\n    meta = { depends_on = [\"local_directory.site\"] },\n  },\n  \
         local_data.x = { input = { mode = local_file.index.mode } },\n}",
    )]);
    assert_eq!(found.findings, vec![]);
    let index = resource(&found, "local_file.index");
    let id = crate::evaluate::node::reference("local_data.x.id").unwrap();
    assert_eq!(index.attributes.get("content"), Some(&Value::reference(id)));
    assert_eq!(
        index.attributes.len(),
        2,
        "computed attributes and defaults are not in it"
    );
    assert_eq!(index.meta.depends_on[0].to_string(), "local_directory.site");
    let line = |path: &str| {
        index
            .source(&Path(path.to_owned()))
            .map(|s| (s.line, s.column))
    };
    assert_eq!(line(""), Some((3, 14)));
    assert_eq!(line("path"), Some((4, 12)));
    assert_eq!(line("meta.depends_on[0]"), Some((6, 28)));
    let input = resource(&found, "local_data.x")
        .attributes
        .get("input")
        .unwrap();
    assert_eq!(
        input.as_record().unwrap().get("mode"),
        Some(&Value::text("0644"))
    );
}

#[test]
fn files_are_merged_and_reach_each_other_by_ref() {
    let a = "{ local_data.a = { input = 1 } }";
    let b = "let stratum = import \"stratum.ncl\" in\n{ local_file.b = { path = \"b\", \
             content = stratum.fmt [\"r-\", stratum.ref \"local_data.a.id\"] } }";
    let found = read(&[
        ("infra/e/a.ncl", a),
        ("infra/e/b.ncl", b),
        ("infra/e/n.json", "{}"),
    ]);
    assert_eq!(found.findings, vec![]);
    assert!(matches!(
        resource(&found, "local_file.b").attributes.get("content"),
        Some(Value::Join(_))
    ));
    let keys: Vec<&str> = found.closure.0.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "infra/e",
            "infra/e.ncl",
            "infra/e/a.ncl",
            "infra/e/b.ncl",
            "infra/e/stratum.ncl"
        ]
    );
}

#[test]
fn each_mistake_of_a_resource_has_one_finding_with_place_and_hint() {
    let cases: &[(&str, &str, u32, u32, Option<&str>)] = &[
        (
            "{ local_flie.a = { path = \"a\" } }",
            "STR0301",
            1,
            3,
            Some("did you mean `local_file`?"),
        ),
        (
            "{ local_file.a = { path = \"a\",\n contnet = \"x\" } }",
            "STR0302",
            2,
            2,
            Some("did you mean `content`?"),
        ),
        (
            "{ local_file = {\n  a = { content = \"x\" } } }",
            "STR0303",
            2,
            3,
            Some("add `path = ...`: Where."),
        ),
        ("{ local_file.a = { path = 5 } }", "STR0304", 1, 27, None),
        (
            "{ local_file.a = { path = \"a\", sha256 = \"x\" } }",
            "STR0305",
            1,
            41,
            Some("take it away"),
        ),
        (
            "{ local_file.a = { path = \"a\", content = local_data.b.idd },\n local_data.b = {} }",
            "STR0306",
            1,
            42,
            Some("did you mean `id`?"),
        ),
        (
            "{ local_file.a = { path = \"a\", content = local_data.c.id },\n local_data.b = {} }",
            "STR0306",
            1,
            42,
            Some("did you mean `b`?"),
        ),
        (
            "{ local_file.a = { path = \"a\", content = \"r-%{local_data.b.id}\" },\n local_data.b = {} }",
            "STR0208",
            1,
            47,
            Some(
                "the value is not known before an apply; join text with `stratum.fmt [\"...\", x.id]` from `import \"stratum.ncl\"`",
            ),
        ),
        (
            "{ local_file.a = { path = \"a\", content = local_file.b.bytes }, local_file.b = { path = \"b\" } }",
            "STR0304",
            1,
            32,
            None,
        ),
        (
            "{ local_file.a = { path = \"a\",\n content = \"bad\" } }",
            "STR0309",
            2,
            12,
            Some("be good"),
        ),
        (
            "{ local_file.a = { path = \"a\",\n meta = { protekt = true } } }",
            "STR0311",
            2,
            11,
            Some("did you mean `protect`?"),
        ),
        (
            "{ local_file.a = { path = \"a\",\n meta = { depends_on = [\"x\"] } } }",
            "STR0311",
            2,
            25,
            None,
        ),
        (
            "{ local_file.a = { path = \"a\",\n meta = { depends_on = [\"local_file.b\"] } } }",
            "STR0306",
            2,
            25,
            Some("did you mean `local_file.a`?"),
        ),
        (
            "{ local_file.a = { path = \"x/a\" },\n local_file.b = { path = \"./x//a\" } }",
            "STR0310",
            2,
            26,
            Some("give one of them another place"),
        ),
        (
            "{ local_file.a = { path = \"/srv/shop/x/a\" },\n local_file.b = { path = \"x/a\" } }",
            "STR0310",
            2,
            26,
            Some("give one of them another place"),
        ),
        (
            "{ local_file.a = { path = \"x\" },\n local_file.b = { path = \"/srv/shop/x/y\" } }",
            "STR0310",
            2,
            26,
            Some("give one of them another place, or make the outer one a folder"),
        ),
        (
            "{ local_data.a = { input = local_data.b.id }, local_data.b = { input = local_data.a.id } }",
            "STR0307",
            1,
            14,
            Some("take one of these references or `depends_on` entries away"),
        ),
        ("{ local_file.a = 5 }", "STR0304", 1, 14, None),
        (
            "{ local_file.a = { pth = \"a\" } }",
            "STR0302",
            1,
            20,
            Some("did you mean `path`?"),
        ),
        ("[1]", "STR0304", 1, 1, None),
        ("{ local_data = 5 }", "STR0304", 1, 3, None),
        (
            "{ local_data.a = {}, local_data = 5 }",
            "STR0206",
            1,
            14,
            Some("give the value that should win `priority` or `force`, or take one away"),
        ),
        ("let local_data = 1 in [local_data]", "STR0304", 1, 23, None),
    ];
    for (text, code, line, column, hint) in cases {
        let expected = (
            (*code).to_owned(),
            "infra/e.ncl".to_owned(),
            *line,
            *column,
            hint.map(str::to_owned),
        );
        let all = read(&[("infra/e.ncl", text)]).findings;
        assert_eq!(
            found(&[("infra/e.ncl", text)]),
            vec![expected],
            "{text}: {all:#?}"
        );
    }
}

#[test]
fn two_files_that_define_one_address_are_named_both() {
    let text = "{ local_data.a = {} }";
    let found = read(&[("infra/e/a.ncl", text), ("infra/e/b.ncl", text)]);
    assert_eq!(found.findings.len(), 1);
    let finding = &found.findings[0];
    assert_eq!(finding.code.0, "STR0308");
    assert_eq!(finding.source, Some(Source::new("infra/e/b.ncl", 1, 14)));
    assert!(
        finding.message.contains("infra/e/a.ncl:1:14"),
        "{}",
        finding.message
    );
}

#[test]
fn a_reference_across_files_that_leads_nowhere_is_found() {
    let text = "let s = import \"stratum.ncl\" in {\n local_data.a = { input = s.ref \"local_data.b.id\" } }";
    let rows = found(&[
        ("infra/e/a.ncl", text),
        ("infra/e/b.ncl", "{ local_data.bb = {} }"),
    ]);
    assert_eq!(
        (rows.len(), rows[0].0.as_str(), rows[0].2),
        (1, "STR0306", 2)
    );
}

#[test]
fn references_do_not_get_false_findings_from_a_file_that_failed() {
    let good = "let s = import \"stratum.ncl\" in { local_data.a = { input = s.ref \"local_data.b.id\" } }";
    let rows = found(&[
        ("infra/e/a.ncl", good),
        ("infra/e/b.ncl", "{ local_data.b = }"),
    ]);
    assert_eq!((rows.len(), rows[0].0.as_str()), (1, "STR0201"));
}

#[test]
fn annotations_of_people_change_nothing() {
    let plain = "{ local_data.b = {}, local_file.a = { path = \"a\", content = local_data.b.id } }";
    let annotated = "let p = import \"provider/local.ncl\" in { local_data.b = {}, \
        local_file.a | p.local_file = { path = \"a\", content = local_data.b.id } } | p.Stack";
    let (plain, annotated) = (
        read(&[("infra/e.ncl", plain)]),
        read(&[("infra/e.ncl", annotated)]),
    );
    assert_eq!(annotated.findings, vec![]);
    let attributes = |found: Infrastructure| -> Vec<Record> {
        found
            .resources
            .into_values()
            .map(|resource| resource.attributes)
            .collect()
    };
    assert_eq!(attributes(annotated), attributes(plain));
}

#[test]
fn layers_and_hidden_fields_are_left_out() {
    let found = read(&[
        (
            "infra/e.ncl",
            "(import \"../layers/base.ncl\") & { greeting = \"hi\" }",
        ),
        (
            "layers/base.ncl",
            "{ greeting | not_exported | default = \"x\", local_file.a = { path = \"a\", content = greeting } }",
        ),
    ]);
    assert_eq!(found.findings, vec![]);
    let content = resource(&found, "local_file.a")
        .attributes
        .get("content")
        .cloned();
    assert_eq!(content, Some(Value::text("hi")));
}

#[test]
fn a_default_of_a_layer_wins_over_the_default_of_the_schema() {
    let text = "{ local_file.a = { path = \"a\", mode | default = \"0600\" }, local_data.b = { input = local_file.a.mode } }";
    let found = read(&[("infra/e.ncl", text)]);
    assert_eq!(found.findings, vec![]);
    let mode = resource(&found, "local_file.a").attributes.get("mode");
    assert_eq!(
        mode,
        resource(&found, "local_data.b").attributes.get("input")
    );
    assert_eq!(mode, Some(&Value::text("0600")));
}

#[test]
fn the_slow_form_is_named_once() {
    let pieces: String = (0..=MANY_PIECES)
        .map(|n| format!("local_data.r{n} = {{}},\n"))
        .collect();
    let rows = found(&[("infra/e.ncl", &format!("{{\n{pieces}}}"))]);
    assert_eq!(
        (rows.len(), rows[0].0.as_str(), rows[0].2),
        (1, "STR0212", 2)
    );
}

#[test]
fn mistakes_that_nickel_finds_do_not_hide_those_that_the_schema_finds() {
    let text = "{\n  local_file.a = { path = 1 + \"x\", contnet = \"x\" },\n  \
        local_file.b = { content = local_data.d.idd },\n  local_data.d = { input = [1, 2 + \"y\"] },\n}";
    let mut rows: Vec<(u32, String)> = found(&[("infra/e.ncl", text)])
        .into_iter()
        .map(|(code, _, line, ..)| (line, code))
        .collect();
    rows.sort();
    let expected = [
        (2, "STR0208"),
        (2, "STR0302"),
        (3, "STR0303"),
        (3, "STR0306"),
        (4, "STR0208"),
    ];
    assert_eq!(rows, expected.map(|(line, code)| (line, code.to_owned())));
}
