use super::*;
use crate::memory::MemoryTree;

fn evaluate(text: &str) -> Evaluated {
    let tree = MemoryTree::new([("dir/a.ncl", text)]);
    in_process(&tree).file("dir/a.ncl").unwrap()
}

/// Code, line and column of each finding.
fn found(text: &str) -> Vec<(String, u32, u32)> {
    let place = |finding: Finding| {
        let source = finding.source.unwrap();
        (finding.code.0, source.line, source.column)
    };
    evaluate(text).findings.into_iter().map(place).collect()
}

#[test]
fn values_are_data_with_places() {
    let evaluated = evaluate("let x = 3 in {\n  a = { b = [x, 'Tag] },\n  c | default = \"t\",\n}");
    assert_eq!(evaluated.findings, vec![]);
    let expected = serde_json::json!({ "a": { "b": [3, "Tag"] }, "c": "t" });
    assert_eq!(evaluated.value, Some(expected));
    let place = |path: &str| {
        let source = evaluated.source(&Path(path.to_owned())).unwrap();
        (source.file.as_str(), source.line, source.column)
    };
    assert_eq!(place("a"), ("dir/a.ncl", 2, 3));
    assert_eq!(place("a.b[1]"), ("dir/a.ncl", 2, 17));
    assert_eq!(place("c"), ("dir/a.ncl", 3, 17));
}

#[test]
fn helpers_give_references_and_secrets() {
    let text = "let stratum = import \"stratum.ncl\" in {\n\
        a = stratum.ref \"t.n.id\", b = stratum.fmt [\"x-\", stratum.ref \"t.n.id\"],\n\
        c = stratum.secret \"db/main\" \"password\", d = stratum.fmt [\"x\", 1] }";
    let evaluated = evaluate(text);
    assert_eq!(evaluated.findings, vec![]);
    let value = stratum_core::value::stored::value(evaluated.value.unwrap()).unwrap();
    let record = value.as_record().unwrap();
    let id = stratum_core::value::Value::reference(node::reference("t.n.id").unwrap());
    assert_eq!(record.get("a"), Some(&id));
    assert!(matches!(
        record.get("b"),
        Some(stratum_core::value::Value::Join(_))
    ));
    assert!(matches!(
        record.get("c"),
        Some(stratum_core::value::Value::Secret(_))
    ));
    assert_eq!(record.get("d").and_then(|d| d.as_text()), Some("x1"));
}

#[test]
fn each_mistake_has_its_code_and_place() {
    let cases: [(&str, &str, u32, u32); 14] = [
        ("{ a = ", "STR0201", 1, 7),
        ("{\n a = 1,\n\n\n", "STR0201", 2, 8),
        ("{ a = }", "STR0201", 1, 7),
        ("{ a = (1 : String) }", "STR0202", 1, 8),
        ("{\n a | String = 1 }", "STR0203", 2, 15),
        (
            "{ x | { a | Number } = {\n a = 1, b = 2 } }",
            "STR0204",
            1,
            24,
        ),
        (
            "let C = { a | Number } in\n{ x | C = {} }",
            "STR0205",
            2,
            11,
        ),
        ("{ x = { a | Number } }", "STR0205", 1, 7),
        ("{ x = { a = 1 } & { a = 2 } }", "STR0206", 1, 13),
        ("{ x = y, y = x }", "STR0207", 1, 7),
        ("{ x = 1 + \"a\" }", "STR0208", 1, 11),
        ("{ x = fun y => y }", "STR0209", 1, 7),
        ("{ x = 'Foo 1 }", "STR0209", 1, 7),
        ("{ x = { a = 1 }.b }", "STR0306", 1, 7),
    ];
    for (text, code, line, column) in cases {
        assert_eq!(
            found(text),
            vec![(code.to_owned(), line, column)],
            "{text}: {:#?}",
            evaluate(text).findings
        );
    }
}

#[test]
fn all_mistakes_of_a_file_are_found() {
    let text =
        "{\n  a | String = 1,\n  b = { c | Number = \"x\", d = 5 },\n  e = [1, 2 + \"y\"],\n}";
    let lines: Vec<u32> = found(text).into_iter().map(|(_, line, _)| line).collect();
    assert_eq!(lines, vec![2, 3, 4]);
}

#[test]
fn a_contract_in_another_file_blames_the_person_who_breaks_it() {
    let tree = MemoryTree::new([
        ("a.ncl", "let C = import \"c.ncl\" in\n{ x | C = {} }"),
        ("c.ncl", "{ a | Number }"),
    ]);
    let evaluated = in_process(&tree).file("a.ncl").unwrap();
    let places: Vec<_> = evaluated
        .findings
        .iter()
        .map(|f| f.source.clone().unwrap())
        .collect();
    assert_eq!(places, vec![Source::new("a.ncl", 2, 11)]);
    assert_eq!(evaluated.closure.0.len(), 2);
}

#[test]
fn endless_structures_end() {
    assert_eq!(found("{ a = { b = a } }")[0].0, "STR0211");
}

/// The holes of a list of a million would take more than the list.
#[test]
fn of_what_is_too_large_nothing_is_answered() {
    for large in [
        "std.array.range 0 20000",
        "std.array.replicate 20000 { b = [[[0]]] }",
    ] {
        let blob = protocol::Blob {
            path: "a.ncl".to_owned(),
            format: protocol::Format::Nickel,
            text: format!("{{ a.c = {large} }}"),
            shipped: false,
        };
        let request = protocol::Request {
            root: "/none".to_owned(),
            main: "a.ncl".to_owned(),
            blobs: vec![blob],
            balance: false,
            contract: None,
            most: 1 << 20,
        };
        let answer = program::Machine::new().unwrap().answer(&request);
        assert_eq!(answer.value.len(), 1, "{large}");
        assert_eq!(answer.findings[0].code.0, "STR0211", "{large}");
        assert_eq!(answer.findings.len(), 1, "{large}");
    }
}

#[test]
fn a_record_in_many_pieces_is_the_same_record() {
    let pieces = |count: usize| {
        let text: String = (0..count)
            .map(|n| {
                format!(
                    "  a.r{n} = {{ n = {n}, next = a.r{}.n }},\n",
                    (n + 1) % count
                )
            })
            .collect();
        evaluate(&format!("{{\n{text}}}"))
    };
    let (few, many) = (pieces(5), pieces(100));
    assert_eq!((&few.findings, &many.findings), (&vec![], &vec![]));
    let many_value = many.value.unwrap();
    assert_eq!(
        many_value["a"]["r41"],
        serde_json::json!({ "n": 41, "next": 42 })
    );
    assert_eq!(many_value["a"].as_object().unwrap().len(), 100);
    assert_eq!(
        many.sources
            .get(&Path("a.r41.n".to_owned()))
            .map(|s| s.line),
        Some(43)
    );
}

#[test]
fn pieces_that_conflict_are_found_where_they_stand() {
    let text: String = (0..40).map(|n| format!("a.r{} = {n},\n", n % 39)).collect();
    let rows = found(&format!("{{\n{text}}}"));
    assert_eq!((rows.len(), rows[0].0.as_str()), (1, "STR0206"));
    assert!([2, 41].contains(&rows[0].1), "{rows:?}");
}
