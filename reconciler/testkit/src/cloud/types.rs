//! The types of the cloud.

use std::collections::BTreeMap;
use std::time::Duration;

use stratum_core::ports::{AttributeSchema, Effect, TypeSchema, ValueType};
use stratum_core::resource::Timeouts;

fn attribute(r#type: ValueType) -> AttributeSchema {
    AttributeSchema {
        doc: "An attribute.".to_owned(),
        r#type,
        required: false,
        computed: false,
        settable: true,
        sensitive: false,
        sealed: false,
        write_only: false,
        replaces: false,
        default: None,
    }
}

fn computed(r#type: ValueType) -> AttributeSchema {
    AttributeSchema {
        computed: true,
        settable: false,
        ..attribute(r#type)
    }
}

/// `cloud_thing`; its version 1 calls the name `label`.
pub(super) fn thing(version: u32) -> TypeSchema {
    let login = BTreeMap::from([
        ("user".to_owned(), attribute(ValueType::Text)),
        (
            "password".to_owned(),
            AttributeSchema {
                sensitive: true,
                ..attribute(ValueType::Text)
            },
        ),
    ]);
    let name = if version == 1 { "label" } else { "name" };
    let attributes = [
        (name, attribute(ValueType::Text)),
        ("size", attribute(ValueType::Number)),
        ("tags", attribute(ValueType::Set(Box::new(ValueType::Text)))),
        ("extra", attribute(ValueType::Any)),
        ("image", attribute(ValueType::Text)),
        (
            "login",
            attribute(ValueType::List(Box::new(ValueType::Object(login)))),
        ),
        (
            "zone",
            AttributeSchema {
                replaces: true,
                ..attribute(ValueType::Text)
            },
        ),
        (
            "token",
            AttributeSchema {
                write_only: true,
                ..attribute(ValueType::Text)
            },
        ),
        ("id", computed(ValueType::Text)),
        ("region", computed(ValueType::Text)),
        ("serial", computed(ValueType::Number)),
    ];
    TypeSchema {
        doc: "A thing in the cloud.".to_owned(),
        version,
        effect: Effect::World,
        place: None,
        twice: true,
        reads: false,
        timeouts: Timeouts {
            create: Some(Duration::from_secs(90)),
            ..Timeouts::default()
        },
        attributes: attributes.map(|(name, one)| (name.to_owned(), one)).into(),
    }
}

/// `cloud_image`, which is only read.
pub(super) fn image() -> TypeSchema {
    let attributes = [
        ("name", attribute(ValueType::Text)),
        ("id", computed(ValueType::Text)),
    ];
    TypeSchema {
        doc: "An image that is there.".to_owned(),
        version: 1,
        effect: Effect::StateOnly,
        place: None,
        twice: false,
        reads: true,
        timeouts: Timeouts::default(),
        attributes: attributes.map(|(name, one)| (name.to_owned(), one)).into(),
    }
}
