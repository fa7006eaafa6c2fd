use super::*;

const PASSWORD: &str = "S3cr3t/Pass+w0rd&more";
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nshort\n-----END PRIVATE KEY-----\n";

fn hidden(secret: &str, said: &str) -> String {
    Redactor::new([secret]).text(said)
}

/// None of the parts of the secret is left in what was said, wherever it is cut into pieces.
fn gone(secret: &str, said: &str, parts: &[&str]) {
    let redactor = Redactor::new([secret]);
    let whole = redactor.text(said);
    for part in parts {
        assert!(
            said.contains(part),
            "the case is wrong: {part:?} in {said:?}"
        );
        assert!(!whole.contains(part), "{part:?} is left in {whole:?}");
    }
    for size in [1, 2, 3, 7, 64] {
        let mut stream = redactor.stream();
        let mut out = Vec::new();
        for piece in said.as_bytes().chunks(size) {
            stream.push(piece, &mut out);
        }
        stream.finish(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), whole, "in pieces of {size}");
    }
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn the_plain_text_goes_and_the_rest_stays() {
    assert_eq!(
        hidden(PASSWORD, &format!("pw={PASSWORD}\nnext")),
        "pw=(secret)\nnext"
    );
    assert_eq!(
        hidden("hunter2", "pw=hunter2 HUNTER2."),
        "pw=(secret) (secret)."
    );
    assert_eq!(
        hidden("abc", "abc stays: it is too short"),
        "abc stays: it is too short"
    );
    assert_eq!(Redactor::new([""]).text("all of it"), "all of it");
    assert!(Redactor::new(Vec::<String>::new()).is_empty());
}

#[test]
fn every_line_and_every_word_goes() {
    gone(PEM, &PEM.replace('\n', " "), &["MIIEvQ", "BKcwgg"]);
    gone(PEM, "out: BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj.", &["BKcwgg"]);
    gone(
        "one correcthorse two",
        "horse: correcthorse",
        &["correcthorse"],
    );
    gone(
        "a\r\nsecond-line here\r\n",
        "x second-line here",
        &["second-line"],
    );
}

#[test]
fn base64_goes_at_every_place_and_folded() {
    for before in ["", "a", "ab", "user:", "admin:x"] {
        for after in ["", "\n", "yz"] {
            let said = base64(&format!("{before}{PASSWORD}{after}"));
            let inner: String = said.chars().skip(4 + before.len() * 2).take(12).collect();
            gone(PASSWORD, &said, &[&inner]);
            let url = said.replace('+', "-").replace('/', "_").replace('=', "");
            let inner: String = url.chars().skip(4 + before.len() * 2).take(12).collect();
            gone(PASSWORD, &url, &[&inner]);
        }
    }
    let said = base64(PEM);
    let folded: Vec<&str> = said
        .as_bytes()
        .chunks(20)
        .map(|l| str::from_utf8(l).unwrap())
        .collect();
    gone(PEM, &folded.join("\n"), &[folded[1], folded[3]]);
    gone("hunter2", &base64("hunter2\n"), &["aHVudGV"]);
}

#[test]
fn hex_goes_in_either_case_and_in_groups() {
    let hex: String = PASSWORD.bytes().map(|byte| format!("{byte:02x}")).collect();
    gone(PASSWORD, &hex, &["533363"]);
    gone(PASSWORD, &hex.to_uppercase(), &["533363"]);
    let groups: Vec<&str> = hex
        .as_bytes()
        .chunks(2)
        .map(|two| str::from_utf8(two).unwrap())
        .collect();
    gone(PASSWORD, &groups.join(" "), &["53 33 63 72"]);
    let escaped: String = PASSWORD
        .bytes()
        .map(|byte| format!("\\x{byte:02x}"))
        .collect();
    gone(PASSWORD, &escaped, &["\\x33\\x63"]);
}

#[test]
fn escapes_of_urls_json_shells_and_html_go() {
    gone(
        PASSWORD,
        "?pw=S3cr3t%2FPass%2Bw0rd%26more&x=1",
        &["S3cr3t", "w0rd"],
    );
    gone(
        PASSWORD,
        "?pw=S3cr3t%2fPass%2bw0rd%26more",
        &["S3cr3t", "w0rd"],
    );
    gone(PASSWORD, "?pw=S3cr3t/Pass%2Bw0rd&more", &["S3cr3t", "w0rd"]);
    gone("blank and+plus here", "blank+and%2Bplus+here", &["plus"]);
    gone(
        "say \"hi\" to\nBob",
        r#"{"a":"say \"hi\" to\nBob"}"#,
        &["hi", "Bob"],
    );
    gone(
        "tab\tand ünicode ü",
        r"tab\tand \u00fcnicode \u00fc",
        &["nicode"],
    );
    gone(
        "it's a secret",
        r"+ echo 'it'\''s a secret'",
        &["secret'", "s a"],
    );
    gone("it's a secret", r#"echo 'it'"'"'s a secret'"#, &["s a"]);
    gone("two\nlines it is", r"$'two\nlines it is'", &["lines"]);
    gone("a b$c d(e) f", r"a\ b\$c\ d\(e\)\ f", &[r"b\$c"]);
    gone(
        "<tag attr=\"x\">&",
        "&lt;tag attr=&quot;x&quot;&gt;&amp;",
        &["tag attr"],
    );
    gone("pässwörter", r"p\303\244ssw\303\266rter", &["ssw"]);
}

#[test]
fn case_blanks_colours_and_wide_characters_do_not_help() {
    gone(PASSWORD, &PASSWORD.to_uppercase(), &["S3CR3T"]);
    gone("pässwörter", "PÄSSWÖRTER", &["SSW"]);
    gone(PASSWORD, "S3cr3t/Pas\ns+w0rd&\nmore", &["S3cr3t", "w0rd"]);
    gone(
        PASSWORD,
        "S3cr3t/\u{1b}[01;31m\u{1b}[KPass\u{1b}[m+w0rd&more",
        &["S3cr3t"],
    );
    let wide: String = PASSWORD.chars().flat_map(|c| [c, '\0']).collect();
    gone(PASSWORD, &wide, &["S\u{0}3\u{0}c"]);
}

#[test]
fn secrets_within_a_secret_go() {
    gone(
        r#"{"user":"bob","password":"correct-horse"}"#,
        "auth failed: correct-horse",
        &["correct-horse"],
    );
    gone(
        "postgres://app:correct-horse@db/x",
        "password correct-horse is wrong",
        &["correct-horse"],
    );
    gone(
        "export DB_PASSWORD=correct-horse",
        "got correct-horse",
        &["correct-horse"],
    );
    gone(
        "DB_PASSWORD='correct-horse'",
        "got correct-horse",
        &["correct-horse"],
    );
    gone(
        &base64("correct-horse"),
        "got correct-horse",
        &["correct-horse"],
    );
    gone(
        "https://u:correct%2Fhorse@h/",
        "got correct/horse",
        &["correct/horse"],
    );
    let nested = base64(r#"{"auths":{"r":{"auth":"Ym9iOmNvcnJlY3QtaG9yc2U="}}}"#);
    gone(&nested, "login bob:correct-horse", &["correct-horse"]);
}

#[test]
fn what_was_cut_off_at_the_end_goes() {
    assert_eq!(hidden(PASSWORD, "pw=S3cr3t/Pas"), "pw=(secret)");
    assert_eq!(hidden(PASSWORD, "pw=S3c"), "pw=S3c");
    assert_eq!(hidden(PASSWORD, "pw=S3cr3t or so"), "pw=S3cr3t or so");
}

#[test]
fn neighbours_and_overlaps_are_hidden_together() {
    let redactor = Redactor::new(["abcdefghij", "ghijklmnop"]);
    assert_eq!(redactor.text("<abcdefghijklmnop>"), "<(secret)>");
    assert_eq!(redactor.text("<abcdefghijabcdefghij>"), "<(secret)>");
    assert_eq!(
        redactor.text("<abcdefghij-abcdefghij>"),
        "<(secret)-(secret)>"
    );
}

#[test]
fn a_stream_is_bounded_and_linear() {
    let secret = "a".repeat(2000);
    let redactor = Redactor::new([&secret]);
    let mut stream = redactor.stream();
    let piece = vec![b'a'; 1 << 15];
    let mut out = Vec::new();
    for _ in 0..6 {
        stream.push(&piece, &mut out);
        let held = stream.held();
        assert!(held < 1 << 18, "{held} bytes are held");
    }
    stream.finish(&mut out);
    assert_eq!(out, HIDDEN.as_bytes());
    let mut stream = redactor.stream();
    let blanks = vec![b' '; 1 << 19];
    stream.push(b"aaaa", &mut out);
    for _ in 0..3 {
        stream.push(&blanks, &mut out);
    }
    let held = stream.held();
    assert!(held <= 1 << 20, "{held} bytes are held");
}

#[test]
fn secrets_that_are_too_large_hide_everything() {
    let secret: String = (0..40_000).map(|n| format!("line {n} of it\n")).collect();
    let redactor = Redactor::new([&secret]);
    assert_eq!(redactor.text("anything"), ALL_HIDDEN);
    assert_eq!(redactor.text(""), "");
}

#[test]
fn what_is_no_secret_stays_byte_for_byte() {
    let redactor = Redactor::new([PASSWORD, PEM, "hunter2"]);
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend_from_slice("%41 \\x4 &amp; \u{1b}[0m \\u12 %zz ü 'x' \"y\" a+b\r\n".as_bytes());
    for size in [1, 5, 1000] {
        let (mut stream, mut out) = (redactor.stream(), Vec::new());
        for piece in bytes.chunks(size) {
            stream.push(piece, &mut out);
        }
        stream.finish(&mut out);
        assert_eq!(out, bytes);
    }
}
