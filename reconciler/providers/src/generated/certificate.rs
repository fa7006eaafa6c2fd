//! `generated_self_signed_cert`: a certificate for a private key, signed with it.
//!
//! It is no secret: it lies in the state as it is. It is made anew when anything changes that it is
//! made from, its private key included, and not when it comes to its end: change `keepers` then.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::duration;
use stratum_core::plan::Reversibility;
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, CheckpointCall, Complaint, Effect, ImportCall, LocateCall,
    Located, PlanCall, Proposal, ProviderError, ReadCall, Reading, RestoreCall, TypeSchema,
    ValueType, reveal,
};
use stratum_core::resource::{Instance, Opaque};
use stratum_core::value::{Path, Record, Value};

use super::{Certificate, Maker, not_adopted};
use crate::schema::{
    attributes, complain_about_duration, complain_about_secrets, complaint, computed, defaulting,
    optional, required, same, text, texts, with_defaults,
};
use crate::types::ResourceType;

/// The private key, which is a secret.
const KEY: &str = "private_key_pem";

/// The certificate.
const CERTIFICATE: &str = "cert_pem";

/// Until when it is good.
const NOT_AFTER: &str = "not_after";

/// What it is made from.
const INPUTS: [&str; 8] = [
    KEY,
    "common_name",
    "organization",
    "dns_names",
    "ip_addresses",
    "is_ca_certificate",
    "validity",
    "keepers",
];

/// Clocks of others may be behind by this much.
const EARLIER: Duration = Duration::from_secs(5 * 60);

/// The type.
pub(super) struct SelfSigned {
    maker: Arc<dyn Maker>,
    schema: TypeSchema,
}

impl SelfSigned {
    pub(super) fn new(maker: Arc<dyn Maker>) -> Self {
        let list = || ValueType::List(Box::new(ValueType::Text));
        let validity = optional("How long it is good.", ValueType::Duration);
        let schema = TypeSchema {
            doc: "A certificate, signed with its own key; made once.".to_owned(),
            version: 1,
            effect: Effect::StateOnly,
            place: None,
            attributes: attributes([
                (KEY, required("The private key, sealed.", ValueType::Text)),
                (
                    "common_name",
                    required("The common name of its subject.", ValueType::Text),
                ),
                (
                    "organization",
                    optional("The organisation of its subject.", ValueType::Text),
                ),
                (
                    "dns_names",
                    optional("The host names it is good for.", list()),
                ),
                (
                    "ip_addresses",
                    optional("The addresses it is good for.", list()),
                ),
                (
                    "is_ca_certificate",
                    optional("It may sign others.", ValueType::Bool),
                ),
                ("validity", defaulting(validity, "365d")),
                (
                    "keepers",
                    optional("A change of it makes a new one.", ValueType::Any),
                ),
                (
                    CERTIFICATE,
                    computed("The certificate in PEM.", ValueType::Text),
                ),
                (
                    NOT_AFTER,
                    computed("Until when it is good (UTC).", ValueType::Text),
                ),
            ]),
        };
        Self { maker, schema }
    }

    async fn make(&self, call: Call<'_>, planned: &Record) -> Result<Instance, ApplyError> {
        let key = planned.get(KEY).unwrap_or(&Value::Null);
        let opened = reveal(call.secrets, call.address, key);
        let opened = opened.await.map_err(|error| ApplyError {
            retry: error.retry(),
            ..ApplyError::nothing_happened(error.to_string())
        })?;
        let private =
            opened.ok_or_else(|| ApplyError::nothing_happened(format!("`{KEY}` is no text")))?;
        let says = says(planned).map_err(ApplyError::nothing_happened)?;
        let pem = self.maker.certificate(&private, &says);
        let pem = pem.map_err(ApplyError::nothing_happened)?;
        let mut attributes = planned.clone();
        attributes.insert(CERTIFICATE.to_owned(), Value::Text(pem));
        let until = Value::text(says.not_after.to_string());
        attributes.insert(NOT_AFTER.to_owned(), until);
        Ok(Instance {
            attributes,
            private: Opaque::default(),
        })
    }
}

/// What the certificate is to say.
fn says(planned: &Record) -> Result<Certificate, String> {
    let now = Timestamp::now();
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let validity = duration::parse(text(planned, "validity").unwrap_or("365d"))?;
    let far = |_| "it would be good for longer than times go".to_owned();
    Ok(Certificate {
        common_name: text(planned, "common_name").unwrap_or_default().to_owned(),
        organization: text(planned, "organization").map(str::to_owned),
        dns_names: texts(planned, "dns_names").unwrap_or_default(),
        ip_addresses: addresses(planned)?,
        is_authority: planned.get("is_ca_certificate") == Some(&Value::Bool(true)),
        not_before: now.checked_sub(EARLIER).map_err(far)?,
        not_after: now.checked_add(validity).map_err(far)?,
    })
}

fn addresses(record: &Record) -> Result<Vec<IpAddr>, String> {
    let texts = texts(record, "ip_addresses").unwrap_or_default();
    let read = |text: &String| {
        let parsed = text.parse::<IpAddr>();
        parsed.map_err(|_| format!("`{text}` is not an IP address"))
    };
    texts.iter().map(read).collect()
}

#[async_trait]
impl ResourceType for SelfSigned {
    fn schema(&self) -> &TypeSchema {
        &self.schema
    }

    fn validate(&self, desired: &Record) -> Vec<Complaint> {
        let mut complaints = complain_about_secrets(desired, &[KEY]);
        if let Some(Value::Text(_)) = desired.get(KEY) {
            let message = format!("`{KEY}` stands in the clear");
            let hint = "name a secret: `generated_private_key.x.private_key_pem`, or \
                        `stratum.secret`";
            complaints.push(complaint(Path::of(KEY), message, hint));
        }
        complaints.extend(complain_about_duration(desired, "validity"));
        if let Err(why) = addresses(desired) {
            complaints.push(complaint(Path::of("ip_addresses"), why, ""));
        }
        if text(desired, "common_name").is_some_and(|name| name.is_empty() || name.len() > 64) {
            let message = "`common_name` must have 1 to 64 bytes";
            let hint = "put long names into `dns_names`";
            complaints.push(complaint(Path::of("common_name"), message, hint));
        }
        complaints
    }

    fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        let mut planned = Record::new();
        if let Some(desired) = call.desired {
            planned = with_defaults(&self.schema, desired);
            let prior = call.prior.map(|prior| &prior.attributes);
            let kept = prior.filter(|prior| INPUTS.iter().all(|name| same(prior, &planned, name)));
            for name in [CERTIFICATE, NOT_AFTER] {
                let value = kept.and_then(|prior| prior.get(name)).cloned();
                planned.insert(name.to_owned(), value.unwrap_or(Value::Unknown));
            }
        }
        Ok(Proposal {
            planned,
            replace: Vec::new(),
            reversibility: Reversibility::Reversible,
            ..Proposal::default()
        })
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        Ok(Reading::There(call.known.clone()))
    }

    async fn checkpoint(&self, _: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        Ok(Opaque::default())
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        match call.planned {
            Some(planned) => self.make(call.call, planned).await.map(Some),
            None => Ok(None),
        }
    }

    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let before = call.checkpoint.before.as_ref();
        Ok(before.map(|before| before.instance.clone()))
    }

    /// One whose answer was lost was seen by nobody: another is as good.
    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        let Some(planned) = call.planned else {
            return Ok(Located::Done(None));
        };
        match self.make(call.call, planned).await {
            Ok(made) => Ok(Located::Done(Some(made))),
            Err(error) => Err(ProviderError::person(error.message)),
        }
    }

    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        not_adopted(&call)
    }
}
