//! The two kinds of secrets that are made, and what each is made from.

use std::collections::BTreeMap;

use stratum_core::ports::{AttributeSchema, Complaint, Effect, TypeSchema, ValueType};
use stratum_core::secret::Secret;
use stratum_core::value::{Path, Record, SecretReference, Value};

use super::Maker;
use crate::schema::{
    attributes, complain_about_secrets, complaint, computed, defaulting, optional, text,
    with_defaults,
};

/// The attribute that says where the secret is kept.
pub const KEEP: &str = "keep";

/// What a password is made from.
const LENGTH: &str = "length";
const CHARACTERS: &str = "characters";

/// What a private key is made from.
const ALGORITHM: &str = "algorithm";

/// Anything whose change makes a new secret.
const KEEPERS: &str = "keepers";

/// How often a secret was made anew.
pub(super) const VERSION: &str = "version";

/// The public half of a private key.
pub(super) const PUBLIC_PEM: &str = "public_key_pem";
pub(super) const PUBLIC_SSH: &str = "public_key_openssh";

/// The length of a password that says none.
const USUAL_LENGTH: u64 = 32;

/// The lengths a password may have.
const LENGTHS: std::ops::RangeInclusive<u64> = 8..=1024;

/// What is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// A random password.
    Password,
    /// A private key.
    PrivateKey,
}

/// Every recipe.
pub(super) const ALL: [Recipe; 2] = [Recipe::Password, Recipe::PrivateKey];

impl Recipe {
    /// The recipe of a type of resource.
    pub fn of_type(name: &str) -> Option<Self> {
        ALL.into_iter().find(|recipe| recipe.type_name() == name)
    }

    /// The type of resource.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Password => "generated_password",
            Self::PrivateKey => "generated_private_key",
        }
    }

    /// The attribute that is the secret, and the key it is kept under.
    pub fn key(self) -> &'static str {
        match self {
            Self::Password => "result",
            Self::PrivateKey => "private_key_pem",
        }
    }

    /// Makes a secret for a resource.
    pub fn make(self, maker: &dyn Maker, record: &Record) -> Result<Secret, String> {
        match self {
            Self::Password => {
                let length = whole(record, LENGTH).unwrap_or(USUAL_LENGTH);
                let length = usize::try_from(length).map_err(|error| error.to_string())?;
                maker.password(length, text(record, CHARACTERS).unwrap_or("alphanumeric"))
            }
            Self::PrivateKey => maker.private_key(text(record, ALGORITHM).unwrap_or("ecdsa-p256")),
        }
    }

    /// What follows from the secret and everybody may know.
    pub(super) fn public(self, maker: &dyn Maker, secret: &Secret) -> Result<Record, String> {
        match self {
            Self::Password => Ok(Record::new()),
            Self::PrivateKey => {
                let public = maker.public_key(secret)?;
                Ok(Record::from([
                    (PUBLIC_PEM.to_owned(), Value::Text(public.pem)),
                    (PUBLIC_SSH.to_owned(), Value::Text(public.openssh)),
                ]))
            }
        }
    }

    /// The attributes whose change makes a new secret.
    pub(super) fn inputs(self) -> &'static [&'static str] {
        match self {
            Self::Password => &[LENGTH, CHARACTERS, KEEPERS, KEEP],
            Self::PrivateKey => &[ALGORITHM, KEEPERS, KEEP],
        }
    }

    /// The attributes that follow from the secret.
    pub(super) fn outputs(self) -> &'static [&'static str] {
        match self {
            Self::Password => &[],
            Self::PrivateKey => &[PUBLIC_PEM, PUBLIC_SSH],
        }
    }

    /// All attributes that are given, with what holds where nothing is.
    pub(super) fn complete(self, desired: &Record) -> Record {
        let mut whole = with_defaults(&self.schema(), desired);
        let keep = whole.entry(KEEP.to_owned());
        keep.or_insert_with(|| Value::text("state"));
        whole
    }

    pub(super) fn schema(self) -> TypeSchema {
        let (doc, own) = match self {
            Self::Password => ("A random password, made once.", password()),
            Self::PrivateKey => ("A private key, made once.", private_key()),
        };
        let keepers = optional("A change of it makes a new one.", ValueType::Any);
        let places = ["state", "branch"].map(str::to_owned).to_vec();
        let keep = optional(
            "Where it is kept; `secrets.generated` of the settings, which says `state` by itself.",
            ValueType::Choice(places),
        );
        let version = computed("How often it was made.", ValueType::Integer);
        let mut all = attributes([(KEEPERS, keepers), (KEEP, keep), (VERSION, version)]);
        all.extend(own);
        TypeSchema {
            doc: doc.to_owned(),
            version: 1,
            effect: Effect::World,
            place: None,
            twice: false,
            reads: false,
            timeouts: Default::default(),
            attributes: all,
        }
    }

    pub(super) fn validate(self, desired: &Record) -> Vec<Complaint> {
        let given: Record = desired
            .iter()
            .filter(|(name, _)| *name != self.key())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut complaints = complain_about_secrets(&given, &[]);
        let length = whole(desired, LENGTH);
        if length.is_some_and(|length| !LENGTHS.contains(&length)) {
            let message = format!("a password of {} letters", length.unwrap_or_default());
            let hint = format!("from {} to {} letters", LENGTHS.start(), LENGTHS.end());
            complaints.push(complaint(Path::of(LENGTH), message, &hint));
        }
        complaints
    }
}

fn sealed(doc: &str) -> AttributeSchema {
    AttributeSchema {
        sealed: true,
        ..computed(doc, ValueType::Text)
    }
}

fn password() -> BTreeMap<String, AttributeSchema> {
    let sets = ["alphanumeric", "digits", "hex", "printable"];
    let characters = optional(
        "The letters it is made of.",
        ValueType::Choice(sets.map(str::to_owned).to_vec()),
    );
    let mut length = optional("How many letters it has.", ValueType::Integer);
    length.default = Some(Value::Number(USUAL_LENGTH.into()));
    attributes([
        (LENGTH, length),
        (CHARACTERS, defaulting(characters, "alphanumeric")),
        ("result", sealed("The password, sealed.")),
    ])
}

fn private_key() -> BTreeMap<String, AttributeSchema> {
    let names = ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-3072"];
    let algorithm = optional(
        "Its algorithm.",
        ValueType::Choice(names.map(str::to_owned).to_vec()),
    );
    attributes([
        (ALGORITHM, defaulting(algorithm, "ecdsa-p256")),
        (
            "private_key_pem",
            sealed("The private key, sealed: PKCS #8 in PEM."),
        ),
        (
            PUBLIC_PEM,
            computed("The public key in PEM.", ValueType::Text),
        ),
        (
            PUBLIC_SSH,
            computed("The public key as SSH has it.", ValueType::Text),
        ),
    ])
}

/// A whole number of a record.
pub(super) fn whole(record: &Record, name: &str) -> Option<u64> {
    match record.get(name) {
        Some(Value::Number(number)) => number.as_u64(),
        _ => None,
    }
}

/// The sealed value that the repository has for a resource, as the loader put it there.
pub(super) fn given(recipe: Recipe, desired: &Record) -> Option<&SecretReference> {
    match desired.get(recipe.key()) {
        Some(Value::Secret(secret)) => Some(secret),
        _ => None,
    }
}

/// The lowest version that a sealed value in the repository must have for a resource.
///
/// *Shape*: `prior` is what the state knows, if it does.
pub fn proposed(recipe: Recipe, prior: Option<&Record>, desired: &Record) -> u64 {
    let Some(prior) = prior else { return 1 };
    let desired = recipe.complete(desired);
    let version = whole(prior, VERSION).unwrap_or(0);
    let same = |name: &&str| crate::schema::same(prior, &desired, name);
    match recipe.inputs().iter().all(same) {
        true => version,
        false => version.saturating_add(1),
    }
}
