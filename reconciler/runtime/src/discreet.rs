//! A provider whose words hold no secrets: the one place where they leave a call.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use stratum_core::ids::TypeName;
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, Capabilities, CheckpointCall, ConfigureCall, Diagnostic,
    FetchCall, ImportCall, ListCall, Listed, LocateCall, Located, Notes, PlanCall, Proposal,
    Provider, ProviderError, ProviderSchema, ReadCall, Reading, RenewCall, RestoreCall, Secrets,
    TypeSchema, UpgradeCall,
};
use stratum_core::redact::Redactor;
use stratum_core::resource::{Instance, Opaque};
use stratum_core::secret::Secret;
use stratum_core::value::Record;

use crate::handed::{Between, Handed};

/// A provider, with every secret taken out of what it says.
///
/// *Guarantees*: what a call says of a failure, of what does not run, or beside it, is without the
/// secrets that were opened or kept in this call, and without those that its configuration opened.
/// What it answers else is its own; the records of a repository name secrets and never hold them.
pub(crate) struct Discreet {
    inner: Arc<dyn Provider>,
    /// What its configuration was given.
    configured: Redactor,
}

impl Discreet {
    /// A provider that is discreet from now on.
    pub(crate) fn around(inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Self {
            inner,
            configured: Redactor::default(),
        })
    }

    /// Hears what the secrets of one call are.
    fn hears<'a>(&'a self, call: &Call<'a>) -> Handed<Heard<'a>> {
        Handed(Heard {
            secrets: call.secrets,
            configured: &self.configured,
            outer: call.notes,
            notes: Notes::default(),
            texts: Mutex::default(),
        })
    }
}

/// Takes the secrets of one call down while they are opened.
struct Heard<'a> {
    secrets: &'a dyn Secrets,
    configured: &'a Redactor,
    outer: Option<&'a Notes>,
    notes: Notes,
    texts: Mutex<Vec<Secret>>,
}

impl<'a> Handed<Heard<'a>> {
    /// The call, with its secrets heard and its notes taken.
    fn call<'h>(&'h self, call: Call<'a>) -> Call<'h>
    where
        'a: 'h,
    {
        Call {
            secrets: self,
            notes: self.0.outer.map(|_| &self.0.notes),
            ..call
        }
    }
}

impl Heard<'_> {
    fn redactor(&self) -> Redactor {
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        Redactor::new(texts.iter().filter_map(Secret::expose_text))
    }

    /// What the call answered, and what it said beside that.
    fn answered<T: Words, E: Words>(self, answer: Result<T, E>) -> Result<T, E> {
        let mut known = None;
        let mut clean = |text: &str| {
            let own = known.get_or_insert_with(|| self.redactor());
            self.configured.text(&own.text(text))
        };
        for note in self.notes.take() {
            if let Some(outer) = self.outer {
                outer.add(note.cleaned(&mut clean));
            }
        }
        match answer {
            Ok(answer) => Ok(answer.cleaned(&mut clean)),
            Err(error) => Err(error.cleaned(&mut clean)),
        }
    }
}

/// What may hold words of a provider.
trait Words: Sized {
    /// The same, with every text of them cleaned.
    fn cleaned(self, _clean: &mut dyn FnMut(&str) -> String) -> Self {
        self
    }
}

impl Words for Instance {}
impl Words for Option<Instance> {}
impl Words for Opaque {}
impl Words for Arc<dyn Provider> {}

impl Words for Diagnostic {
    fn cleaned(self, clean: &mut dyn FnMut(&str) -> String) -> Self {
        Self {
            message: clean(&self.message),
            hint: self.hint.map(|hint| clean(&hint)),
            ..self
        }
    }
}

impl Words for Vec<Diagnostic> {
    fn cleaned(self, clean: &mut dyn FnMut(&str) -> String) -> Self {
        self.into_iter().map(|one| one.cleaned(clean)).collect()
    }
}

impl Words for Proposal {
    fn cleaned(self, clean: &mut dyn FnMut(&str) -> String) -> Self {
        Self {
            warnings: self.warnings.cleaned(clean),
            ..self
        }
    }
}

impl Words for Reading {
    fn cleaned(self, clean: &mut dyn FnMut(&str) -> String) -> Self {
        match self {
            Self::Stopped { instance, why } => Self::Stopped {
                instance,
                why: clean(&why),
            },
            Self::There(_) | Self::Gone => self,
        }
    }
}

impl Words for Located {
    fn cleaned(self, clean: &mut dyn FnMut(&str) -> String) -> Self {
        match self {
            Self::CannotTell(why) => Self::CannotTell(clean(&why)),
            Self::Done(_) | Self::NotDone => self,
        }
    }
}

impl Words for ProviderError {
    fn cleaned(self, clean: &mut dyn FnMut(&str) -> String) -> Self {
        Self {
            message: clean(&self.message),
            diagnostics: self.diagnostics.cleaned(clean),
            ..self
        }
    }
}

impl Words for ApplyError {
    fn cleaned(self, clean: &mut dyn FnMut(&str) -> String) -> Self {
        Self {
            message: clean(&self.message),
            diagnostics: self.diagnostics.cleaned(clean),
            ..self
        }
    }
}

impl Between for Heard<'_> {
    fn secrets(&self) -> &dyn Secrets {
        self.secrets
    }

    fn hears(&self, secret: &Secret) {
        let copy = Secret::new(secret.expose().to_vec());
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.push(copy);
    }
}

/// Makes a call whose secrets are heard, and cleans what is answered.
macro_rules! heard {
    ($own:ident.$method:ident, $call:ident: $type:ident) => {{
        let heard = $own.hears(&$call.call);
        let own = heard.call($call.call);
        let answer = $own.inner.$method($type { call: own, ..$call }).await;
        heard.0.answered(answer)
    }};
}

#[async_trait]
impl Provider for Discreet {
    fn schema(&self) -> &ProviderSchema {
        self.inner.schema()
    }

    fn runs(&self, r#type: &TypeName) -> bool {
        self.inner.runs(r#type)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn types(&self) -> Vec<TypeName> {
        self.inner.types()
    }

    async fn type_schema(
        &self,
        r#type: &TypeName,
    ) -> Result<Option<Arc<TypeSchema>>, ProviderError> {
        self.inner.type_schema(r#type).await
    }

    fn validate(&self, r#type: &TypeName, desired: &Record) -> Vec<Diagnostic> {
        self.inner.validate(r#type, desired)
    }

    async fn configure(&self, call: ConfigureCall<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        let heard = self.hears(&call.call);
        let own = heard.call(call.call);
        let answer = self
            .inner
            .configure(ConfigureCall { call: own, ..call })
            .await;
        let configured = heard.0.redactor();
        let inner = heard.0.answered(answer)?;
        Ok(Arc::new(Self { inner, configured }))
    }

    async fn upgrade(&self, call: UpgradeCall<'_>) -> Result<Instance, ProviderError> {
        heard!(self.upgrade, call: UpgradeCall)
    }

    async fn fetch(&self, call: FetchCall<'_>) -> Result<Instance, ProviderError> {
        heard!(self.fetch, call: FetchCall)
    }

    async fn renew(&self, call: RenewCall<'_>) -> Result<Instance, ApplyError> {
        heard!(self.renew, call: RenewCall)
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        heard!(self.read, call: ReadCall)
    }

    async fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        heard!(self.plan, call: PlanCall)
    }

    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        heard!(self.checkpoint, call: CheckpointCall)
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        heard!(self.apply, call: ApplyCall)
    }

    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        heard!(self.restore, call: RestoreCall)
    }

    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        heard!(self.locate, call: LocateCall)
    }

    async fn list(&self, call: ListCall<'_>) -> Result<Listed, ProviderError> {
        // No secret is opened for it.
        self.inner.list(call).await
    }

    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        heard!(self.import, call: ImportCall)
    }
}

#[cfg(test)]
mod tests;
