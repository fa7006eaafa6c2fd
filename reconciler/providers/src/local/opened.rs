//! Secrets in the attributes of programs: variables, inputs, and files that only they can read.

use std::collections::BTreeMap;

use stratum_core::ports::{Call, SecretError, reveal};
use stratum_core::redact::Redactor;
use stratum_core::value::{Record, Value};

/// What a program is given.
#[derive(Default)]
pub(crate) struct Given {
    /// Its variables.
    pub(crate) env: BTreeMap<String, String>,
    /// What its files hold, by the variable that names each.
    pub(crate) files: BTreeMap<String, String>,
    /// The secrets among all of it.
    pub(crate) secrets: Vec<String>,
    /// `inputs`, with its secrets opened.
    pub(crate) inputs: serde_json::Value,
}

/// The attributes that may hold secrets.
pub(crate) const ENV: &str = "env";
pub(crate) const FILES: &str = "files";
pub(crate) const INPUTS: &str = "inputs";

impl Drop for Given {
    fn drop(&mut self) {
        let texts = self.env.values_mut().chain(self.files.values_mut());
        for text in texts.chain(&mut self.secrets) {
            zeroize::Zeroize::zeroize(text);
        }
    }
}

/// Opens everything that a program is given.
pub(crate) async fn given(call: Call<'_>, record: &Record) -> Result<Given, SecretError> {
    let mut given = Given::default();
    let mut secrets = Vec::new();
    for (attribute, into) in [(ENV, &mut given.env), (FILES, &mut given.files)] {
        let entries = record.get(attribute).and_then(Value::as_record);
        for (name, value) in entries.into_iter().flatten() {
            if let Some(text) = text(call, value, &mut secrets).await? {
                into.insert(name.clone(), text);
            }
        }
    }
    let inputs = record.get(INPUTS).cloned().unwrap_or_default();
    given.inputs = json(call, &inputs, &mut secrets).await?;
    given.secrets = secrets;
    Ok(given)
}

/// Takes the secrets of a program out of what is said about it. When they cannot be opened now,
/// everything is taken out.
pub(crate) async fn redactor(call: Call<'_>, record: &Record) -> Redactor {
    match given(call, record).await {
        Ok(given) => Redactor::new(&given.secrets),
        Err(_) => Redactor::of_everything(),
    }
}

/// The text of a value; `None` when it is not text. Its secrets are added to `secrets`.
async fn text(
    call: Call<'_>,
    value: &Value,
    secrets: &mut Vec<String>,
) -> Result<Option<String>, SecretError> {
    let Some(opened) = reveal(call.secrets, call.address, value).await? else {
        return Ok(None);
    };
    let Some(text) = opened.expose_text() else {
        let why = "it is not text, and a variable can only hold text".to_owned();
        return Err(SecretError::Wrapped(why));
    };
    if value.holds_secret() {
        let parts = match value {
            Value::Join(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        for part in parts.iter().filter(|part| part.holds_secret()) {
            let part = reveal(call.secrets, call.address, part).await?;
            secrets.extend(
                part.as_ref()
                    .and_then(|part| part.expose_text())
                    .map(str::to_owned),
            );
        }
        secrets.push(text.to_owned());
    }
    Ok(Some(text.to_owned()))
}

/// The JSON of a value with its secrets opened.
async fn json(
    call: Call<'_>,
    value: &Value,
    secrets: &mut Vec<String>,
) -> Result<serde_json::Value, SecretError> {
    if !value.holds_secret() {
        return Ok(value.to_data().unwrap_or_default());
    }
    match value {
        Value::Typed(typed) => Box::pin(json(call, &typed.value, secrets)).await,
        Value::List(items) | Value::Set(items) => {
            let mut list = Vec::with_capacity(items.len());
            for item in items.iter() {
                list.push(Box::pin(json(call, item, secrets)).await?);
            }
            Ok(list.into())
        }
        Value::Record(record) => {
            let mut map = serde_json::Map::new();
            for (key, value) in record.iter() {
                let value = Box::pin(json(call, value, secrets)).await?;
                map.insert(key.clone(), value);
            }
            Ok(map.into())
        }
        other => Ok(text(call, other, secrets).await?.into()),
    }
}
