//! Hosts that steps may reach.

use crate::document::Item;
use crate::shape::Shape;

/// Looks at the list `network` of `item`.
pub(super) fn network(shape: &mut Shape<'_>, item: &Item<'_>) {
    for (host, text) in shape.texts(item, "network") {
        if !is_host(text) {
            let message = format!("`{text}` is not a host");
            let hint = "`example.org`, `example.org:443` or `*.example.org`, without `https://`";
            shape.error(host.source(), message, Some(hint.to_owned()));
        }
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = text
        .split_once(':')
        .map_or((text, None), |(name, port)| (name, Some(port)));
    let name = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    name.split('.').all(label)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn hosts_are_names_with_a_port_at_most() {
        for host in ["example.org", "*.example.org", "10.0.0.1:8080", "localhost"] {
            assert!(is_host(host), "{host}");
        }
        for host in [
            "https://example.org",
            "example.org/x",
            "*",
            "",
            "a..b",
            "a:b",
            "a:0",
        ] {
            assert!(!is_host(host), "{host}");
        }
    }
}
