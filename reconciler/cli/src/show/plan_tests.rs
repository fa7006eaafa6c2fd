use super::*;
use crate::show::sample;

#[test]
fn a_plan_reads_like_this() {
    let expected = "\
\x20 + local_directory.site                        infra/staging.ncl:2
      id: (known after apply)
      path: \"site\"
  ~ local_file.index                            layers/site.ncl:9
      content:
        @@ -1,3 +1,3 @@
         a
        -b
        +B
         c
      key: (sensitive)
      mode: \"0644\" -> \"0600\"
-/+ local_symlink.www
      because `target` cannot change in place
      recreated: it can be made again, but loses its identity
      target: \"a\" -> \"b\"
  - local_exec.job
      because it is no longer in the repository
      irreversible: it cannot be put back
      denied: it is lost (no-loss)

drifted: local_file.motd differs in `mode` and is left so

Plan: 2 to add, 1 to change, 2 to destroy.
";
    let text = plan(&Theme::PLAIN, &sample::plan(), &sample::verdict());
    assert_eq!(text, expected);
}

#[test]
fn an_empty_plan_is_one_line() {
    let mut empty = sample::plan();
    empty.steps.clear();
    empty.drifted.clear();
    let text = plan(&Theme::PLAIN, &empty, &Verdict::default());
    assert_eq!(text, "Plan: 0 to add, 0 to change, 0 to destroy.\n");
}

#[test]
fn a_replace_is_as_denied_as_its_first_half() {
    let plan = sample::plan();
    let mut verdict = sample::verdict();
    let deny = verdict.steps.values().last().unwrap().clone();
    verdict.steps.insert(stratum_core::ids::StepId(2), deny);
    let make = plan.step(stratum_core::ids::StepId(3)).unwrap();
    let judged = judgement(&plan, make, &verdict).unwrap();
    assert_eq!(judged.decision, Decision::Deny);
    verdict.steps.remove(&stratum_core::ids::StepId(2));
    assert_eq!(judgement(&plan, make, &verdict), None);
}

#[test]
fn long_texts_are_cut_and_counted() {
    let long: String = (0..100).map(|n| format!("{n}\n")).collect();
    let change = Change {
        path: stratum_core::value::Path::of("content"),
        before: None,
        after: Some(Value::text(long)),
        sensitive: false,
        source: None,
    };
    let mut text = String::new();
    write_change(&mut text, &Theme::PLAIN, Action::Create, &change);
    assert!(
        text.ends_with("        +23\n        (76 more lines)\n"),
        "{text}"
    );
}
