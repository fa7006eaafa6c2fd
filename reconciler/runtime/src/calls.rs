//! Calls to providers, each with a limit of time.

use std::future::Future;
use std::time::Duration;

use stratum_core::duration;
use stratum_core::ids::Address;
use stratum_core::ports::{ApplyError, Call, Clock, ProviderError, Secrets, Site};

/// What all calls of one pass share.
#[derive(Clone, Copy)]
pub(crate) struct Calls<'a> {
    pub(crate) clock: &'a dyn Clock,
    pub(crate) site: &'a Site,
    pub(crate) timeout: Duration,
    pub(crate) secrets: &'a dyn Secrets,
}

impl<'a> Calls<'a> {
    /// The common arguments of a call about `address`.
    pub(crate) fn call(&self, address: &'a Address) -> Call<'a> {
        Call {
            address,
            site: self.site,
            timeout: self.timeout,
            secrets: self.secrets,
        }
    }

    /// A call that changes nothing.
    pub(crate) async fn asking<T>(
        &self,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        match self.within(call).await {
            Some(answer) => answer,
            None => Err(ProviderError::later(self.late())),
        }
    }

    /// A call that changes the world: when it is late, nobody knows what became of it.
    pub(crate) async fn changing<T>(
        &self,
        call: impl Future<Output = Result<T, ApplyError>>,
    ) -> Result<T, ApplyError> {
        match self.within(call).await {
            Some(answer) => answer,
            None => Err(ApplyError::unknown(self.late())),
        }
    }

    async fn within<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            answer = call => Some(answer),
            () = self.clock.sleep(self.timeout) => None,
        }
    }

    fn late(&self) -> String {
        format!("no answer within {}", duration::format(self.timeout))
    }
}
