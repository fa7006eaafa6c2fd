//! Texts about remotes, without the credentials in their addresses.

/// Replaces what stands between `://` and `@` in every address of `text` with `***`.
///
/// *Guarantees*: no user name, password or token of an address `scheme://user:password@host` is
/// left. The scp-like form `git@host:path` has a user and no password, and is left as it is.
pub(crate) fn redact(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let end = after
            .find(|c: char| c == '/' || c == '\'' || c == '"' || c.is_whitespace())
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                clean.push_str("***@");
                clean.push_str(host);
            }
            None => clean.push_str(authority),
        }
        rest = tail;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_gone_and_the_rest_stays() {
        for (text, clean) in [
            (
                "fatal: unable to access 'https://me:s3cr3t@example.org/a.git/': no",
                "fatal: unable to access 'https://***@example.org/a.git/': no",
            ),
            (
                "https://token@h/x and ssh://a:b@c",
                "https://***@h/x and ssh://***@c",
            ),
            ("https://a:p@ss@h/x", "https://***@h/x"),
            ("https://example.org/a@b", "https://example.org/a@b"),
            ("git@example.org:a.git", "git@example.org:a.git"),
            ("", ""),
        ] {
            assert_eq!(redact(text), clean);
        }
    }
}
